"""The definition of what an integer network computes: numpy, one step at a time, nothing fused, nothing clever.

The neurons are :func:`esvae.chip.neuron.lif_step` and :func:`esvae.chip.sigma_delta.sigma_delta_step`, the synapses
Lava's ``PyConvModelFixed``, ``PyDenseModelBitAcc`` and ``PyDelayDenseModelBitAcc`` (lava-nc 0.10.0). Their sums wrap,
two's complement: a convolution's to 24 bit; a dense layer's to ``32 - n``, where netx shifts its weights left by n bits
and Lava its sums, of 32 bit, right again; with delays so does every single product, and the sum to 32. Spikes never
come to that, only messages. All other backends are held equal to this file, integer by integer.

Before a step, where the timing says so, ``u = v = 0``.  A synapse with a delay of d steps carries at step t what its
input fired at step t - d, and a recurrent one what its layer fired at step t - 1; that store of spikes is empty at the
start of a run and not touched by resets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from esvae.arrays import Int64, Shaped
from esvae.chip.formats import ACCUMULATOR_BITS, REGISTER_BITS, WEIGHT
from esvae.chip.neuron import lif_step, wrap_signed
from esvae.chip.sigma_delta import SigmaDeltaState, sigma_delta_step
from export.ir import Conv, ConvTranspose, Delta, Dense, Flatten, Lif, Network, Neuron, RecurrentDense, Synapse
from export.netx.rules import filling_shift
from sim.stimulus import Stimulus, as_stimulus
from sim.trace import Trace

__all__ = ["delayed_sum", "simulate", "synapse_sum"]


def synapse_sum(layer: Synapse, spikes: Shaped[np.ndarray, " images *input"]) -> Int64[np.ndarray, " images *output"]:
    """Sums the weights of the inputs that spiked, or their products with the messages that came; of a recurrent layer
    those of the layer before alone.

    Args:
        layer: its synapses.
        spikes: 0 or 1, or messages.
    """
    if isinstance(layer, Dense | RecurrentDense):
        total = spikes.astype(np.int64) @ layer.weight.astype(np.int64).T
        return wrap_signed(total, REGISTER_BITS - filling_shift(layer.weight))
    if isinstance(layer, Conv):
        return wrap_signed(_conv(layer, spikes), ACCUMULATOR_BITS)
    return wrap_signed(_conv_transpose(layer, spikes), ACCUMULATOR_BITS)


def _conv(layer: Conv, spikes: np.ndarray) -> np.ndarray:
    n, _, height, width = spikes.shape
    out, rows, columns = layer.output_shape(spikes.shape[1:])
    (sy, sx), (py, px), (dy, dx) = layer.stride, layer.padding, layer.dilation
    padded = np.zeros((n, spikes.shape[1], height + 2 * py, width + 2 * px), np.int64)
    padded[:, :, py : py + height, px : px + width] = spikes
    weight = layer.weight.astype(np.int64).reshape(layer.groups, -1, *layer.weight.shape[1:])
    total = np.zeros((n, layer.groups, out // layer.groups, rows, columns), np.int64)
    for ky in range(layer.weight.shape[2]):
        for kx in range(layer.weight.shape[3]):
            seen = padded[:, :, ky * dy :: sy, kx * dx :: sx][:, :, :rows, :columns]
            seen = seen.reshape(n, layer.groups, -1, rows, columns)
            total += np.einsum("ngiyx,goi->ngoyx", seen, weight[:, :, :, ky, kx])
    return total.reshape(n, out, rows, columns)


def _conv_transpose(layer: ConvTranspose, spikes: np.ndarray) -> np.ndarray:
    n, channels, height, width = spikes.shape
    out, rows, columns = layer.output_shape(spikes.shape[1:])
    (sy, sx), (py, px), (dy, dx) = layer.stride, layer.padding, layer.dilation
    kh, kw = layer.weight.shape[2:]
    weight = layer.weight.astype(np.int64).reshape(layer.groups, -1, *layer.weight.shape[1:])
    seen = spikes.astype(np.int64).reshape(n, layer.groups, channels // layer.groups, height, width)
    # Room for every target, those that the padding cuts away and those that the output padding adds included.
    full = np.zeros(
        (n, layer.groups, out // layer.groups, rows + 2 * py + dy * kh + sy, columns + 2 * px + dx * kw + sx), np.int64
    )
    for ky in range(kh):
        for kx in range(kw):
            hit = np.einsum("ngiyx,gio->ngoyx", seen, weight[:, :, :, ky, kx])
            full[..., ky * dy : ky * dy + height * sy : sy, kx * dx : kx * dx + width * sx : sx] += hit
    return full[..., py : py + rows, px : px + columns].reshape(n, out, rows, columns)


def delayed_sum(
    layer: Synapse, entering: Shaped[np.ndarray, "images steps *input"], step: int
) -> Int64[np.ndarray, " images *output"]:
    """The sums that reach the neurons at ``step``: of spikes of that step, or of earlier ones where delays say so.

    Args:
        layer: its synapses.
        entering: the raster up to ``step`` at least.
        step: from 0.
    """
    if not isinstance(layer, Dense) or layer.delay is None:
        return synapse_sum(layer, entering[:, step])
    total = np.zeros((len(entering), layer.weight.shape[0]), np.int64)
    bits = REGISTER_BITS - filling_shift(layer.weight)
    for delay in range(min(int(layer.delay.max()), step) + 1):
        weight = np.where(layer.delay == delay, layer.weight, 0).astype(np.int64)
        arriving = entering[:, step - delay].astype(np.int64)
        if np.abs(arriving).max() * -WEIGHT.min < 1 << (bits - 1):  # no product wraps
            total += arriving @ weight.T
        else:
            total += np.stack([wrap_signed(arriving * row, bits).sum(axis=1) for row in weight], axis=1)
    return wrap_signed(total, REGISTER_BITS)


def _arriving(layer: Synapse, entering: np.ndarray, step: int, fired: np.ndarray) -> np.ndarray:
    """:func:`delayed_sum`, and what the layer's own neurons sent when they ``fired`` at the step before."""
    total = delayed_sum(layer, entering, step)
    if isinstance(layer, RecurrentDense):
        total = total + fired.astype(np.int64) @ layer.recurrent.astype(np.int64).T
    return total


def simulate(network: Network, entering: np.ndarray | Stimulus) -> Iterator[Trace]:
    """Runs ``network`` from rest, layer by layer.

    Args:
        network: integer network.
        entering: spikes ``(images, steps, *input shape)``, aligned by sample and without resets; or a stimulus, which
            may also hold images or frames for input neurons, resets and staggered time.

    Yields:
        For each layer with neurons, in file order: its trace, arrays ``(images, steps, *layer shape)``.

    Raises:
        DataError: a stimulus that does not fit the network.
    """
    given = as_stimulus(network, entering)
    number = 0
    if given.images is not None and network.input_neurons is not None:
        nothing = np.zeros((len(given), given.steps, *network.input_shape), np.int64)
        resets = given.timing.resets(0, given.steps)
        neuron, images = network.input_neurons.neuron, given.images
        pixels = [images[:, t] for t in range(given.steps)] if isinstance(neuron, Delta) else [images] * given.steps
        trace = _neurons(lambda t, _: nothing[:, t], pixels, neuron, nothing.shape, resets)
        yield trace
        raster, number = trace.s, 1
    else:
        assert given.spikes is not None
        raster = given.spikes
    for layer in network.layers:
        if isinstance(layer, Flatten):
            raster = raster.reshape(*raster.shape[:2], *layer.output_shape(raster.shape[2:]))
            continue
        if given.timing.stagger:
            raster = np.concatenate([np.zeros_like(raster[:, :1]), raster[:, :-1]], axis=1)
        shape = layer.output_shape(raster.shape[2:])
        bias = np.zeros(1, np.int64) if layer.bias is None else layer.bias.astype(np.int64)
        if bias.shape != shape:
            bias = bias.reshape(-1, *[1] * (len(shape) - 1))
        trace = _neurons(
            partial(_arriving, layer, raster),
            [bias] * given.steps,
            layer.neuron,
            (*raster.shape[:2], *shape),
            given.timing.resets(number, given.steps),
        )
        yield trace
        raster = trace.s
        number += 1


def _neurons(
    sums: Callable[[int, np.ndarray], np.ndarray],
    bias: Sequence[np.ndarray],
    neuron: Neuron | Delta,
    shape: tuple[int, ...],
    resets: np.ndarray,
) -> Trace:
    """One layer's neurons from rest over ``shape``: (images, steps, *layer shape).

    Args:
        sums: gives ``a`` of a step and of what fired at the step before.
        bias: of each step.
        neuron, shape: which, and how many.
        resets: steps before which current and potential are set to zero; of sigma-delta neurons none are.
    """
    each = (shape[0], *shape[2:])
    u, v, s = (np.zeros(each, np.int64) for _ in "uvs")
    state = SigmaDeltaState.at_rest(each)
    states = []
    for t in range(shape[1]):
        if isinstance(neuron, Lif):
            if resets[t]:
                u, v = np.zeros_like(u), np.zeros_like(v)
            a, b = (np.broadcast_to(x, each).reshape(len(u), -1) for x in (sums(t, s), bias[t]))
            found = lif_step(u.reshape(a.shape), v.reshape(a.shape), a, b, neuron.spread(each[1:]))
            u, v, s = (x.reshape(each) for x in found)
        else:
            state, s = sigma_delta_step(state, sums(t, s), bias[t], neuron)
            u, v = state.sigma, state.act
        states.append((u, v, s))
    return Trace(*(np.stack(each, axis=1) for each in zip(*states, strict=True)))

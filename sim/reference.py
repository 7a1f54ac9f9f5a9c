"""The definition of what an integer network computes: numpy, one step at a time, nothing fused, nothing clever.

The neuron is :func:`esvae.chip.neuron.lif_step`, the synapses Lava's ``PyConvModelFixed`` and ``PyDenseModelBitAcc``
(lava-nc 0.10.0), of which convolutions wrap their sums to 24 bit, two's complement. All other backends are held equal
to this file, integer by integer.

Before a step, where the timing says so, ``u = v = 0``.  A synapse with a delay of d steps carries at step t what its
input fired at step t - d, and a recurrent one what its layer fired at step t - 1; that store of spikes is empty at the
start of a run and not touched by resets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
from jaxtyping import Int64, Shaped

from esvae.chip.formats import ACCUMULATOR_BITS
from esvae.chip.neuron import lif_step, wrap_signed
from export.ir import Conv, ConvTranspose, Dense, Flatten, Lif, Network, RecurrentDense, Synapse
from sim.stimulus import Stimulus, as_stimulus
from sim.trace import Trace

__all__ = ["delayed_sum", "simulate", "synapse_sum"]


def synapse_sum(layer: Synapse, spikes: Shaped[np.ndarray, " images *input"]) -> Int64[np.ndarray, " images *output"]:
    """Sums the weights of the inputs that spiked; of a recurrent layer those of the layer before alone.

    Args:
        layer: its synapses.
        spikes: 0 or 1.
    """
    if isinstance(layer, Dense | RecurrentDense):
        return spikes.astype(np.int64) @ layer.weight.astype(np.int64).T
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
    for delay in range(int(layer.delay.max()) + 1):
        if delay <= step:
            delayed = replace(layer, weight=np.where(layer.delay == delay, layer.weight, 0))
            total += synapse_sum(delayed, entering[:, step - delay])
    return total


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
            may also hold images for input neurons, resets and staggered time.

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
        trace = _neurons(lambda t, _: nothing[:, t], given.images, network.input_neurons.neuron, nothing.shape, resets)
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
            bias,
            layer.neuron,
            (*raster.shape[:2], *shape),
            given.timing.resets(number, given.steps),
        )
        yield trace
        raster = trace.s
        number += 1


def _neurons(
    sums: Callable[[int, np.ndarray], np.ndarray],
    bias: np.ndarray,
    neuron: Lif,
    shape: tuple[int, ...],
    resets: np.ndarray,
) -> Trace:
    """One layer's neurons from rest over ``shape``: (images, steps, *layer shape); ``sums`` gives ``a`` of a step
    and of what fired at the step before."""
    u, v, s = (np.zeros((shape[0], *shape[2:]), np.int64) for _ in "uvs")
    states = []
    for t in range(shape[1]):
        if resets[t]:
            u, v = np.zeros_like(u), np.zeros_like(v)
        u, v, s = lif_step(u, v, sums(t, s), bias, neuron)
        states.append((u, v, s))
    return Trace(*(np.stack(state, axis=1) for state in zip(*states, strict=True)))

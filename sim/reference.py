"""The definition of what an integer network computes: numpy, one step at a time, nothing fused, nothing clever.

The neuron is Lava's ``PyLifModelBitAcc`` (lava-nc 0.10.0), the synapses its ``PyConvModelFixed`` and
``PyDenseModelBitAcc``. All other backends are held equal to this file, integer by integer.

Registers::

    a   sum of the weights of the inputs that spiked     convolutions wrap it to 24 bit, two's complement
    u   current, held in 32 bit; brought back once by 2^24 when above 2^23 or at or below -2^23
    v   membrane potential, 24 bit, saturates at +-(2^23 - 1)

One step::

    trunc(x, d) = sign(x) * (|x| * (4096 - d) >> 12)       rounds toward zero
    u <- wrap(trunc(u, iDecay) + (a << 6))
    v <- clip(trunc(v, vDecay) + u + (bias << 6))
    s  = v > threshold << 6                                strictly above
    v  = 0 where s

Before it, where the timing says so, ``u = v = 0``.  A synapse with a delay of d steps carries at step t what its input
fired at step t - d; that store of spikes is empty at the start of a run and not touched by resets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from esvae.chip.formats import ACCUMULATOR_BITS, DECAY_SHIFT, DECAY_UNITY, STATE_LIMIT, STATE_SHIFT, STATE_WRAP
from export.ir import Conv, ConvTranspose, Dense, Flatten, FloatLif, Lif, Network, Synapse
from sim.stimulus import Stimulus, as_stimulus
from sim.trace import Trace

__all__ = ["decay", "delayed_sum", "lif_step", "simulate", "synapse_sum", "wrap_signed"]


def wrap_signed(x: np.ndarray, bits: int) -> np.ndarray:
    """``x`` modulo ``2^bits``, in [-2^(bits-1), 2^(bits-1)): two's complement overflow."""
    half = 1 << (bits - 1)
    return (x + half) % (1 << bits) - half


def decay(x: np.ndarray, amount: int) -> np.ndarray:
    """Keeps ``4096 - amount`` parts in 4096 of ``x``, rounded toward zero.

    >>> decay(np.array([5, -5]), 2048)
    array([ 2, -2])
    """
    product = x.astype(np.int64) * (DECAY_UNITY - amount)
    return np.sign(product) * (np.abs(product) >> DECAY_SHIFT)


def lif_step(
    u: np.ndarray, v: np.ndarray, a: np.ndarray, bias: np.ndarray | int, neuron: Lif
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One time step of the neuron.

    Args:
        u, v: current and membrane potential before the step, whole numbers of any one shape.
        a: sums of the weights of the inputs that spiked, same shape.
        bias: bias mantissa, broadcast against ``v``.
        neuron: decays and threshold.

    Returns:
        ``u``, ``v`` (int64) and the spikes ``s`` (bool) after the step.
    """
    u = wrap_signed(decay(u, neuron.current_decay) + (a.astype(np.int64) << STATE_SHIFT), 32)
    u = np.where(u > STATE_LIMIT, u - STATE_WRAP, np.where(u <= -STATE_LIMIT, u + STATE_WRAP, u))
    drive = wrap_signed(decay(v, neuron.voltage_decay) + u + (np.int64(1) * bias << STATE_SHIFT), 32)
    v = np.clip(drive, -(STATE_LIMIT - 1), STATE_LIMIT - 1)
    s = v > neuron.threshold << STATE_SHIFT
    return u, np.where(s, 0, v), s


def synapse_sum(layer: Synapse, spikes: np.ndarray) -> np.ndarray:
    """Sums the weights of the inputs that spiked.

    Args:
        layer: its synapses.
        spikes: 0 or 1, ``(images, *input shape)``.

    Returns:
        int64, ``(images, *output shape)``.
    """
    if isinstance(layer, Dense):
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


def delayed_sum(layer: Synapse, entering: np.ndarray, step: int) -> np.ndarray:
    """The sums that reach the neurons at ``step``: of spikes of that step, or of earlier ones where delays say so.

    Args:
        layer: its synapses.
        entering: the raster up to ``step`` at least, ``(images, steps, *input shape)``.
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
        trace = _neurons(lambda t: nothing[:, t], given.images, network.input_neurons.neuron, nothing.shape, resets)
        yield trace
        raster, number = trace.s, 1
    else:
        assert given.spikes is not None
        raster = given.spikes
    for layer in network.layers:
        if isinstance(layer, Flatten):
            raster = raster.reshape(*raster.shape[:2], -1)
            continue
        if given.timing.stagger:
            raster = np.concatenate([np.zeros_like(raster[:, :1]), raster[:, :-1]], axis=1)
        shape = layer.output_shape(raster.shape[2:])
        bias = np.zeros(1, np.int64) if layer.bias is None else layer.bias.astype(np.int64)
        if bias.shape != shape:
            bias = bias.reshape(-1, *[1] * (len(shape) - 1))
        trace = _neurons(
            partial(delayed_sum, layer, raster),
            bias,
            layer.neuron,
            (*raster.shape[:2], *shape),
            given.timing.resets(number, given.steps),
        )
        yield trace
        raster = trace.s
        number += 1


def _neurons(
    sums: Callable[[int], np.ndarray],
    bias: np.ndarray,
    neuron: Lif | FloatLif,
    shape: tuple[int, ...],
    resets: np.ndarray,
) -> Trace:
    """One layer's neurons from rest over ``shape``: (images, steps, *layer shape); ``sums`` gives ``a`` of a step."""
    assert isinstance(neuron, Lif)  # Network.__post_init__ raised otherwise
    u, v = (np.zeros((shape[0], *shape[2:]), np.int64) for _ in "uv")
    states = []
    for t in range(shape[1]):
        if resets[t]:
            u, v = np.zeros_like(u), np.zeros_like(v)
        u, v, s = lif_step(u, v, sums(t), bias, neuron)
        states.append((u, v, s))
    return Trace(*(np.stack(state, axis=1) for state in zip(*states, strict=True)))

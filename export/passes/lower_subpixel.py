"""Pass: transposed convolutions as ordinary ones on the coarse grid, whose channels hold the pixels of a cell.

A transposed convolution of stride s gives s x s outputs where one input was. Kept as channels of that input's cell
(phases), they are what a stride-1 convolution on the coarse grid computes, with the kernel's taps dealt out to the
phases; so every layer from the first transposed convolution on works on the coarsest grid, and its output is
interleaved (torch's ``pixel_shuffle``) only where the picture is put together. Stock netx loads all of them.

With output o = S' O + q and input i = S I + p along one axis (O, I cells; q, p phases; S, S' = s S pixels of a cell)
the tap k of a transposed convolution that leads from i to o is ``k d = o + pad - s i = -S' (I - O) + q + pad - s p``,
of an ordinary one of stride 1 ``k d = i - o + pad = S (I - O) + p - q + pad``.

Every sum that a neuron sees is the same as before. Where the finer map does not fill the last cells, neurons exist in
them that were not there; a bias holds them silent. A layer has ``9 Cin S^2 Cout S'^2`` weights of a 3x3 kernel.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from esvae.chip.formats import BIAS, DECAY_UNITY
from esvae.errors import HardwareRangeError
from export.ir import Conv, ConvTranspose, ImageReadout, Layer, Lif, Network, Pair, Synapse
from export.ir.labels import FIRST_GROUP
from export.ir.nodes import N

__all__ = ["MAX_WEIGHTS", "cells", "lower_subpixel", "subpixel_conv", "subpixel_weights"]

#: Kernels above this many weights are not made: they would hold zeros for the most part.
MAX_WEIGHTS = 1 << 25


def lower_subpixel(network: Network) -> Network:
    """Returns the network with the first transposed convolution and everything behind it on that one's input grid.

    Raises:
        HardwareRangeError: a layer would have too many weights; a convolution with a stride, or a dense layer, follows;
            neurons that must not fire cannot be held silent; the picture does not fill its cells.
    """
    layers: list[Layer[Lif]] = []
    factor: Pair = (1, 1)
    started = False
    for where, (layer, before, _) in zip(network.labels, network.synapses(), strict=True):
        started = started or isinstance(layer, ConvTranspose)
        if not started:
            layers.append(layer)
            continue
        if not isinstance(layer, Conv | ConvTranspose) or (isinstance(layer, Conv) and layer.stride != (1, 1)):
            raise HardwareRangeError(
                f"{where}: behind a transposed convolution the sub-pixel lowering takes convolutions of stride 1; "
                "use --lowering dense"
            )
        conv = subpixel_conv(layer, (before[1], before[2]), factor, where)
        layers.append(conv)
        if isinstance(layer, ConvTranspose):
            factor = (factor[0] * layer.stride[0], factor[1] * layer.stride[1])
    readout = network.readout
    if readout is not None and started:
        readout = _interleaved(readout, factor, network.shapes[-1])
    return replace(network, layers=tuple(layers), readout=readout, first_group=FIRST_GROUP)


def _interleaved(readout: ImageReadout, factor: Pair, shape: tuple[int, ...]) -> ImageReadout:
    if factor[0] != factor[1] or any(size % f for size, f in zip(shape[1:], factor, strict=True)):
        raise HardwareRangeError(
            f"the picture's {shape[1]}x{shape[2]} pixels are no whole number of cells of {factor[0]}x{factor[1]}; "
            "use --lowering dense"
        )
    if readout.upscale != 1:
        raise HardwareRangeError(
            "the picture is interleaved twice, by the network and the lowering; use --lowering dense"
        )
    return replace(readout, upscale=factor[0])


def subpixel_weights(layer: Conv | ConvTranspose, factor: Pair) -> int:
    """How many weights :func:`subpixel_conv` gives, zeros included, for inputs with ``factor`` pixels a cell."""
    inputs, outputs, after = layer.inputs, layer.outputs, _factor_after(layer, factor)
    cells_reached = 1
    for axis in range(2):
        low, high = _reach(_taps(layer, factor[axis], axis))
        cells_reached *= high - low + 1
    return inputs * math.prod(factor) * outputs * math.prod(after) * cells_reached


def subpixel_conv(
    layer: Conv[N] | ConvTranspose[N], size: Pair, factor: Pair, where: str = "layer", *, limit: int = MAX_WEIGHTS
) -> Conv[N]:
    """The convolution on the coarse grid.

    Args:
        layer: a transposed convolution, or a convolution of stride 1.
        size: height and width of its input, in its own pixels.
        factor: pixels of a cell, ``(y, x)``; input channel ``c`` and phase ``(py, px)`` of it come as channel
            ``(c * factor_y + py) * factor_x + px``, as :func:`cells` lays them out.
        where: goes into errors.
        limit: weights above which it is not made.

    Raises:
        HardwareRangeError: too many weights, or neurons that cannot be held silent.
    """
    count = subpixel_weights(layer, factor)
    if count > limit:
        raise HardwareRangeError(
            f"{where}: on the coarse grid it has {count:,} weights, above {limit:,}; use a larger "
            "model.decoder.base_size, or --lowering dense or native"
        )
    after = _factor_after(layer, factor)
    _, height, width = layer.output_shape((layer.inputs, *size))
    shape = (height, width)
    index, padding = [], []
    for axis in range(2):
        grown = -(-shape[axis] // after[axis]) - -(-size[axis] // factor[axis])
        low, high = _reach(_taps(layer, factor[axis], axis))
        # Padding is the same on both sides; a kernel that reaches less far than the padding lets the map grow.
        pad = max(-low, high + grown, 0)
        offsets = np.arange(-pad, pad - grown + 1)
        index.append(_tap_index(layer, factor[axis], axis, offsets))
        padding.append(pad)
    kernel = _outward(layer)  # outputs, inputs, kh + 1, kw + 1; the last taps are zero
    y, x = index
    weight = kernel[:, :, y[:, :, :, None, None, None], x[None, None, None]]  # O I qy py ky qx px kx
    weight = weight.transpose(0, 2, 5, 1, 3, 6, 4, 7)
    outputs = kernel.shape[0] * math.prod(after)
    weight = weight.reshape(outputs, kernel.shape[1] * math.prod(factor), *weight.shape[-2:])
    bias = _bias(layer, weight, shape, after, where)
    return Conv(np.ascontiguousarray(weight), bias, layer.neuron, padding=(padding[0], padding[1]))


def cells(maps: np.ndarray, factor: Pair) -> np.ndarray:
    """Maps ``(..., C, H, W)`` on the coarse grid, ``(..., C * fy * fx, ceil(H / fy), ceil(W / fx))``; zeros fill up."""
    *lead, channels, height, width = maps.shape
    rows, columns = -(-height // factor[0]), -(-width // factor[1])
    padded = np.zeros((*lead, channels, rows * factor[0], columns * factor[1]), maps.dtype)
    padded[..., :height, :width] = maps
    split = padded.reshape(*lead, channels, rows, factor[0], columns, factor[1])
    n = len(lead)
    turned = split.transpose(*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return turned.reshape(*lead, channels * factor[0] * factor[1], rows, columns)


def _factor_after(layer: Synapse, factor: Pair) -> Pair:
    if isinstance(layer, ConvTranspose):
        return factor[0] * layer.stride[0], factor[1] * layer.stride[1]
    return factor


def _taps(layer: Conv | ConvTranspose, factor: int, axis: int) -> list[tuple[int, int, int, int]]:
    """Every ``(q, p, cell offset, tap)`` along one axis."""
    size, dilation, pad = layer.weight.shape[2 + axis], layer.dilation[axis], layer.padding[axis]
    after = factor * (layer.stride[axis] if isinstance(layer, ConvTranspose) else 1)
    found = []
    for q in range(after):
        for p in range(factor):
            for tap in range(size):
                if isinstance(layer, ConvTranspose):
                    offset, rest = divmod(q + pad - layer.stride[axis] * p - tap * dilation, after)
                else:
                    offset, rest = divmod(tap * dilation - p + q - pad, after)
                if rest == 0:
                    found.append((q, p, offset, tap))
    return found


def _reach(taps: list[tuple[int, int, int, int]]) -> tuple[int, int]:
    offsets = [offset for _, _, offset, _ in taps]
    return min(offsets), max(offsets)


def _tap_index(layer: Conv | ConvTranspose, factor: int, axis: int, offsets: np.ndarray) -> np.ndarray:
    """The tap for ``(q, p, cell offset)``; one past the last where there is none."""
    size = layer.weight.shape[2 + axis]
    after = factor * (layer.stride[axis] if isinstance(layer, ConvTranspose) else 1)
    index = np.full((after, factor, len(offsets)), size)
    for q, p, offset, tap in _taps(layer, factor, axis):
        index[q, p, offset - offsets[0]] = tap
    return index


def _outward(layer: Conv | ConvTranspose) -> np.ndarray:
    """Weights ``(O, I, kh + 1, kw + 1)`` without groups, the last row and column zero."""
    weight = layer.weight
    inputs, outputs = layer.inputs // layer.groups, layer.outputs // layer.groups
    full = np.zeros((layer.outputs, layer.inputs, weight.shape[2] + 1, weight.shape[3] + 1), weight.dtype)
    for group in range(layer.groups):
        rows, columns = slice(group * outputs, (group + 1) * outputs), slice(group * inputs, (group + 1) * inputs)
        part = weight[columns].swapaxes(0, 1) if isinstance(layer, ConvTranspose) else weight[rows]
        full[rows, columns, :-1, :-1] = part
    return full


def _bias(layer: Conv | ConvTranspose, weight: np.ndarray, shape: Pair, after: Pair, where: str) -> np.ndarray | None:
    """By channel; by neuron where it is so already, or where neurons are there that must not fire."""
    whole = all(size % f == 0 for size, f in zip(shape, after, strict=True))
    bias = layer.bias
    if whole and (bias is None or bias.ndim == 1):
        return None if bias is None else np.repeat(bias, math.prod(after))
    outputs = layer.outputs
    given = np.zeros(outputs, weight.dtype) if bias is None else bias
    by_neuron = np.broadcast_to(given if given.ndim == 3 else given[:, None, None], (outputs, *shape))
    placed = cells(by_neuron, after)
    if whole:
        return placed
    there = cells(np.ones((outputs, *shape), bool), after)
    if not isinstance(layer.neuron, Lif):
        raise HardwareRangeError(
            f"{where}: its {shape[0]}x{shape[1]} neurons do not fill cells of {after[0]}x{after[1]}, and floats "
            "have no bias that holds those beyond silent; use the dense lowering"
        )
    most = float(weight.clip(min=0).sum(axis=(1, 2, 3)).max())
    if most:  # a current that lasts adds up
        most = most * DECAY_UNITY / layer.neuron.current_decay if layer.neuron.current_decay else math.inf
    if most > -BIAS.min:
        raise HardwareRangeError(
            f"{where}: its {shape[0]}x{shape[1]} neurons do not fill cells of {after[0]}x{after[1]}, and those beyond "
            f"could receive {most:.0f}, more than a bias of {BIAS.min} holds down; use --lowering dense"
        )
    return np.where(there, placed, np.array(BIAS.min, placed.dtype))

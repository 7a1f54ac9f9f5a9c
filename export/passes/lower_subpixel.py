"""Pass: transposed convolutions as ordinary ones on the coarse grid, whose channels hold the pixels of a cell.

A transposed convolution of stride s gives s x s outputs where one input was. Kept as channels of that input's cell
(phases), they are what a stride-1 convolution on the coarse grid computes, with the kernel's taps dealt out to the
phases; so every layer from the first transposed convolution on works on the coarsest grid, and its output is
interleaved (torch's ``pixel_shuffle``) only where the picture is put together. Stock netx loads all of them.

Which tap leads from which pixel of a cell to which of another's: :func:`export.ir.geometry.cell_taps`.

Every sum that a neuron sees is the same as before. Where the finer map does not fill the last cells, neurons exist in
them that were not there; a bias holds them silent. A layer has ``9 Cin S^2 Cout S'^2`` weights of a 3x3 kernel, where
the cells of its input (output) have S (S') pixels a side.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from esvae.chip.formats import BIAS
from esvae.errors import HardwareRangeError
from export.ir import Conv, ConvTranspose, ImageReadout, Layer, Lif, Network, Neuron, Pair
from export.ir.bounds import largest_current, largest_sum
from export.ir.geometry import cell_span, cell_taps, cells, factor_after, grouped, lies_in_cells, picked, ungrouped
from export.ir.labels import FIRST_GROUP
from export.ir.nodes import N, spread

__all__ = ["MAX_WEIGHTS", "lower_subpixel", "subpixel_conv", "subpixel_weights"]

#: Kernels above this many weights are not made: they would hold zeros for the most part.
MAX_WEIGHTS = 1 << 25


def lower_subpixel(network: Network) -> Network:
    """Returns the network with the first transposed convolution and everything behind it on that one's input grid.

    Raises:
        HardwareRangeError: a layer would have too many weights; a convolution with a stride, or a dense layer, follows;
            neurons that must not fire cannot be held silent; the picture does not fill its cells.
    """
    layers: list[Layer[Neuron]] = []
    factor: Pair = (1, 1)
    started = False
    for where, (layer, before, _) in zip(network.labels, network.synapses(), strict=True):
        started = started or isinstance(layer, ConvTranspose)
        if not started:
            layers.append(layer)
            continue
        if not lies_in_cells(layer):
            raise HardwareRangeError(
                f"{where}: behind a transposed convolution the sub-pixel lowering takes convolutions of stride 1; "
                "use --lowering dense"
            )
        conv = subpixel_conv(layer, (before[1], before[2]), factor, where)
        layers.append(conv)
        factor = factor_after(layer, factor)
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
    taps = math.prod(last - first + 1 for first, last in (cell_span(layer, axis, factor) for axis in (0, 1)))
    return layer.inputs * math.prod(factor) * layer.outputs * math.prod(factor_after(layer, factor)) * taps


def subpixel_conv(
    layer: Conv[N] | ConvTranspose[N], size: Pair, factor: Pair, where: str = "layer", *, limit: int = MAX_WEIGHTS
) -> Conv[N]:
    """The convolution on the coarse grid.

    Args:
        layer: a transposed convolution, or a convolution of stride 1.
        size: height and width of its input, in its own pixels.
        factor: pixels of a cell, ``(y, x)``; input channel ``c`` and phase ``(py, px)`` of it come as channel
            ``(c * factor_y + py) * factor_x + px``, as :func:`~export.ir.geometry.cells` lays them out.
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
    after = factor_after(layer, factor)
    _, height, width = layer.output_shape((layer.inputs, *size))
    shape = (height, width)
    index, padding = [], []
    for axis in range(2):
        grown = -(-shape[axis] // after[axis]) - -(-size[axis] // factor[axis])
        first, last = cell_span(layer, axis, factor)
        # Padding is the same on both sides; a kernel that reaches less far than the padding lets the map grow.
        pad = max(-first, last + grown, 0)
        index.append(cell_taps(layer, axis, np.arange(-pad, pad - grown + 1), factor))
        padding.append(pad)
    weight = picked(ungrouped(grouped(layer)), *index).transpose(0, 2, 5, 1, 3, 6, 4, 7)  # from O I qy py ky qx px kx
    weight = weight.reshape(layer.outputs * math.prod(after), -1, *weight.shape[-2:])
    neuron = spread(layer.neuron, (layer.outputs, *after))
    conv = Conv(np.ascontiguousarray(weight), None, neuron, padding=(padding[0], padding[1]))
    return replace(conv, bias=_bias(layer, conv, shape, after, where))


def _bias(layer: Conv | ConvTranspose, conv: Conv, shape: Pair, after: Pair, where: str) -> np.ndarray | None:
    """By channel; by neuron where it is so already, or where neurons are there that must not fire."""
    whole = all(size % f == 0 for size, f in zip(shape, after, strict=True))
    bias = layer.bias
    if whole and (bias is None or bias.ndim == 1):
        return None if bias is None else np.repeat(bias, math.prod(after))
    outputs = layer.outputs
    given = np.zeros(outputs, conv.weight.dtype) if bias is None else bias
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
    most = largest_current(largest_sum(conv, 1), layer.neuron, None)  # a current that lasts adds up
    if most > -BIAS.min:
        raise HardwareRangeError(
            f"{where}: its {shape[0]}x{shape[1]} neurons do not fill cells of {after[0]}x{after[1]}, and those beyond "
            f"could receive {most:.0f}, more than a bias of {BIAS.min} holds down; use --lowering dense"
        )
    return np.where(there, placed, np.array(BIAS.min, placed.dtype))

"""Which tap of which input reaches which neuron: the one place that knows, for every layer with synapses.

The law, along one axis: tap ``k`` of a kernel connects a *coarse* position and the *fine* position
``coarse * stride - padding + k * dilation``. A convolution's outputs are the coarse ones, a transposed convolution's
inputs. From it follow

- tables along an axis: :func:`reads`, :func:`reaches`, and :func:`open_reads` as if the map had no end;
- a layer as a matrix, whole or row after row: :func:`matrix`, :func:`sources`. On a 1x1 map (:func:`is_point`) that is
  all there is to a (transposed) convolution, and :func:`point_kernel` is the way back;
- a layer on a coarser grid, whose channels hold the pixels of a cell: :func:`lies_in_cells`, :func:`cells`,
  :func:`pixels`, :func:`cell_taps`.

Groups are an axis of their own in :func:`grouped`. A recurrent layer's inputs are those of the layer before
it, then its own neurons, of a step ago.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TypeGuard

import numpy as np

from esvae.arrays import Bool, Int64, Integer, Real, Shaped
from export.ir.nodes import Conv, ConvTranspose, Dense, Pair, RecurrentDense, Shape, Synapse, all_weights

__all__ = [
    "cell_span",
    "cell_taps",
    "cells",
    "factor_after",
    "grouped",
    "is_point",
    "lies_in_cells",
    "matrix",
    "open_reads",
    "picked",
    "pixels",
    "point_kernel",
    "reaches",
    "reads",
    "reads_nothing",
    "sources",
    "ungrouped",
]

#: Rows of a dense matrix that :func:`sources` looks at at a time.
_ROWS = 256


def grouped(layer: Synapse) -> Real[np.ndarray, "groups outputs inputs kh kw"]:
    """A layer's weights as a view, channels counted within a group."""
    weight = all_weights(layer)
    if isinstance(layer, Dense | RecurrentDense):
        return weight[None, :, :, None, None]
    split = weight.reshape(layer.groups, len(weight) // layer.groups, *weight.shape[1:])
    return split.swapaxes(1, 2) if isinstance(layer, ConvTranspose) else split


def ungrouped(
    weight: Real[np.ndarray, "groups outputs inputs kh kw"],
) -> Real[np.ndarray, "groups*outputs groups*inputs kh kw"]:
    """Weights as :func:`grouped` gives them, with every input channel and zeros between."""
    groups, outputs, inputs, *kernel = weight.shape
    full = np.zeros((groups, outputs, groups, inputs, *kernel), weight.dtype)
    np.einsum("gogiyx->goiyx", full)[...] = weight  # a view of the blocks along the diagonal
    return full.reshape(groups * outputs, groups * inputs, *kernel)


def open_reads(
    layer: Conv | ConvTranspose, axis: int, outputs: Int64[np.ndarray, " outputs"]
) -> tuple[Int64[np.ndarray, "outputs kernel"], Bool[np.ndarray, "outputs kernel"]]:
    """What outputs read along an axis, as if there were inputs without end.

    Args:
        layer: a (transposed) convolution.
        axis: 0 for y, 1 for x.
        outputs: their positions.

    Returns:
        For each output and tap the position of the input, and whether there is one: a transposed convolution's taps
        also fall between inputs.
    """
    stride, padding = layer.stride[axis], layer.padding[axis]
    ahead = np.arange(layer.weight.shape[axis + 2]) * layer.dilation[axis] - padding
    if isinstance(layer, ConvTranspose):
        coarse, between = np.divmod(outputs[:, None] - ahead, stride)
        return coarse, between == 0
    fine = outputs[:, None] * stride + ahead
    return fine, np.ones_like(fine, bool)


def reads(layer: Conv | ConvTranspose, before: Shape, after: Shape, axis: int) -> Int64[np.ndarray, "outputs kernel"]:
    """The input that each tap of the kernel reads for each output, along one axis.

    Args:
        layer: a (transposed) convolution.
        before, after: shapes ``(C, H, W)`` of its input and output.
        axis: 0 for y, 1 for x.

    Returns:
        Positions, -1 where the tap falls outside the input, or between inputs.
    """
    at, exists = open_reads(layer, axis, np.arange(after[axis + 1]))
    return np.where(exists & (at >= 0) & (at < before[axis + 1]), at, -1)


def reads_nothing(layer: Conv | ConvTranspose, before: Shape, after: Shape) -> bool:
    """Whether every tap of every output falls outside the input, for shapes as of :func:`reads`: no synapse exists."""
    return any((reads(layer, before, after, axis) < 0).all() for axis in (0, 1))


def reaches(layer: Conv | ConvTranspose, before: Shape, after: Shape, axis: int) -> Int64[np.ndarray, "inputs kernel"]:
    """:func:`reads` the other way: the output that each tap leads each input to, or -1."""
    table = reads(layer, before, after, axis)
    outputs, taps = np.nonzero(table >= 0)
    found = np.full((before[axis + 1], table.shape[1]), -1)
    found[table[outputs, taps], taps] = outputs
    return found


def matrix(layer: Synapse, before: Shape) -> Real[np.ndarray, "outputs inputs"]:
    """What each input neuron sends to each output neuron, neurons counted channels outermost.

    A pair of neurons is connected by one tap at most, so each tap is written where it leads.

    Returns:
        Int16 or the weights' float, zeros where there is no synapse; a dense layer's own array.
    """
    if isinstance(layer, Dense | RecurrentDense):
        return all_weights(layer)
    after = layer.output_shape(before)
    weight = grouped(layer)
    groups, outputs, inputs, *kernel = weight.shape
    kind = weight.dtype if weight.dtype.kind == "f" else np.dtype(np.int16)
    full = np.zeros((groups, outputs, *after[1:], groups, inputs, *before[1:]), kind)
    within = np.einsum("goyxgihw->goyxihw", full)  # a view of what lies within a group
    ends = [
        [(np.flatnonzero(column >= 0), column[column >= 0]) for column in reads(layer, before, after, axis).T]
        for axis in (0, 1)
    ]
    for ky, kx in np.ndindex(*kernel):
        (to_y, of_y), (to_x, of_x) = ends[0][ky], ends[1][kx]
        within[:, :, to_y[:, None], to_x, :, of_y[:, None], of_x] = weight[..., ky, kx]
    return full.reshape(math.prod(after), math.prod(before))


def is_point(shape: Shape) -> bool:
    """Whether a map has one pixel, so that a (transposed) convolution of it is a matrix; of features, that it has
    none."""
    return shape[1:] == (1, 1)


def point_kernel(
    weight: Real[np.ndarray, "outputs inputs"], after: Shape
) -> Real[np.ndarray, "channels inputs height width"]:
    """The kernel that, padded by ``(H - 1, W - 1)``, does on a 1x1 map what a matrix does.

    Args:
        weight: the matrix.
        after: shape ``(channels, height, width)`` of the map that its outputs form.
    """
    channels, height, width = after
    return weight.reshape(channels, height, width, -1).transpose(0, 3, 1, 2)[:, :, ::-1, ::-1]


def sources(
    layer: Synapse, before: Shape
) -> Iterator[tuple[Int64[np.ndarray, " outputs"], Int64[np.ndarray, " synapses"], Real[np.ndarray, " synapses"]]]:
    """The synapses that exist, output after output in file order, without the matrix of all.

    Yields:
        For some outputs at a time how many synapses each has; and of these, one output's after the other's, the flat
        inputs and the weights, none of them zero.
    """
    if isinstance(layer, Dense | RecurrentDense):
        weight = all_weights(layer)
        for start in range(0, len(weight), _ROWS):
            rows = weight[start : start + _ROWS]
            outputs, inputs = np.nonzero(rows)
            yield np.bincount(outputs, minlength=len(rows)), inputs, rows[outputs, inputs]
        return
    after = layer.output_shape(before)
    rows, columns = (reads(layer, before, after, axis) for axis in (0, 1))
    y, x, ky, kx = np.nonzero((rows >= 0)[:, None, :, None] & (columns >= 0)[None, :, None, :])  # in order of places
    place, read, tap = y * after[2] + x, rows[y, ky] * before[2] + columns[x, kx], ky * columns.shape[1] + kx
    weight = grouped(layer)
    for group, kernels in enumerate(weight.reshape(*weight.shape[:3], -1)):
        base = (group * len(kernels[0]) + np.arange(len(kernels[0]))) * (before[1] * before[2])
        for kernel in kernels:
            sent = kernel.T[tap]  # (reads of all places, inputs of the group)
            kept = sent != 0
            counts = np.bincount(place, weights=kept.sum(axis=1), minlength=after[1] * after[2])
            yield counts.astype(np.int64), (read[:, None] + base)[kept], sent[kept]


def cells(
    maps: Shaped[np.ndarray, "*lead channels height width"], factor: Pair
) -> Shaped[np.ndarray, "*lead held rows columns"]:
    """Maps on a coarse grid whose channels hold the pixels of a cell, as torch's ``pixel_unshuffle`` orders them.

    Args:
        maps: on the fine grid.
        factor: pixels of a cell, ``(y, x)``.

    Returns:
        Pixel ``(py, px)`` of channel c is channel ``(c * fy + py) * fx + px``; zeros fill up the last cells.
    """
    *lead, channels, height, width = maps.shape
    rows, columns = -(-height // factor[0]), -(-width // factor[1])
    padded = np.zeros((*lead, channels, rows * factor[0], columns * factor[1]), maps.dtype)
    padded[..., :height, :width] = maps
    split = padded.reshape(*lead, channels, rows, factor[0], columns, factor[1])
    n = len(lead)
    turned = split.transpose(*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return turned.reshape(*lead, channels * factor[0] * factor[1], rows, columns)


def pixels(
    held: Shaped[np.ndarray, "*lead held rows columns"], factor: Pair
) -> Shaped[np.ndarray, "*lead channels height width"]:
    """:func:`cells` undone, torch's ``pixel_shuffle``: ``(..., C * fy * fx, h, w)`` to ``(..., C, fy * h, fx * w)``."""
    *lead, channels, rows, columns = held.shape
    split = held.reshape(*lead, channels // math.prod(factor), *factor, rows, columns)
    n = len(lead)
    turned = split.transpose(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return turned.reshape(*lead, channels // math.prod(factor), rows * factor[0], columns * factor[1])


def lies_in_cells(layer: Synapse) -> TypeGuard[Conv | ConvTranspose]:
    """Whether a layer has a form on a coarser grid: a transposed convolution, or a convolution of stride 1."""
    return isinstance(layer, ConvTranspose) or (isinstance(layer, Conv) and layer.stride == (1, 1))


def factor_after(layer: Synapse, factor: Pair) -> Pair:
    """Pixels of a cell behind a layer, on one coarse grid, where there were ``factor`` before it."""
    if isinstance(layer, ConvTranspose):
        return factor[0] * layer.stride[0], factor[1] * layer.stride[1]
    return factor


def _cell_reads(layer: Conv | ConvTranspose, axis: int, factor: Pair) -> tuple[np.ndarray, ...]:
    """What the pixels of one output cell read along an axis: output pixel, input pixel, cells onward, tap."""
    inputs, exists = open_reads(layer, axis, np.arange(factor_after(layer, factor)[axis]))
    output, tap = np.nonzero(exists)
    onward, pixel = np.divmod(inputs[output, tap], factor[axis])
    return output, pixel, onward, tap


def cell_span(layer: Conv | ConvTranspose, axis: int, factor: Pair = (1, 1)) -> Pair:
    """The first and the last cell of the input, counted from an output's own, that the output's cell reads."""
    onward = _cell_reads(layer, axis, factor)[2]
    return int(onward.min()), int(onward.max())


def cell_taps(
    layer: Conv | ConvTranspose, axis: int, onward: Integer[np.ndarray, " onward"], factor: Pair = (1, 1)
) -> Int64[np.ndarray, "output_pixels input_pixels onward"]:
    """The tap by which a pixel of an output's cell reads a pixel of an input's, along one axis.

    Args:
        layer: that :func:`lies_in_cells`.
        axis: 0 for y, 1 for x.
        onward: how many cells on from the output's own the input's lies: whole numbers in a row that contain
            :func:`cell_span`.
        factor: pixels of a cell of the input, ``(y, x)``; of the output, see :func:`factor_after`.

    Returns:
        Taps; one past the last where there is none.
    """
    shape = (factor_after(layer, factor)[axis], factor[axis], len(onward))
    found = np.full(shape, layer.weight.shape[axis + 2])
    output, pixel, at, tap = _cell_reads(layer, axis, factor)
    found[output, pixel, at - onward[0]] = tap
    return found


def picked(
    kernels: Real[np.ndarray, "*lead kh kw"], y: Integer[np.ndarray, " ..."], x: Integer[np.ndarray, " ..."]
) -> Real[np.ndarray, " ..."]:
    """Kernels by taps, ``(..., *y.shape, *x.shape)``; 0 for the tap past the last."""
    padded = np.zeros((*kernels.shape[:-2], kernels.shape[-2] + 1, kernels.shape[-1] + 1), kernels.dtype)
    padded[..., :-1, :-1] = kernels
    return padded[..., y, :][..., x]

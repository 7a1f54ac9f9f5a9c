"""What the ONNX writers make of synapses: products of plain matrices and kernels, float and integer alike.

Rasters have time outermost, ``(steps, images, *shape)``, so that one product serves all steps: time is folded into the
batch, ``(steps * images, *shape)``.

1. On a 1x1 map any (transposed) convolution is the matrix of what each channel draws (:func:`drawn_maps`).
2. A transposed convolution with stride s is a plain one on the coarse grid whose output channels are the s * s phases
   of the fine grid, interleaved afterwards (:func:`phases`): no product is spent on the zeros of a stuffed map.
3. A dense layer with delays is one without, whose inputs are those of earlier steps (:func:`delayed`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export.ir import Conv, ConvTranspose, Dense, Shape
from export.onnx.graph import Graph

__all__ = ["Phases", "delayed", "drawn_maps", "interleaved", "phases"]


def drawn_maps(layer: Conv | ConvTranspose) -> np.ndarray:
    """What each input channel of a 1x1 map draws: ``(I, O*H*W)``, in the type of the weights."""
    transposed = isinstance(layer, ConvTranspose)
    inputs = layer.weight.shape[0] if transposed else layer.weight.shape[1] * layer.groups
    _, *size = layer.output_shape((inputs, 1, 1))
    taps = []
    for axis in range(2):
        reached = np.arange(size[axis]) + layer.padding[axis]
        if not transposed:
            reached = layer.padding[axis] - np.arange(size[axis]) * layer.stride[axis]
        taps.append(_taps(reached, layer.dilation[axis], layer.weight.shape[2 + axis]))
    grouped = layer.weight.reshape(layer.groups, -1, *layer.weight.shape[1:])  # g, I/g, O/g or g, O/g, I/g
    if not transposed:
        grouped = grouped.swapaxes(1, 2)
    drawn = _picked(grouped, taps)
    matrix = np.zeros((layer.groups, drawn.shape[1], layer.groups, *drawn.shape[2:]), layer.weight.dtype)
    for group in range(layer.groups):
        matrix[group, :, group] = drawn[group]
    return matrix.reshape(inputs, -1)


@dataclass(frozen=True, eq=False)
class Phases:
    """A transposed convolution on the coarse grid.

    Attributes:
        weight: ``(O*sy*sx, I/groups, my, mx)``, channels ``(group, O/groups, sy, sx)``: a plain kernel of stride 1.
        crop: for each axis, first and last row of the input that is read, ``(first, last + 1)``.
        pads: zeros before (y, x) and after (y, x).
        grid: rows and columns that the kernel yields; interleaved they cover the output, which is cut to size.
    """

    weight: np.ndarray
    crop: tuple[tuple[int, int], tuple[int, int]]
    pads: tuple[int, int, int, int]
    grid: tuple[int, int]


def phases(layer: ConvTranspose, before: Shape, after: Shape) -> Phases:
    """The plain convolution that yields the phases of a transposed one.

    Row ``y = s * q + r`` of the output is where tap k of input row i lands if ``s * i + d * k - p = y``; with
    ``i = q - m`` this is ``d * k = s * m + r + p``: for each phase r and offset m at most one tap. The offsets m from
    ``-((s - 1 + p) // s)`` to ``(d * (k - 1) - p) // s`` are the coarse kernel's taps, in reversed order.
    """
    taps, crop, grid, pads = [], [], [], ([], [])  # type: ignore[var-annotated]
    for axis in range(2):
        s, p, d = layer.stride[axis], layer.padding[axis], layer.dilation[axis]
        rows, wanted, size = before[1 + axis], after[1 + axis], layer.weight.shape[2 + axis]
        first = -((s - 1 + p) // s)
        # Where padding and output padding leave nothing of the input, a tap without weight reads its last row.
        last = max((d * (size - 1) - p) // s, 1 - rows)
        offsets = np.arange(max(last, first), first - 1, -1)
        taps.append(_taps(s * offsets[None, :] + np.arange(s)[:, None] + p, d, size))
        cells = -(-wanted // s)
        start, stop = -int(offsets[0]), cells - first  # input rows that are read, those beyond it included
        crop.append((max(start, 0), min(stop, rows)))
        pads[0].append(max(-start, 0))
        pads[1].append(max(stop - rows, 0))
        grid.append(cells)
    inputs, per_group = layer.weight.shape[:2]
    grouped = layer.weight.reshape(layer.groups, inputs // layer.groups, per_group, *layer.weight.shape[2:])
    picked = _picked(grouped, taps)  # g, I/g, O/g, sy, my, sx, mx
    kernel = picked.transpose(0, 2, 3, 5, 1, 4, 6)
    (sy, my), (sx, mx) = (tap.shape for tap in taps)
    weight = np.ascontiguousarray(kernel).reshape(-1, inputs // layer.groups, my, mx)
    assert len(weight) == after[0] * sy * sx
    return Phases(weight, (crop[0], crop[1]), (*pads[0], *pads[1]), (grid[0], grid[1]))


def interleaved(graph: Graph, value: str, layer: ConvTranspose, grid: tuple[int, int], after: Shape) -> str:
    """Phases ``(rows, O*sy*sx, *grid)`` as the map that they make up: ``(rows, *after)``."""
    if layer.stride != (1, 1):
        cells = graph.reshape(value, (-1, after[0], *layer.stride, *grid))
        turned = graph.op("Transpose", cells, perm=[0, 1, 4, 2, 5, 3])
        full = tuple(s * n for s, n in zip(layer.stride, grid, strict=True))
        value = graph.reshape(turned, (-1, after[0], *full))
        if full != after[1:]:
            value = sliced(graph, value, ((0, after[1]), (0, after[2])), axes=(2, 3))
    return value


def sliced(graph: Graph, value: str, ranges: tuple[tuple[int, int], ...], axes: tuple[int, ...]) -> str:
    """``value[first:last]`` along each of some axes."""
    first, last = ([pair[side] for pair in ranges] for side in (0, 1))
    return graph.op("Slice", value, *(graph.constant(x, np.int64) for x in (first, last, axes)))


def delayed(graph: Graph, raster: str, layer: Dense) -> tuple[str, np.ndarray]:
    """Inputs as they arrive after their delays, and the matrix for them.

    Args:
        graph: gets the operators.
        raster: uint8 ``(steps, images, inputs)``.
        layer: dense, with delays or without.

    Returns:
        A raster ``(steps, images, arrivals)`` and a matrix ``(arrivals, outputs)``: each pair of an input and a delay
        that a synapse with a weight has is one arrival.
    """
    if layer.delay is None or not layer.delay.any():
        return raster, layer.weight.T
    parts, rows = [], []
    for delay in np.unique(layer.delay):
        weight = np.where(layer.delay == delay, layer.weight, 0).T
        used = np.flatnonzero(weight.any(axis=1))
        if not len(used):
            continue
        part = graph.op("Gather", raster, graph.constant(used, np.int64), axis=2)
        if delay:
            pads = graph.constant([int(delay), 0, 0, 0, 0, 0], np.int64)
            part = sliced(graph, graph.op("Pad", part, pads), ((0, -int(delay)),), axes=(0,))
        parts.append(part)
        rows.append(weight[used])
    if not parts:
        return raster, np.zeros_like(layer.weight.T)
    return graph.op("Concat", *parts, axis=2), np.concatenate(rows)


def _taps(reached: np.ndarray, dilation: int, size: int) -> np.ndarray:
    """Which tap of a dilated kernel reaches so far; ``size`` where none does."""
    tap, rest = np.divmod(reached, dilation)
    return np.where((rest == 0) & (tap >= 0) & (tap < size), tap, size)


def _picked(grouped: np.ndarray, taps: list[np.ndarray]) -> np.ndarray:
    """Kernels ``(..., kh, kw)`` with the axes of ``taps`` in the place of the last two; 0 where there is no tap."""
    padded = np.zeros((*grouped.shape[:-2], grouped.shape[-2] + 1, grouped.shape[-1] + 1), grouped.dtype)
    padded[..., :-1, :-1] = grouped
    return padded[..., taps[0], :][..., taps[1]]

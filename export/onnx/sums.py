"""What the ONNX writers make of synapses: products of plain matrices and kernels, float and integer alike.

Rasters have time outermost, ``(steps, images, *shape)``, so that one product serves all steps: time is folded into the
batch, ``(steps * images, *shape)``.

1. On a 1x1 map any (transposed) convolution is a matrix (:func:`~export.ir.geometry.matrix`).
2. A transposed convolution with stride s is a plain one on the coarse grid whose output channels are the s * s phases
   of the fine grid, interleaved afterwards (:func:`~export.ir.phases.phases`).
3. A dense layer with delays is one without, whose inputs are those of earlier steps (:func:`delayed`).
"""

from __future__ import annotations

import numpy as np

from esvae.arrays import Integer, Real
from export.ir import ConvTranspose, Dense, Shape
from export.onnx.graph import OnnxGraph

__all__ = ["byte_kernels", "delayed", "interleaved", "sliced", "wrapped"]

#: Numbers of an 8 bit kernel.
_UINT8 = 255


def interleaved(graph: OnnxGraph, value: str, layer: ConvTranspose, grid: tuple[int, int], after: Shape) -> str:
    """Phases ``(rows, O*sy*sx, *grid)`` as the map that they make up: ``(rows, *after)``."""
    if layer.stride != (1, 1):
        value = graph.pixels(value, (after[0], *grid), layer.stride)
        if tuple(s * n for s, n in zip(layer.stride, grid, strict=True)) != after[1:]:
            value = sliced(graph, value, ((0, after[1]), (0, after[2])), axes=(2, 3))
    return value


def sliced(graph: OnnxGraph, value: str, ranges: tuple[tuple[int, int], ...], axes: tuple[int, ...]) -> str:
    """``value[first:last]`` along each of some axes."""
    first, last = ([pair[side] for pair in ranges] for side in (0, 1))
    return graph.op("Slice", value, *(graph.constant(x, np.int64) for x in (first, last, axes)))


def delayed(graph: OnnxGraph, raster: str, layer: Dense) -> tuple[str, Real[np.ndarray, "arrivals outputs"]]:
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


def byte_kernels(weight: Integer[np.ndarray, "*weight"]) -> list[tuple[Integer[np.ndarray, "*weight"], int, int]]:
    """Kernels whose products make up those of ``weight``: uint8 numbers, their zero point, and by what they count."""
    weight = weight.astype(np.int16)
    low, high = min(int(weight.min()), 0), max(int(weight.max()), 0)
    if high - low <= _UINT8:
        return [(weight - low, -low, 1)]
    halves, odd = weight >> 1, weight & 1
    zero = -(low >> 1)
    found = [(halves + zero, zero, 2)]
    return found if not odd.any() else [*found, (odd, 0, 1)]


def wrapped(graph: OnnxGraph, value: str, bits: int) -> str:
    """int64 modulo ``2^bits``: two's complement."""
    half = graph.constant(1 << (bits - 1), np.int64)
    turned = graph.op("Mod", graph.op("Add", value, half), graph.constant(1 << bits, np.int64))
    return graph.op("Sub", turned, half)

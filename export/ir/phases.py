"""A transposed convolution as a plain one on the coarse grid, whose output channels are the phases of the fine grid.

With stride s there are s * s phases, interleaved afterwards: no product is spent on the zeros of a stuffed map.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from esvae.arrays import Real
from export.ir.geometry import cell_span, cell_taps, grouped, picked
from export.ir.nodes import ConvTranspose, Shape

__all__ = ["Phases", "phases"]


@dataclass(frozen=True, eq=False)
class Phases:
    """A transposed convolution on the coarse grid.

    Attributes:
        weight: ``(O*sy*sx, I/groups, my, mx)``, channels ``(group, O/groups, sy, sx)``: a plain kernel of stride 1.
        crop: for each axis, first and last row of the input that is read, ``(first, last + 1)``.
        pads: zeros before (y, x) and after (y, x).
        grid: rows and columns that the kernel yields; interleaved they cover the output, which is cut to size.
    """

    weight: Real[np.ndarray, "channels inputs my mx"]
    crop: tuple[tuple[int, int], tuple[int, int]]
    pads: tuple[int, int, int, int]
    grid: tuple[int, int]


def phases(layer: ConvTranspose, before: Shape, after: Shape) -> Phases:
    """The plain convolution that yields the phases of a transposed one.

    The phases are the pixels of a cell of the output where the input's cell has one: see
    :func:`~export.ir.geometry.cell_taps`.
    """
    taps, crop, grid, pads = [], [], [], ([], [])  # type: ignore[var-annotated]
    for axis in range(2):
        rows, cells = before[1 + axis], -(-after[1 + axis] // layer.stride[axis])
        first, last = cell_span(layer, axis)
        # Where padding and output padding leave nothing of the input, a tap without weight reads its last row.
        start, stop = min(first, rows - 1), cells + last  # input rows that are read, those beyond it included
        taps.append(cell_taps(layer, axis, np.arange(start, last + 1))[:, 0])
        crop.append((max(start, 0), min(stop, rows)))
        pads[0].append(max(-start, 0))
        pads[1].append(max(stop - rows, 0))
        grid.append(cells)
    kernel = picked(grouped(layer), *taps).transpose(0, 1, 3, 5, 2, 4, 6)  # from g, O/g, I/g, sy, my, sx, mx
    (sy, my), (sx, mx) = (tap.shape for tap in taps)
    weight = np.ascontiguousarray(kernel).reshape(after[0] * sy * sx, -1, my, mx)
    return Phases(weight, (crop[0], crop[1]), (*pads[0], *pads[1]), (grid[0], grid[1]))

"""Where a neuron of the float layer is in the file: lowering moves neurons, and this moves them back.

A layer of the float decoder has the shape ``(C, H, W)``. The file holds it as it is, unrolled into features with the
channels outermost, or on a coarse grid whose channels hold the pixels of a cell (:func:`export.ir.geometry.cells`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from esvae.arrays import Shaped
from export.ir import Shape
from export.ir.geometry import cells, pixels

__all__ = ["Layout", "find_layout"]


@dataclass(frozen=True)
class Layout:
    """How a file holds a layer.

    Attributes:
        shape: of the float layer, ``(C, H, W)``.
        held: of the file's.
        factor: pixels of a cell ``(y, x)``; None where the file's layer is unrolled.
    """

    shape: Shape
    held: Shape
    factor: tuple[int, int] | None

    @property
    def name(self) -> str:
        """``same``, ``flat`` or ``cells 2x2``."""
        if self.factor is None:
            return "flat"
        return "same" if self.factor == (1, 1) else f"cells {self.factor[0]}x{self.factor[1]}"

    def restored(
        self, values: Shaped[np.ndarray, "*lead_and_held"]
    ) -> Shaped[np.ndarray, "*lead channels height width"]:
        """Of the file's neurons ``(..., *held)`` those of the float layer, ``(..., C, H, W)``."""
        lead = values.shape[: values.ndim - len(self.held)]
        if self.factor is None or self.factor == (1, 1):
            return values.reshape(*lead, *self.shape)
        return pixels(values, self.factor)[..., : self.shape[1], : self.shape[2]]

    def held_as(
        self, values: Shaped[np.ndarray, "*lead channels height width"]
    ) -> Shaped[np.ndarray, "*lead_and_held"]:
        """Of the float layer's neurons ``(..., C, H, W)`` the file's, ``(..., *held)``; zeros fill cells up."""
        lead = values.shape[:-3]
        if self.factor is None or self.factor == (1, 1):
            return values.reshape(*lead, *self.held)
        return cells(values, self.factor)


def find_layout(shape: Shape, held: Shape) -> Layout | str:
    """The layout, or why there is none that these shapes tell of.

    >>> find_layout((3, 4, 4), (12, 2, 2)).name
    'cells 2x2'
    """
    if len(held) == 1:
        if held[0] == math.prod(shape):
            return Layout(shape, held, None)
        return f"the file's layer has {held[0]} neurons, the float layer {math.prod(shape)}"
    ratio, rest = divmod(held[0], shape[0])
    fits = [
        (fy, ratio // fy)
        for fy in range(1, ratio + 1)
        if rest == 0 and ratio % fy == 0 and held[1:] == (-(-shape[1] // fy), -(-shape[2] // (ratio // fy)))
    ]
    if len(fits) != 1:
        return f"the file's layer {held} is no layout of the float layer {shape} that this project writes"
    return Layout(shape, held, fits[0])

"""How counts are distributed over images: of whole windows every image's, of each step moments that take no memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from esvae.arrays import Int64

__all__ = ["QUANTITIES", "Spread", "StepCounts", "StepMoments", "spread_over"]

#: What is counted of a layer, in the order of the last axis of tables.
QUANTITIES = ("spikes_in", "synops", "spikes")


@dataclass(frozen=True)
class Spread:
    """How a count is distributed over images.

    Attributes:
        mean, std: over the images (standard deviation of the population).
        low, median, high: the images at 5, 50 and 95 %, or None where only moments are kept.
        min, max: of one image.
    """

    mean: float
    std: float
    min: int
    max: int
    low: int | None = None
    median: int | None = None
    high: int | None = None


@dataclass(frozen=True)
class StepCounts:
    """One layer's work in each step of the window, over images; every tuple has one entry a step."""

    spikes_in: tuple[Spread, ...]
    synops: tuple[Spread, ...]
    spikes: tuple[Spread, ...]


class StepMoments:
    """Sums, squares and extremes over images, for each step and quantity: whole numbers without a bound."""

    def __init__(self, steps: int) -> None:
        shape = (steps, len(QUANTITIES))
        self._sum, self._squares = np.zeros(shape, object), np.zeros(shape, object)
        self._min, self._max = np.full(shape, np.iinfo(np.int64).max), np.zeros(shape, np.int64)

    def __len__(self) -> int:
        return len(self._sum)

    def add(self, table: Int64[np.ndarray, "steps quantities images"]) -> None:
        """Takes int64 ``(steps, quantities, images)``."""
        largest = int(table.max(initial=0))
        wide = largest * largest * table.shape[2] > np.iinfo(np.int64).max
        squares = np.square(table.astype(object) if wide else table).sum(axis=2)
        self._merge(table.sum(axis=2), squares, table.min(axis=2), table.max(axis=2))

    def merge(self, other: StepMoments) -> None:
        """Takes those of other images."""
        self._merge(other._sum, other._squares, other._min, other._max)

    def _merge(self, total: np.ndarray, squares: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        self._sum += total
        self._squares += squares
        self._min, self._max = np.minimum(self._min, low), np.maximum(self._max, high)

    def spreads(self, images: int) -> StepCounts:
        return StepCounts(*(self._column(i, images) for i in range(len(QUANTITIES))))

    def _column(self, i: int, images: int) -> tuple[Spread, ...]:
        columns = (x[:, i] for x in (self._sum, self._squares, self._min, self._max))
        return tuple(
            Spread(
                mean=int(total) / images,
                std=math.sqrt(int(squares) * images - int(total) ** 2) / images,
                min=int(low),
                max=int(high),
            )
            for total, squares, low, high in zip(*columns, strict=True)
        )


def spread_over(values: Int64[np.ndarray, " images"]) -> Spread:
    """Of one count of every image."""
    low, median, high = (int(q) for q in np.quantile(values, (0.05, 0.5, 0.95), method="inverted_cdf"))
    mean = int(values.sum()) / len(values)
    return Spread(mean, float(values.std()), int(values.min()), int(values.max()), low, median, high)

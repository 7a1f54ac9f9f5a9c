"""Ways to choose a layer's scale from its weights alone, each a pure function.

A smaller range than the largest weight's clips a few weights and makes the steps between all others finer, which pays
with few bits.
"""

from __future__ import annotations

import numpy as np

from esvae.arrays import Float64
from esvae.chip.rounding import WeightGrid

__all__ = ["CLIPPINGS", "max_scale", "mse_scale", "percentile_scale"]

#: Shares of the largest weight that are tried as the largest level.
CLIPPINGS = tuple(np.linspace(1.0, 0.2, 81).tolist())


def max_scale(weight: Float64[np.ndarray, "*weight"], grid: WeightGrid) -> float:
    """The largest weight meets the largest level; nothing is clipped."""
    return grid.top / float(np.abs(weight).max())


def percentile_scale(weight: Float64[np.ndarray, "*weight"], grid: WeightGrid, percentile: float = 99.5) -> float:
    """That percentile of the weights' magnitudes meets the largest level; those above it are clipped to it."""
    at = float(np.percentile(np.abs(weight), percentile))
    return grid.top / at if at > 0 else max_scale(weight, grid)


def mse_scale(weight: Float64[np.ndarray, "*weight"], grid: WeightGrid) -> float:
    """The scale at which rounding and clipping change the weights least, in mean square."""
    best, least = max_scale(weight, grid), np.inf
    for share in CLIPPINGS:
        scale = max_scale(weight, grid) / share
        error = float(np.square(grid.weights(weight, scale) / scale - weight).sum())
        if error < least:
            best, least = scale, error
    return best

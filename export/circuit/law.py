"""The law that a neuron fires by when random bits are summed: exact probabilities, from the weights alone."""

from __future__ import annotations

import numpy as np

from esvae.arrays import Float64, Integer

__all__ = ["SumLaw", "logistic", "logistic_error"]


class SumLaw:
    """The distribution of ``sum of w * e`` with fair, independent signs ``e``.

    Args:
        weights: whole numbers, of any sign.
    """

    def __init__(self, weights: Integer[np.ndarray, " bits"]) -> None:
        sizes = np.abs(weights).tolist()
        self.reach = sum(sizes)
        mass = np.zeros(2 * self.reach + 1)
        mass[self.reach] = 1.0
        for size in sizes:
            mass = (np.roll(mass, size) + np.roll(mass, -size)) / 2
        # Above each value: what lies beyond it.
        self._above = np.concatenate([np.cumsum(mass[::-1])[::-1][1:], [0.0]])

    def fires(self, drive: Integer[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
        """The probability that ``drive`` plus the sum is above 0."""
        at = np.asarray(-drive, np.int64) + self.reach
        inside = self._above[np.clip(at, 0, 2 * self.reach)]
        return np.where(at < 0, 1.0, inside)


def logistic(x: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """``1 / (1 + exp(-x))``, the rate of a logit."""
    return 1.0 / (1.0 + np.exp(-x))


def logistic_error(law: SumLaw, unit: float) -> float:
    """The largest distance from the logistic, over all odd drives; ``unit`` of drive is a logit of 1."""
    drive = np.arange(-law.reach - 1 | 1, law.reach + 2, 2)
    return float(np.abs(law.fires(drive) - logistic(drive / unit)).max())

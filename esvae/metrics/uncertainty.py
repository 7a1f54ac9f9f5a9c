"""Estimates with their 95 % confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from esvae.arrays import Bool, Real
from esvae.metrics.distances import frechet_distance, kernel_distance, moments

__all__ = [
    "KERNEL_BLOCKS",
    "Estimate",
    "frechet_estimate",
    "frechet_estimates_of_pairs",
    "kernel_estimate",
    "mean_estimate",
    "share_estimate",
    "unbiased_frechet_estimate",
]

LEVEL = 0.95
_GROUPS = 50
#: Disjoint blocks of images, of which each gives one KID.
KERNEL_BLOCKS = 10


@dataclass(frozen=True)
class Estimate:
    """A number from a sample.

    Attributes:
        value: the estimate.
        low, high: of its confidence interval; None where there is none.
    """

    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        interval = "" if self.low is None else f" [{self.low:.4g}, {self.high:.4g}]"
        return f"{self.value:.4g}{interval}"


def frechet_estimate(
    generated: Real[np.ndarray, "n features"], real: Real[np.ndarray, "m features"], seed: int = 0
) -> Estimate:
    """Fréchet distance of two sets of features, as it is published: of so many images, and too high for that.

    The interval is of the distance of as many other images.

    Args:
        generated, real: at least 4 rows each.
        seed: of the groups of the jackknife.
    """
    value, _, half = _frechet_jackknife(generated, real, seed)
    return Estimate(value, max(0.0, value - half), value + half)


def unbiased_frechet_estimate(
    generated: Real[np.ndarray, "n features"], real: Real[np.ndarray, "m features"], seed: int = 0
) -> Estimate:
    """Fréchet distance of the distributions behind two sets of features; below zero by chance where they are equal.

    The distance of N images is too high by about a constant over N. The jackknife (Quenouille, 1956) extrapolates to
    infinitely many, as FID-infinity does by a line through several N (Chong and Forsyth, CVPR 2020).

    Args:
        generated, real, seed: as in :func:`frechet_estimate`.
    """
    _, corrected, half = _frechet_jackknife(generated, real, seed)
    return Estimate(corrected, corrected - half, corrected + half)


def frechet_estimates_of_pairs(
    left: Real[np.ndarray, "n features"],
    right: Real[np.ndarray, "n features"],
    real: Real[np.ndarray, "m features"],
    seed: int = 0,
) -> tuple[Estimate, Estimate, Estimate]:
    """:func:`frechet_estimate` of two sets whose rows are pairs, and of the second's distance less the first's.

    Pairs are left out together, so that what both sides have in common cancels in the difference.

    Args:
        left, right, real, seed: as in :func:`frechet_estimate`.
    """

    def distances(pairs: np.ndarray, others: np.ndarray) -> np.ndarray:
        target = moments(others)
        one, other = (frechet_distance(moments(pairs[:, side]), target) for side in range(2))
        return np.array([one, other, other - one])

    values, _, halves = _jackknife(distances, np.stack([left, right], 1), real, seed=seed)
    found = zip(values, halves, (0.0, 0.0, -math.inf), strict=True)  # a distance is none below zero
    one, other, gap = (Estimate(float(v), float(max(least, v - half)), float(v + half)) for v, half, least in found)
    return one, other, gap


def _frechet_jackknife(generated: np.ndarray, real: np.ndarray, seed: int) -> tuple[float, float, float]:
    """The distance, the same without its bias, and half of the interval's width."""

    def distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.array([frechet_distance(moments(one), moments(other))])

    value, corrected, half = _jackknife(distance, generated, real, seed=seed)
    return float(value[0]), float(corrected[0]), float(half[0])


def _jackknife(
    figures: Callable[[np.ndarray, np.ndarray], np.ndarray], generated: np.ndarray, real: np.ndarray, *, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Figures of two sets of rows, the same without their bias, and half of each interval's width: each of up to 50
    groups of rows is left out once, on both sides at a time (Efron and Tibshirani, 1993, chapter 11)."""
    groups = min(_GROUPS, len(generated) // 2, len(real) // 2)
    draws = np.random.default_rng(seed)
    sides = [(rows, draws.permutation(len(rows)) % groups) for rows in (generated, real)]
    values = figures(generated, real)
    left_out = np.array([figures(*(rows[group != k] for rows, group in sides)) for k in range(groups)])
    pseudo = [mean_estimate(column) for column in (groups * values - (groups - 1) * left_out).T]
    halves = [0.0 if each.high is None else each.high - each.value for each in pseudo]
    return values, np.array([each.value for each in pseudo]), np.array(halves)


def kernel_estimate(
    generated: Real[np.ndarray, "n features"], real: Real[np.ndarray, "m features"], seed: int = 0
) -> Estimate:
    """KID as the mean over disjoint blocks of the features, whose spread gives the interval (Zaremba et al., 2013).

    Args:
        generated, real: at least 20 rows each.
    """
    draws = np.random.default_rng(seed)
    parts = [np.array_split(draws.permutation(features), KERNEL_BLOCKS) for features in (generated, real)]
    return mean_estimate(np.array([kernel_distance(left, right) for left, right in zip(*parts, strict=True)]))


def mean_estimate(values: Real[np.ndarray, " images"]) -> Estimate:
    """The mean of independent values, with Student's interval."""
    value, count = float(values.mean()), len(values)
    half = float(stats.t.ppf((1 + LEVEL) / 2, count - 1) * values.std(ddof=1) / math.sqrt(count))
    return Estimate(value, value - half, value + half)


def share_estimate(hits: Bool[np.ndarray, " images"]) -> Estimate:
    """The share of ``hits``, with Wilson's interval."""
    interval = stats.binomtest(int(hits.sum()), len(hits)).proportion_ci(LEVEL, method="wilson")
    return Estimate(float(hits.mean()), float(interval.low), float(interval.high))

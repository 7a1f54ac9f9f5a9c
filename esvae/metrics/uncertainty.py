"""Estimates with their 95 % confidence intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Real
from scipy import stats

from esvae.metrics.distances import frechet_distance, kernel_distance, moments

__all__ = ["Estimate", "frechet_estimate", "kernel_estimate", "mean_estimate", "share_estimate"]

LEVEL = 0.95
_RESAMPLES = 200
_BLOCKS = 10


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
    """Fréchet distance of two sets of features.

    The estimate is biased upwards, by about the trace of the covariance over N, and so is every resample of it once
    more; the basic bootstrap interval (Davison and Hinkley, 1997, section 5.2) takes that off, so that it can lie
    wholly below the estimate.
    """
    value = frechet_distance(moments(generated), moments(real))
    draws = np.random.default_rng(seed)

    def resampled(features: np.ndarray) -> np.ndarray:
        return draws.multinomial(len(features), np.full(len(features), 1 / len(features)))

    values = [
        frechet_distance(moments(generated, resampled(generated)), moments(real, resampled(real)))
        for _ in range(_RESAMPLES)
    ]
    below, above = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, max(0.0, float(2 * value - above)), max(0.0, float(2 * value - below)))


def kernel_estimate(
    generated: Real[np.ndarray, "n features"], real: Real[np.ndarray, "m features"], seed: int = 0
) -> Estimate:
    """KID as the mean over disjoint blocks of the features, whose spread gives the interval (Zaremba et al., 2013).

    Args:
        generated, real: at least 20 rows each.
    """
    draws = np.random.default_rng(seed)
    parts = [np.array_split(draws.permutation(features), _BLOCKS) for features in (generated, real)]
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

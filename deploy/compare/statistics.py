"""Intervals of differences from pairs, and what a Fréchet distance of few images is too large by.

Both decoders get the same latent spikes, so their figures rise and fall together from one set of images to another;
an interval of the difference that keeps the pairs is far narrower than those of the two figures.
"""

from __future__ import annotations

import numpy as np

from deploy.compare.types import PairedFigure
from esvae.arrays import Bool, Float64, Real
from esvae.metrics.distances import kernel_distance
from esvae.metrics.uncertainty import KERNEL_BLOCKS, Estimate, mean_estimate, share_estimate

__all__ = ["frechet_bias", "kernel_pair", "mean_pair", "share_pair"]

#: What one figure of a pair is: float's, quantized's, and that of their difference.
Three = tuple[Estimate, Estimate, Estimate]


def mean_pair(left: Real[np.ndarray, " images"], right: Real[np.ndarray, " images"]) -> PairedFigure:
    """Means of values of the same images, float's and quantized's; Student's intervals."""
    return PairedFigure(mean_estimate(left), mean_estimate(right), mean_estimate(right - left), len(left))


def share_pair(left: Bool[np.ndarray, " images"], right: Bool[np.ndarray, " images"]) -> Three:
    """Shares of hits: Wilson's intervals, and Student's of the difference of the pairs."""
    gap = right.astype(np.float64) - left.astype(np.float64)
    return share_estimate(left), share_estimate(right), mean_estimate(gap)


def kernel_pair(
    left: Real[np.ndarray, "images features"],
    right: Real[np.ndarray, "images features"],
    real: Real[np.ndarray, "others features"],
    seed: int = 0,
) -> Three:
    """KID of two sets of features, whose rows are pairs: means over disjoint blocks of the same images."""
    draws = np.random.default_rng(seed)
    order = np.array_split(draws.permutation(len(left)), KERNEL_BLOCKS)
    others = np.array_split(draws.permutation(real), KERNEL_BLOCKS)
    one, other = (
        np.array([kernel_distance(side[rows], block) for rows, block in zip(order, others, strict=True)])
        for side in (left, right)
    )
    return mean_estimate(one), mean_estimate(other), mean_estimate(other - one)


def frechet_bias(covariance: Float64[np.ndarray, "features features"], count: int, other: int) -> float:
    """What the Fréchet distance of ``count`` and ``other`` samples is on average where both are of one Gaussian.

    To first order in 1/N, with the eigenvalues l of the covariance, ``(1/count + 1/other)`` times
    ``sum l_i + sum_ij l_i l_j / (2 (l_i + l_j)) + sum l_i / 4``: the means' share, and the covariances', of which the
    second-order form of the Bures distance is ``1/2 sum E_ij^2 / (l_i + l_j)``, the error's variance being
    ``Var E_ij = l_i l_j (1 + d_ij) / N``.

    Args:
        covariance: of the features.
        count, other: samples of both sides.
    """
    values = np.linalg.eigvalsh(covariance).clip(0)
    pairs = values[:, None] + values[None]
    products = np.divide(values[:, None] * values[None], 2 * pairs, out=np.zeros_like(pairs), where=pairs > 0)
    return float((1 / count + 1 / other) * (values.sum() + products.sum() + values.sum() / 4))

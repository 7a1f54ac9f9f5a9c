"""A prior of fewer components: the nearest ones merged, each pair into the normal of its mean and covariance.

Which pair goes next is Runnalls' choice (IEEE Trans. Aerospace and Electronic Systems 43, 2007): the one for which a
bound on the Kullback-Leibler divergence that the merging costs is least, ``(w log det P - w_i log det P_i - w_j log
det P_j) / 2``, P the merged covariance and w the sum of both shares. Mean and covariance of the whole mixture stay.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np

from esvae.arrays import Float64
from export.ir import Prior

__all__ = ["merged_prior"]

#: Keeps determinants of logits that do not vary in some direction above 0; far below what weights can tell.
_RIDGE = 1e-6


@dataclass(frozen=True, eq=False)
class _Normal:
    """A component of a mixture: its share, mean ``(latents,)`` and covariance ``(latents, latents)``."""

    share: float
    mean: Float64[np.ndarray, " latents"]
    covariance: Float64[np.ndarray, "latents latents"]

    @property
    def spread(self) -> float:
        """Share times log det."""
        ridge = _RIDGE * np.eye(len(self.mean))
        return self.share * float(np.linalg.slogdet(self.covariance + ridge)[1])

    def merged(self, other: _Normal) -> _Normal:
        """Of the same mean and covariance as both together."""
        share = self.share + other.share
        left, right = self.share / share, other.share / share
        gap = self.mean - other.mean
        covariance = left * self.covariance + right * other.covariance + left * right * np.outer(gap, gap)
        return _Normal(share, left * self.mean + right * other.mean, covariance)


def merged_prior(prior: Prior, components: int) -> Prior:
    """The prior with so many components, or as it is where it has no more.

    Args:
        prior: of any mixture; components without a share go first.
        components: that are kept, at least 1.
    """
    if components >= len(prior.share):
        return prior
    weight = prior.weight.astype(np.float64)
    share = prior.share.astype(np.float64) / prior.share.sum(dtype=np.float64)
    kept = dict(enumerate(map(_Normal, share, prior.bias.astype(np.float64), weight @ weight.swapaxes(1, 2))))
    kept = {at: normal for at, normal in kept.items() if normal.share > 0}
    costs = {pair: _cost(*(kept[at] for at in pair)) for pair in itertools.combinations(kept, 2)}
    while len(kept) > components:
        first, second = min(costs, key=lambda pair: costs[pair])
        kept[first] = kept[first].merged(kept.pop(second))
        costs = {pair: cost for pair, cost in costs.items() if not {first, second} & set(pair)}
        costs |= {(first, at): _cost(kept[first], normal) for at, normal in kept.items() if at != first}
    factors = np.stack([_factor(normal.covariance) for normal in kept.values()])
    means = np.stack([normal.mean for normal in kept.values()])
    shares = np.array([normal.share for normal in kept.values()])
    return replace(prior, weight=factors.astype("f4"), bias=means.astype("f4"), share=shares.astype("f4"))


def _cost(one: _Normal, other: _Normal) -> float:
    return (one.merged(other).spread - one.spread - other.spread) / 2


def _factor(covariance: Float64[np.ndarray, "latents latents"]) -> Float64[np.ndarray, "latents latents"]:
    """A matrix whose product with its transpose it is."""
    scale, axes = np.linalg.eigh(covariance)
    return np.asarray(axes * np.sqrt(np.maximum(scale, 0)))

"""Distances between two sets of features, a row an image: Fréchet, kernel, and precision and recall."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from esvae.arrays import Bool, Float64, Real

__all__ = [
    "Moments",
    "frechet_distance",
    "kernel_distance",
    "moments",
    "nearest_distances",
    "precision_recall",
]

_ROWS = 1000  # of a distance matrix at a time, which bounds the memory


@dataclass(frozen=True)
class Moments:
    """Mean and covariance of features."""

    mean: Float64[np.ndarray, " features"]
    covariance: Float64[np.ndarray, "features features"]


def moments(features: Real[np.ndarray, "images features"]) -> Moments:
    """Mean and unbiased covariance of at least 2 rows."""
    if len(features) < 2:
        raise ValueError(f"moments need at least 2 rows, got {len(features)}")
    x = features.astype(np.float64)
    mean = x.mean(axis=0)
    centred = x - mean
    return Moments(mean, centred.T @ centred / (len(x) - 1))


def frechet_distance(left: Moments, right: Moments) -> float:
    """Squared Fréchet distance of two Gaussians (Dowson and Landau, 1982; Heusel et al., 2017).

    ``|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))``. The trace of the root is the sum of the singular values of
    ``C1^(1/2) C2^(1/2)``, which exist for singular covariances too.
    """
    gap = left.mean - right.mean
    root = np.linalg.svd(_root(left.covariance) @ _root(right.covariance), compute_uv=False).sum()
    squared = gap @ gap + np.trace(left.covariance) + np.trace(right.covariance) - 2 * root
    return max(0.0, float(squared))


def _root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    root: np.ndarray = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    return root


def kernel_distance(left: Real[np.ndarray, "n features"], right: Real[np.ndarray, "m features"]) -> float:
    """Squared maximum mean discrepancy with the kernel ``(x.y / D + 1)^3``: KID (Bińkowski et al., 2018).

    The unbiased estimate: zero on average for equal distributions, so it can be below zero.

    Args:
        left, right: at least 2 rows each.
    """
    x, y = left.astype(np.float64), right.astype(np.float64)
    n, m = len(x), len(y)

    def total(a: np.ndarray, b: np.ndarray) -> float:
        return float(sum(((part @ b.T / a.shape[1] + 1) ** 3).sum() for part in np.array_split(a, -(-len(a) // _ROWS))))

    def itself(a: np.ndarray) -> float:
        return float((((a * a).sum(1) / a.shape[1] + 1) ** 3).sum())

    within = (total(x, x) - itself(x)) / (n * (n - 1)) + (total(y, y) - itself(y)) / (m * (m - 1))
    return within - 2 * total(x, y) / (n * m)


def precision_recall(
    generated: Real[np.ndarray, "n features"], real: Real[np.ndarray, "m features"], neighbours: int = 3
) -> tuple[Bool[np.ndarray, " n"], Bool[np.ndarray, " m"]]:
    """Which generated features lie among the real ones, and which real ones among the generated.

    (Kynkäänniemi et al., NeurIPS 2019.) A feature lies among a set where it is no further from one of its members
    than that member's ``neighbours``-th nearest neighbour in the set.

    Args:
        generated, real: the two sets.
        neighbours: k.

    Returns:
        For each generated and for each real row, whether it does; their means are precision and recall.
    """
    g, r = torch.from_numpy(generated).double(), torch.from_numpy(real).double()
    return _covered(g, r, _radii(r, neighbours)), _covered(r, g, _radii(g, neighbours))


def nearest_distances(
    rows: Real[np.ndarray, "n features"], others: Real[np.ndarray, "m features"]
) -> Float64[np.ndarray, " n"]:
    """Of each row, the root mean square difference from the nearest of the others.

    Of generated images from training images, beside that of test images from the same: a generator that replays its
    training images is nearer to them than new images are.
    """
    x, y = torch.from_numpy(rows).float(), torch.from_numpy(others).float()
    nearest = torch.cat([torch.cdist(part, y).amin(1) for part in x.split(_ROWS)]).double()
    return (nearest / rows.shape[1] ** 0.5).numpy()  # type: ignore[no-any-return]


def _radii(points: torch.Tensor, neighbours: int) -> torch.Tensor:
    k = min(neighbours, len(points) - 1)
    return torch.cat([torch.cdist(part, points).kthvalue(k + 1, dim=1).values for part in points.split(_ROWS)])


def _covered(points: torch.Tensor, centres: torch.Tensor, radii: torch.Tensor) -> np.ndarray:
    covered = [(torch.cdist(part, centres) <= radii).any(1) for part in points.split(_ROWS)]
    return torch.cat(covered).numpy()  # type: ignore[no-any-return]

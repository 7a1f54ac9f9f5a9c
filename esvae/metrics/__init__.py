"""How good a generator is: distances between distributions of images, with their uncertainty and their floor."""

from esvae.metrics.distances import (
    Moments,
    frechet_distance,
    kernel_distance,
    moments,
    nearest_distances,
    precision_recall,
)
from esvae.metrics.features import FeatureNet, Protocol, extract
from esvae.metrics.uncertainty import (
    Estimate,
    frechet_estimate,
    kernel_estimate,
    share_estimate,
    unbiased_frechet_estimate,
)

__all__ = [
    "Estimate",
    "FeatureNet",
    "Moments",
    "Protocol",
    "extract",
    "frechet_distance",
    "frechet_estimate",
    "kernel_distance",
    "kernel_estimate",
    "moments",
    "nearest_distances",
    "precision_recall",
    "share_estimate",
    "unbiased_frechet_estimate",
]

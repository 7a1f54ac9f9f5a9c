"""Distances of both decoders' images from real ones: with intervals, of their difference too, bias and floor."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from esvae.data import ImageSplits
from esvae.metrics.features import FeatureNet, Protocol
from esvae.metrics.uncertainty import Estimate

__all__ = ["RealSet", "real_set"]


@dataclass(frozen=True, eq=False)
class RealSet:
    """Real images in the FAD autoencoder's code, and the floor, made once for many files.

    Attributes:
        codes: of the test images, ``(M, D)``.
        floor: by metric, of ``count`` training images against them.
        count: images that the floor is of.
        protocol: of the batch norm.
    """

    codes: np.ndarray
    floor: dict[str, Estimate]
    count: int
    protocol: Protocol
    net: FeatureNet = field(repr=False)


def real_set(
    splits: ImageSplits, net: FeatureNet, *, count: int = 5000, protocol: Protocol = "eval", seed: int = 0
) -> RealSet:
    """Encodes the test images, and as many training images as ``count`` for the floor."""
    raise NotImplementedError

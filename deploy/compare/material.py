"""What a comparison is asked for, and what it needs beside run and file: real images and the FAD autoencoder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from deploy.backends import Progress
from deploy.compare.distribution import DISTANCES, RealSet
from esvae.data import ImageSplits, load_images
from esvae.errors import ConfigError, DataError, EsvaeError
from esvae.machine.arguments import listed
from esvae.metrics.features import FeatureNet, Protocol, features_of, load_features
from esvae.metrics.generator import metrics_named
from esvae.run import Run

__all__ = ["ALL_PARTS", "DEFAULT_PARTS", "CompareOptions", "ComparePart", "Material", "load_material"]

#: What a comparison can hold; the images' quality is always there.
ComparePart: TypeAlias = Literal["layers", "reconstruction", "distribution", "attribution", "noise"]
ALL_PARTS: frozenset[ComparePart] = frozenset(get_args(ComparePart))
DEFAULT_PARTS: frozenset[ComparePart] = ALL_PARTS - {"noise"}
_METRICS = ("mse", *DISTANCES)
#: Those that need the data set.
_OF_DATA: frozenset[ComparePart] = frozenset({"reconstruction", "distribution", "noise"})


@dataclass(frozen=True)
class CompareOptions:
    """What to compare, and how.

    Attributes:
        images: drawn from the prior, through both decoders.
        seed: of all draws.
        parts: what to compute beside the images' quality.
        metrics: of the distribution, out of :data:`~deploy.compare.distribution.DISTANCES`; ``mse`` is the
            reconstruction.
        protocol: of the FAD autoencoder's batch norm.
        force: compare although the file does not say that it was made of the run.

    Raises:
        DataError: fewer than two images.
        ConfigError: a metric that is not known.
    """

    images: int = 5000
    seed: int = 0
    parts: frozenset[ComparePart] = DEFAULT_PARTS
    metrics: tuple[str, ...] = _METRICS
    protocol: Protocol = "eval"
    force: bool = False

    def __post_init__(self) -> None:
        if self.images < 2:
            raise DataError(f"images {self.images}: expected at least 2, which an interval needs")
        metrics = () if self.metrics == "none" else self.metrics  # a caller without types
        named = metrics_named(metrics, _METRICS) if isinstance(metrics, str) else listed(metrics, "metrics")
        object.__setattr__(self, "metrics", named)
        object.__setattr__(self, "parts", frozenset(listed(self.parts, "parts")))
        if strange := self.parts - ALL_PARTS:
            raise ConfigError(f"parts: unknown part '{min(strange)}'; choose some of {', '.join(sorted(ALL_PARTS))}")
        if unknown := set(self.metrics) - set(_METRICS):
            raise ConfigError(f"unknown metric '{min(unknown)}'; choose some of {', '.join(_METRICS)}")

    @property
    def of_data(self) -> tuple[ComparePart, ...]:
        """The parts that need the data set."""
        return tuple(sorted(self.parts & _OF_DATA))


@dataclass(frozen=True)
class Material:
    """What there is of it.

    Attributes:
        splits: the run's images, or why there are none; without them there is neither reconstruction nor distribution
            nor noise.
        features: the FAD autoencoder, or why there is none.
        real: what :func:`deploy.compare.distribution.real_set` made of the same splits, features, protocol and number
            of images, so that it is not made anew for each file.
    """

    splits: ImageSplits | EsvaeError | None = None
    features: FeatureNet | EsvaeError | None = None
    real: RealSet | None = None


def load_material(
    run: Run,
    root: str | os.PathLike[str] | None = None,
    features: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Material:
    """Reads the run's data set and its FAD autoencoder; what is not there is kept as the reason.

    Args:
        run: that tells which.
        root: folder of the data sets (see :func:`esvae.data.data_root`).
        features: the autoencoder's weights; those below the root where None.
        progress: called as what takes long goes on.

    Raises:
        EsvaeError: weights, or images of a folder, that were named cannot be read.
    """
    data = run.config.data
    splits: ImageSplits | EsvaeError
    net: FeatureNet | EsvaeError
    try:
        splits = load_images(data, root, progress)
    except EsvaeError as error:
        if root is not None:
            raise
        splits = error
    try:
        net = features_of(data, root) if features is None else load_features(features)
    except EsvaeError as error:
        if features is not None:
            raise
        net = error
    return Material(splits, net)

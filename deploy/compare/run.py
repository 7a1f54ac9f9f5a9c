"""The whole comparison: one stream of images through both decoders, then what needs more than that stream."""

from __future__ import annotations

import os
from typing import Literal, TypeAlias, get_args

from deploy.backends import Progress
from deploy.compare.distribution import RealSet
from deploy.compare.types import Comparison
from esvae.data import ImageSplits
from esvae.errors import EsvaeError
from esvae.metrics.features import FeatureNet, Protocol
from esvae.metrics.judge import METRICS
from esvae.run import Run
from export.ir import Network

__all__ = ["ALL_PARTS", "DEFAULT_PARTS", "Part", "check_belongs", "compare", "compare_network"]

#: What a comparison can hold; the images' quality is always there.
Part: TypeAlias = Literal["layers", "reconstruction", "distribution", "attribution", "noise"]
ALL_PARTS: frozenset[Part] = frozenset(get_args(Part))
DEFAULT_PARTS: frozenset[Part] = ALL_PARTS - {"noise"}


def check_belongs(run: Run, network: Network, *, file: str = "the file", force: bool = False) -> bool:
    """Whether the file says that it was made from the run's weights.

    Raises:
        DataError: it says otherwise, or nothing, and ``force`` is not set; or the two do not fit together at all
            (window, latent neurons, picture), which no force helps.
    """
    raise NotImplementedError


def compare(
    run: str | os.PathLike[str],
    file: str | os.PathLike[str],
    *,
    images: int = 5000,
    seed: int = 0,
    parts: frozenset[Part] = DEFAULT_PARTS,
    metrics: tuple[str, ...] = METRICS,
    protocol: Protocol = "eval",
    data_root: str | os.PathLike[str] | None = None,
    features: str | os.PathLike[str] | None = None,
    backends: tuple[str, ...] = (),
    cross: int = 4,
    force: bool = False,
    progress: Progress | None = None,
) -> Comparison:
    """Compares a run directory (or ``pretrained:NAME``) with the ``.net`` file that was made of it.

    Args:
        run, file: where they are.
        images: drawn from the prior, through both decoders.
        seed: of all draws.
        parts: what to compute beside the images' quality.
        metrics: of the distribution, out of :data:`esvae.metrics.judge.METRICS`; ``mse`` is the reconstruction.
        protocol: of the FAD autoencoder's batch norm.
        data_root: folder of the data sets (see :func:`esvae.data.data_root`).
        features: the FAD autoencoder's weights; those below the data root where None.
        backends: others that draw the first ``cross`` images, out of :data:`deploy.backends.BACKENDS`; one that is
            not installed is said so in the result.
        cross: how many images.
        force: compare them although the file does not say that it was made of this run.
        progress: called as the work goes on.

    Raises:
        DataError: they do not belong together; ``images`` below 1.
        CheckpointError, NetFileError: one of them cannot be read.
    """
    raise NotImplementedError


def compare_network(
    run: Run,
    network: Network,
    *,
    images: int = 5000,
    seed: int = 0,
    parts: frozenset[Part] = DEFAULT_PARTS,
    metrics: tuple[str, ...] = METRICS,
    protocol: Protocol = "eval",
    splits: ImageSplits | EsvaeError | None = None,
    features: FeatureNet | EsvaeError | None = None,
    real: RealSet | None = None,
    names: tuple[str, str] = ("run", "network"),
    force: bool = False,
    progress: Progress | None = None,
) -> Comparison:
    """As :func:`compare`, of what is in memory already; for whoever compares many files with one run.

    Args:
        run: the trained run.
        network: an integer decoder made of it, lowered or not.
        splits: the run's images, or why there are none; without them there is neither reconstruction nor distribution
            nor noise.
        features: the FAD autoencoder, or why there is none.
        real: what :func:`deploy.compare.distribution.real_set` made of the same splits, features, protocol and number
            of images, so that it is not made anew for each file.
        names: of run and file in the result.

    Raises:
        DataError: they do not belong together.
    """
    raise NotImplementedError

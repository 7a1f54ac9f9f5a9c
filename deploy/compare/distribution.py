"""Distances of both decoders' images from real ones: with intervals, of their difference too, bias and floor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from deploy.compare.statistics import frechet_bias, kernel_pair, share_pair
from deploy.compare.types import Distance, Distribution
from esvae.arrays import Float32, Float64
from esvae.data import ImageSet, ImageSplits
from esvae.errors import DataError, EsvaeError
from esvae.machine.progress import Progress
from esvae.metrics.distances import moments, precision_recall
from esvae.metrics.features import FeatureNet, Protocol, extract
from esvae.metrics.generator import compare_sets
from esvae.metrics.inception import inception_scores
from esvae.metrics.uncertainty import Estimate, frechet_estimates_of_pairs

__all__ = ["DISTANCES", "FEWEST", "GeneratedSets", "RealSet", "distances", "real_set"]

#: Images that a distance between distributions needs at the least.
FEWEST = 100
#: Below so many images a dimension of the code a Fréchet distance is said to be of few images.
_ENOUGH_A_DIMENSION = 50
_CODE_METRICS = ("fad", "kid", "precision", "recall")
#: Of :data:`esvae.metrics.generator.METRICS`, those that are computed of both decoders.
DISTANCES = (*_CODE_METRICS, "inception")
_BATCH = 256


@dataclass(frozen=True, eq=False)
class RealSet:
    """Real images in the FAD autoencoder's code, and the floor, made once for many files.

    Attributes:
        codes: of the test images, ``(M, D)``.
        floor: by metric, of ``count`` training images against them; empty where there are too few.
        count: images that the floor is of.
        protocol: of the batch norm.
        net: the autoencoder.
    """

    codes: Float64[np.ndarray, "images features"]
    floor: dict[str, Estimate]
    count: int
    protocol: Protocol
    net: FeatureNet = field(repr=False)


def real_set(
    splits: ImageSplits, net: FeatureNet, *, count: int = 5000, protocol: Protocol = "eval", seed: int = 0
) -> RealSet:
    """Encodes the test images, and as many training images as ``count`` for the floor."""
    train = splits.train.head(count)
    codes = extract(net, splits.test.split(_BATCH), protocol)
    floor: dict[str, Estimate] = {}
    if min(len(train), len(codes)) >= FEWEST:
        floor = compare_sets(extract(net, train.split(_BATCH), protocol), codes, list(_CODE_METRICS), seed)
    return RealSet(codes, floor, len(train), protocol, net)


class GeneratedSets:
    """Takes both decoders' images as they come; keeps their codes, and 8 bit pixels where Inception wants them.

    Args:
        net: FAD's autoencoder, or None.
        protocol: of its batch norm.
        pixels: keep pixels.
    """

    def __init__(self, net: FeatureNet | None, protocol: Protocol, *, pixels: bool) -> None:
        self._net, self._protocol, self._pixels = net, protocol, pixels
        self._waiting: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        self._codes: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        self._bytes: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])

    def add(
        self,
        left: Float32[np.ndarray, "images channels height width"],
        right: Float32[np.ndarray, "images channels height width"],
    ) -> None:
        """The next images of both decoders, ``(n, C, H, W)`` in [-1, 1]."""
        for side, images in enumerate((left, right)):
            if self._pixels:
                pixels = torch.from_numpy(images)
                self._bytes[side].append(((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8))
            if self._net is not None:
                self._waiting[side].append(images)
                if sum(map(len, self._waiting[side])) >= _BATCH:
                    self._encode(side, everything=False)

    def _encode(self, side: int, *, everything: bool) -> None:
        """Encodes whole batches, whose size a protocol can depend on."""
        assert self._net is not None
        images = np.concatenate(self._waiting[side])
        stop = len(images) if everything else len(images) // _BATCH * _BATCH
        self._waiting[side][:] = [images[stop:]] if stop < len(images) else []
        batches = torch.from_numpy(images[:stop]).split(_BATCH)
        if self._protocol == "published":
            batches = tuple(batch for batch in batches if len(batch) > 1)
        if batches:
            self._codes[side].append(extract(self._net, batches, self._protocol))

    def codes(self) -> tuple[Float64[np.ndarray, "images features"], Float64[np.ndarray, "images features"]]:
        """Codes ``(N, D)`` of both."""
        for side in (0, 1):
            if self._waiting[side]:
                self._encode(side, everything=True)
        return np.concatenate(self._codes[0]), np.concatenate(self._codes[1])

    def pixels(self) -> tuple[ImageSet, ImageSet]:
        """Images of both, 8 bit."""
        return ImageSet(torch.cat(self._bytes[0])), ImageSet(torch.cat(self._bytes[1]))


def distances(
    generated: GeneratedSets,
    count: int,
    splits: ImageSplits,
    real: RealSet | EsvaeError,
    metrics: tuple[str, ...],
    *,
    protocol: Protocol,
    seed: int = 0,
    progress: Progress | None = None,
) -> Distribution:
    """All distances that are asked for; what cannot be computed is in ``missing`` with the reason."""
    report = progress or (lambda share, text: None)
    found, missing, notes = dict[str, Distance](), dict[str, str](), list[str]()
    wanted = [name for name in _CODE_METRICS if name in metrics]
    test = len(splits.test)
    if isinstance(real, EsvaeError):
        missing.update(dict.fromkeys(wanted, str(real)))
    elif wanted:
        covariance = moments(real.codes).covariance if len(real.codes) > 1 else np.zeros((1, 1))
        bias = frechet_bias(covariance, count, test)
        if min(count, test) < FEWEST:
            few = (
                f"too few images for a distance: {count} generated and {test} real ones, at least {FEWEST} each are "
                f"needed; FAD would be too large by about {bias:.3g}"
            )
            missing.update(dict.fromkeys(wanted, few))
        else:
            found.update(_of_codes(generated.codes(), real, wanted, bias, seed, report))
            dimension = real.codes.shape[1]
            if "fad" in wanted and count < _ENOUGH_A_DIMENSION * dimension:
                notes.append(
                    f"FAD of {count} images in {dimension} dimensions is too large by about {bias:.3g}, on both sides "
                    "and in the floor; compare it only with figures of as many images, or take the difference"
                )
            if real.floor and real.count != count:
                notes.append(f"the floor is of {real.count} training images, as there are no more")
    if "inception" in metrics:
        report(0.8, "Inception")
        try:
            told = _of_inception(generated, splits, lambda how_far: report(0.8, f"fetching Inception, {how_far}"))
            found.update(told)
        except DataError as error:
            missing["inception"] = str(error)
    return Distribution(count, test, protocol, found, missing, tuple(notes))


def _of_codes(
    codes: tuple[np.ndarray, np.ndarray],
    real: RealSet,
    wanted: list[str],
    bias: float,
    seed: int,
    report: Progress,
) -> dict[str, Distance]:
    left, right = codes
    found: dict[str, Distance] = {}
    if "fad" in wanted:
        report(0.0, "FAD")
        found["fad"] = Distance(*frechet_estimates_of_pairs(left, right, real.codes, seed), real.floor.get("fad"), bias)
    if "kid" in wanted:
        report(0.4, "KID")
        found["kid"] = Distance(*kernel_pair(left, right, real.codes, seed), real.floor.get("kid"), 0.0)
    if {"precision", "recall"} & set(wanted):
        report(0.6, "precision and recall")
        count = min(len(left), len(real.codes))  # as many on both sides: the radii shrink with the number
        hits = [precision_recall(side[:count], real.codes[:count]) for side in (left, right)]
        for at, name in enumerate(("precision", "recall")):
            if name in wanted:
                three = share_pair(hits[0][at], hits[1][at])
                found[name] = Distance(*three, real.floor.get(name), None, larger_is_better=True)
    return found


def _of_inception(generated: GeneratedSets, splits: ImageSplits, report: Callable[[str], None]) -> dict[str, Distance]:
    device = torch.device("cpu")
    scores = [
        inception_scores(splits.test.split(_BATCH), side.split(_BATCH), device, report) for side in generated.pixels()
    ]
    (fid, other_fid), (score, other_score) = ([one[key] for one in scores] for key in ("fid", "inception_score"))
    spreads = [1.96 * one["inception_score_std"] for one in scores]
    return {
        "fid": Distance(Estimate(fid), Estimate(other_fid), Estimate(other_fid - fid)),
        "inception_score": Distance(
            Estimate(score, score - spreads[0], score + spreads[0]),
            Estimate(other_score, other_score - spreads[1], other_score + spreads[1]),
            Estimate(other_score - score),
            larger_is_better=True,
        ),
    }

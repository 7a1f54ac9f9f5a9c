"""All that is said about a generator: reconstruction, and distances of its images from real ones with their floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np
import torch

from esvae.arrays import Float64, Real
from esvae.data import ImageSet, ImageSplits
from esvae.errors import ConfigError, DataError, EsvaeError
from esvae.machine.progress import Progress
from esvae.metrics.distances import nearest_distances, precision_recall
from esvae.metrics.features import FeatureNet, Protocol, extract
from esvae.metrics.inception import inception_scores
from esvae.metrics.uncertainty import (
    Estimate,
    frechet_estimate,
    kernel_estimate,
    mean_estimate,
    share_estimate,
    unbiased_frechet_estimate,
)
from esvae.model import ESVAE

__all__ = [
    "METRICS",
    "GeneratorMeasures",
    "compare_sets",
    "measure_generator",
    "metrics_named",
    "reconstruction_errors",
]

#: What can be asked for; all of one code except ``inception``, which stands for FID and Inception score. ``fad`` stands
#: for ``fad_unbiased`` too, ``nearest`` for ``nearest_code`` and ``nearest_pixels``; ``fad_posterior`` is the FAD that
#: the decoder would have with a perfect prior.
METRICS = ("mse", "fad", "fad_posterior", "kid", "precision", "recall", "nearest", "inception")

#: Results by which what measures them may be asked for too.
_RESULTS = {
    "fad_unbiased": "fad",
    "fid": "inception",
    "inception_score": "inception",
    "nearest_code": "nearest",
    "nearest_pixels": "nearest",
}
_BATCH = 256
_FEWEST = 100  # images that a distance between distributions needs at the least


@dataclass(frozen=True)
class GeneratorMeasures:
    """What was measured.

    Attributes:
        images: how many were generated, and compared with all test images.
        protocol: of the autoencoder's batch norm.
        values: by metric; FAD, KID, precision and recall of generated images against the test set; FAD of pictures
            drawn from the posterior rates of as many training images; mean distance from the nearest training image.
        floor: the same of as many training images against the test set: what a perfect generator would get; and of test
            images from the nearest training image.
        missing: metrics that could not be computed, with the reason.
    """

    images: int
    protocol: str
    values: dict[str, Estimate] = field(default_factory=dict)
    floor: dict[str, Estimate] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def metrics_named(text: str, known: Sequence[str] = METRICS) -> tuple[str, ...]:
    """Metrics of a list with commas, in which a result such as ``fid`` stands for what measures it; of ``all``, all.

    Args:
        text: as it was given to the option ``--metrics``.
        known: of :data:`METRICS`, those that there are.

    Raises:
        ConfigError: one that is not known.
    """
    if text == "all":
        return tuple(known)
    named = [name.strip() for name in text.split(",")]
    found = tuple(dict.fromkeys(_RESULTS.get(name, name) for name in named))
    if unknown := [name for name in named if _RESULTS.get(name, name) not in known]:
        near = get_close_matches(unknown[0], [*known, *_RESULTS], 1)
        hint = f"did you mean {near[0]}?" if near else f"choose some of {', '.join(known)}; or all"
        raise ConfigError(f"--metrics: unknown metric '{unknown[0]}'; {hint}")
    return found


def measure_generator(
    model: ESVAE,
    images: ImageSplits,
    net: FeatureNet | EsvaeError,
    *,
    count: int = 5000,
    seed: int = 0,
    protocol: Protocol = "eval",
    metrics: tuple[str, ...] = METRICS,
    report: Progress | None = None,
) -> GeneratorMeasures:
    """Judges a trained model.

    Args:
        model: in evaluation mode.
        images: the data set that it was trained on.
        net: FAD's autoencoder, or why there is none.
        count: images to generate; the paper's figures are of 5,000.
        seed: of all draws.
        protocol: see :data:`~esvae.metrics.features.Protocol`.
        metrics: which, of :data:`METRICS`.
        report: shows the progress.

    Raises:
        DataError: too few images for a distance.
    """
    if unknown := set(metrics) - set(METRICS):
        raise DataError(f"unknown metric '{min(unknown)}'; choose some of {', '.join(METRICS)}")
    say = report or (lambda share, text: None)
    result = GeneratorMeasures(count, protocol)
    if "mse" in metrics:
        say(0.0, "reconstructions")
        result.values["mse"] = mean_estimate(reconstruction_errors(model, images.test, seed))
    if not set(metrics) - {"mse"}:
        return result
    if min(count, len(images.test)) < _FEWEST:
        raise DataError(
            f"a distance between distributions needs at least {_FEWEST} images on both sides, got {count} generated "
            f"and {len(images.test)} of the test set; give more with -n and --data-root, or measure mse alone"
        )
    draws = torch.Generator().manual_seed(seed)
    parts = []
    for start in range(0, count, _BATCH):
        say(0.2 + 0.3 * start / count, "generated images")
        parts.append(model.generate(min(_BATCH, count - start), draws).cpu())
    generated = ImageSet(torch.cat(parts))
    wanted = [name for name in metrics if name not in ("mse", "inception")]
    if isinstance(net, EsvaeError):
        result.missing.update(dict.fromkeys(wanted, str(net)))
    elif wanted:
        if "fad" in wanted:
            wanted.insert(wanted.index("fad") + 1, "fad_unbiased")
        say(0.5, "features")
        sets = (generated, images.train.head(count), images.test)
        codes, real, test = (extract(net, part.split(_BATCH), protocol) for part in sets)
        say(0.7, "distances")
        result.values.update(compare_sets(codes, test, wanted, seed))
        say(0.8, "floor")
        result.floor.update(compare_sets(real, test, wanted, seed))
        if "fad_posterior" in wanted:
            say(0.82, "pictures of the posterior")
            drawn = _drawn_from_posterior(model, images.train.head(count), seed)
            result.values["fad_posterior"] = frechet_estimate(extract(net, drawn.split(_BATCH), protocol), test, seed)
        if "nearest" in wanted:
            say(0.85, "nearest training images")
            training = extract(net, images.train.split(_BATCH), protocol)
            pixels = _pixels(images.train)
            for found, code, part in ((result.values, codes, generated), (result.floor, test, images.test)):
                found["nearest_code"] = mean_estimate(nearest_distances(code, training))
                found["nearest_pixels"] = mean_estimate(nearest_distances(_pixels(part), pixels))
    if "inception" in metrics:
        say(0.9, "Inception")
        device = next(model.parameters()).device
        try:
            scores = inception_scores(
                images.test.split(_BATCH),
                generated.split(_BATCH),
                device,
                lambda how_far: say(0.9, f"fetching Inception, {how_far}"),
            )
        except DataError as error:
            result.missing["inception"] = str(error)
        else:
            spread = scores["inception_score_std"]
            score, fid = scores["inception_score"], scores["fid"]
            result.values["inception_score"] = Estimate(score, score - 1.96 * spread, score + 1.96 * spread)
            result.values["fid"] = Estimate(fid)
    return result


@torch.no_grad()
def _drawn_from_posterior(model: ESVAE, images: ImageSet, seed: int) -> ImageSet:
    """Pictures of the images' posterior rates, drawn as those of the prior's are, with their gain."""
    draws = torch.Generator().manual_seed(seed)
    device = next(model.parameters()).device
    rates = (model.posterior_rates(batch.to(device)) for batch in images.split(_BATCH))
    return ImageSet(torch.cat([model.decoder(model.sample(part, draws)).cpu() for part in rates]))


def _pixels(images: ImageSet) -> np.ndarray:
    """A row an image."""
    return images.tensor().flatten(1).numpy()  # type: ignore[no-any-return]


def compare_sets(
    features: Real[np.ndarray, "n features"], real: Real[np.ndarray, "m features"], metrics: list[str], seed: int = 0
) -> dict[str, Estimate]:
    """Those metrics of one code that are asked for, of features ``(N, D)`` against ``(M, D)``."""
    found: dict[str, Estimate] = {}
    if "fad" in metrics:
        found["fad"] = frechet_estimate(features, real, seed)
    if "fad_unbiased" in metrics:
        found["fad_unbiased"] = unbiased_frechet_estimate(features, real, seed)
    if "kid" in metrics:
        found["kid"] = kernel_estimate(features, real, seed)
    if {"precision", "recall"} & set(metrics):
        # As many on both sides: the radii shrink with the number.
        count = min(len(features), len(real))
        hits: Any = dict(zip(("precision", "recall"), precision_recall(features[:count], real[:count]), strict=True))
        found.update({name: share_estimate(hits[name]) for name in hits if name in metrics})
    return found


@torch.no_grad()
def reconstruction_errors(model: ESVAE, images: ImageSet, seed: int = 0) -> Float64[np.ndarray, " images"]:
    """Mean squared error of each image's reconstruction ``(N,)``, pixels in [-1, 1]."""
    draws = torch.Generator().manual_seed(seed)
    parameter = next(model.parameters())
    errors = []
    for batch in images.split(_BATCH):
        batch = batch.to(parameter.device, parameter.dtype)
        errors.append((model(batch, draws) - batch).square().flatten(1).mean(1).double().cpu())
    return torch.cat(errors).numpy()  # type: ignore[no-any-return]

"""What a sweep's points will be judged by, and all that decides a point's outcome, which its key is made of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from deploy.sweep.grid import Point
from deploy.sweep.quality import POINT_METRICS
from deploy.sweep.types import SweepProtocol
from deploy.view.table import plain
from esvae.data import ImageSet, ImageSplits, load_images
from esvae.errors import CheckpointError, ConfigError, DataError, EsvaeError
from esvae.machine.files import sha256_file
from esvae.metrics.features import features_of, features_path
from esvae.run import Run
from sim.energy.profile import load_profile

__all__ = ["QUALITIES", "Settled", "inputs_of", "settle_protocol"]

#: Figures that the front can weigh against energy, less being better.
QUALITIES: tuple[str, ...] = ("reconstruction", "image_mse", "fad")


@dataclass(frozen=True)
class Settled:
    """How points are judged, once it is known what can be.

    Attributes:
        protocol: with the metrics that can be computed.
        quality: the figure that the front weighs.
        measured: hashes of data, autoencoder and profiles.
        notes: what was left out.
    """

    protocol: SweepProtocol
    quality: str
    measured: Mapping[str, Any]
    notes: tuple[str, ...]


def settle_protocol(run: Run, protocol: SweepProtocol, quality: str | None) -> Settled:
    """Leaves out metrics whose data are not there.

    Args:
        run: whose data.
        protocol: as asked for.
        quality: of the front, or None for the first there is.

    Raises:
        ConfigError: names that are not known.
        DataError: too few images, or data that were named, or that ``quality`` needs, and are not there.
    """
    _check(protocol, quality)
    metrics = [*protocol.metrics, *([quality] if quality in POINT_METRICS and quality not in protocol.metrics else [])]
    measured: dict[str, Any] = {"profiles": [plain(load_profile(name)) for name in protocol.profiles]}
    notes: list[str] = []
    if metrics:
        try:
            images = load_images(run.config.data, protocol.data_root)
        except EsvaeError as error:
            if quality in POINT_METRICS or protocol.data_root is not None:
                raise
            notes.append(f"{', '.join(metrics)} left out: {error}")
            metrics = []
        else:
            measured["test_images"] = _hash_of_images(images.test.head(protocol.test_images))
            if "fad" in metrics and (missing := _measure_fad(run, protocol, images, measured)) is not None:
                if quality == "fad":
                    raise DataError(missing)
                notes.append(f"fad left out: {missing}")
                metrics.remove("fad")
    chosen = quality or ("reconstruction" if "reconstruction" in metrics else "image_mse")
    return Settled(replace(protocol, metrics=tuple(metrics)), chosen, measured, tuple(notes))


def _check(protocol: SweepProtocol, quality: str | None) -> None:
    if quality is not None and quality not in QUALITIES:
        raise ConfigError(f"--quality {quality}: expected {', '.join(QUALITIES)}")
    if unknown := set(protocol.metrics) - set(POINT_METRICS):
        raise ConfigError(f"--metrics {min(unknown)}: expected {', '.join(POINT_METRICS)}")
    for name, count in (("-n", protocol.images), ("--test-images", protocol.test_images)):
        if count < 2:
            raise DataError(f"{name} {count}: expected at least 2, which an interval needs")
    if not protocol.profiles:
        raise ConfigError("no energy profile: name one with --profile")


def _measure_fad(run: Run, protocol: SweepProtocol, images: ImageSplits, measured: dict[str, Any]) -> str | None:
    """Adds what FAD depends on, or says what is missing and how to make it."""
    try:
        features_of(run.config.data, protocol.data_root)
    except CheckpointError as error:
        return str(error)
    measured["fad_autoencoder"] = sha256_file(features_path(run.config.data, protocol.data_root))
    measured["test_set"] = _hash_of_images(images.test)
    return None


def _hash_of_images(images: ImageSet) -> str:
    return hashlib.sha256(images.tensor().numpy().tobytes()).hexdigest()


def inputs_of(run: Run, point: Point, judged: Settled) -> dict[str, Any]:
    """All that decides a point's outcome."""
    protocol = judged.protocol
    asked = {name: value for name, value in asdict(protocol).items() if name not in ("data_root", "profiles")}
    asked["metrics"] = sorted(protocol.metrics)
    return {
        "weights_sha256": run.weights_hash,
        "config": run.config.model_dump(mode="json"),
        "point": asdict(point),
        "protocol": asked,
        **judged.measured,
    }

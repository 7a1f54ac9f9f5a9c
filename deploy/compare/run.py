"""The whole comparison: one stream of images through both decoders, then what needs more than that stream."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np

from deploy.backends import Progress
from deploy.compare.attribution import attribute
from deploy.compare.cross import cross_checks
from deploy.compare.distribution import GeneratedSets, RealSet, distances, real_set
from deploy.compare.float_layers import FloatDecoder
from deploy.compare.images import image_mse, image_quality, image_ssim
from deploy.compare.layers import LayerStream
from deploy.compare.noise import decoded_errors, noise_curves
from deploy.compare.statistics import mean_pair
from deploy.compare.types import Comparison, Distribution, NoiseCurve, Pair
from deploy.posterior import encode_latents
from esvae.data import ImageSplits, load_images
from esvae.errors import ConfigError, DataError, EsvaeError
from esvae.metrics.features import FeatureNet, Protocol, load_features
from esvae.metrics.judge import METRICS
from esvae.metrics.train_features import features_path
from esvae.run import Run, load_run
from export.ir import Network
from export.netx import read_netx
from sim.readout import images_from_potentials
from sim.sampler import draw_latents
from sim.trace import Trace
from sim.twin.engine import Engine

__all__ = ["ALL_PARTS", "DEFAULT_PARTS", "Part", "check_belongs", "compare", "compare_network"]

#: What a comparison can hold; the images' quality is always there.
Part: TypeAlias = Literal["layers", "reconstruction", "distribution", "attribution", "noise"]
ALL_PARTS: frozenset[Part] = frozenset(get_args(Part))
DEFAULT_PARTS: frozenset[Part] = ALL_PARTS - {"noise"}

#: Bytes that the states of all layers of a chunk of images may take, on both sides and on the way; and images to it.
_MEMORY, _MOST = 1 << 28, 128
_BYTES_A_STATE = 48
#: Images on which layers are quantized one at a time, and test images that noise is added to.
_ATTRIBUTED, _NOISY = 256, 512
_RECONSTRUCTED = 512  # test images that are encoded at a time


def check_belongs(run: Run, network: Network, *, file: str = "the file", force: bool = False) -> bool:
    """Whether the file says that it was made from the run's weights.

    Raises:
        DataError: it says otherwise, or nothing, and ``force`` is not set; or the two do not fit together at all
            (window, latent neurons, picture), which no force helps.
    """
    config = run.config
    size = config.data.image_size
    if network.prior is None or network.readout is None:
        raise DataError(f"{file} is no generator: it has no {'prior' if network.prior is None else 'readout'}")
    for what, wanted, got in (
        ("steps", config.model.time_steps, network.time_steps),
        ("latent neurons", config.model.latent, math.prod(network.input_shape)),
        ("pictures", (config.data.image_channels, size, size), network.readout.image_shape),
    ):
        if wanted != got:
            raise DataError(f"{file} does not fit the run: {what} {got}, the run has {wanted}; --force does not help")
    made_from = network.provenance.get("weights_sha256")
    if made_from == run.weights_hash and made_from:
        return True
    if force:
        return False
    says = "does not say what it was made from" if not made_from else f"was made from weights {made_from[:12]}"
    raise DataError(
        f"{file} {says}, the run has weights {run.weights_hash[:12]}; name the run that it was exported from, "
        "export again, or compare them all the same with --force"
    )


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
    trained, network = load_run(run), read_netx(file)
    check_belongs(trained, network, file=str(file), force=force)
    splits: ImageSplits | EsvaeError | None = None
    net: FeatureNet | EsvaeError | None = None
    if parts & {"reconstruction", "distribution", "noise"}:
        data = trained.config.data
        try:
            splits = load_images(data, data_root, progress)
        except EsvaeError as error:
            splits = error
        try:
            net = load_features(features or features_path(data, data_root))
        except EsvaeError as error:
            if features is not None:
                raise
            net = error
    result = compare_network(
        trained,
        network,
        images=images,
        seed=seed,
        parts=parts,
        metrics=metrics,
        protocol=protocol,
        splits=splits,
        features=net,
        names=(str(run), str(file)),
        force=force,
        progress=progress,
    )
    if not backends:
        return result
    started = time.perf_counter()
    latents = draw_latents(network, seed, np.arange(min(cross, images)))
    checks = cross_checks(Path(file), network, latents, backends, progress)
    seconds = {**result.seconds, "cross": round(time.perf_counter() - started, 2)}
    return replace(result, cross=checks, seconds=seconds)


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
    if images < 2:
        raise DataError(f"images {images}: expected at least 2, which an interval needs")
    if unknown := set(metrics) - set(METRICS):
        raise ConfigError(f"unknown metric '{min(unknown)}'; choose of {', '.join(METRICS)}")
    belongs = check_belongs(run, network, file=names[1], force=force)
    watch = _Watch(progress)
    decoder, engine, notes = FloatDecoder(run), Engine(network), list[str]()
    needs = sorted(parts & {"reconstruction", "distribution", "noise"})
    if needs and not isinstance(splits, ImageSplits):
        notes.append(f"{', '.join(needs)} left out: {splits or 'no images were given'}")
    have = splits if isinstance(splits, ImageSplits) else None
    judged = have is not None and "distribution" in parts
    net = features if isinstance(features, FeatureNet) else None
    sets = GeneratedSets(net, protocol, pixels="inception" in metrics) if judged else None
    stream = LayerStream(decoder, network) if "layers" in parts else None

    report = watch.start("images", 0.0, 0.4)
    mse, ssim = _stream(decoder, engine, images, seed, stream, sets, report)
    quality = image_quality(mse, ssim)
    layers = () if stream is None else stream.layers()
    notes.extend(f"{layer.name} left out: {layer.unmapped}" for layer in layers if layer.unmapped)

    attribution = None
    if "attribution" in parts:
        report = watch.start("attribution", 0.4, 0.5)
        latents = draw_latents(network, seed, np.arange(min(images, _ATTRIBUTED)))
        attribution = attribute(decoder, network, latents, lambda share: report(share, "one layer at a time"))
    reconstruction = None
    if have is not None and "reconstruction" in parts:
        report = watch.start("reconstruction", 0.5, 0.6)
        reconstruction = _reconstruction(run, decoder, engine, have, seed, report)
    noise: tuple[NoiseCurve, ...] = ()
    if have is not None and "noise" in parts:
        report = watch.start("noise", 0.6, 0.7)
        shown = have.test.head(_NOISY).tensor().numpy()
        noise = noise_curves(run, decoder, network, shown, seed=seed, progress=lambda share: report(share, "noise"))
    distribution = None
    if have is not None and sets is not None:
        report = watch.start("distribution", 0.7, 1.0)
        distribution = _distribution(sets, images, have, features, real, metrics, protocol, seed, report)
    assert network.time_steps is not None
    return Comparison(
        run=names[0],
        file=names[1],
        weights_hash=run.weights_hash,
        content_hash=network.content_hash(),
        belongs=belongs,
        images=images,
        steps=network.time_steps,
        seed=seed,
        data=run.config.data.name if have is not None else None,
        quality=quality,
        layers=layers,
        divergence=None if stream is None else stream.divergence(),
        reconstruction=reconstruction,
        distribution=distribution,
        attribution=attribution,
        noise=noise,
        notes=tuple(notes),
        seconds=watch.stop(),
    )


def _stream(
    decoder: FloatDecoder,
    engine: Engine,
    images: int,
    seed: int,
    stream: LayerStream | None,
    sets: GeneratedSets | None,
    report: Progress,
) -> tuple[np.ndarray, np.ndarray]:
    """Draws all images through both decoders, hands them on, and gives MSE and SSIM of each: ``(images,)`` twice."""
    network = engine.network
    assert network.time_steps is not None
    states = sum(math.prod(shape) for shape in decoder.shapes) * network.time_steps
    size = max(1, min(_MOST, _MEMORY // (states * _BYTES_A_STATE)))
    mse, ssim = [], []
    for start in range(0, images, size):
        report(start / images, f"image {start} of {images}")
        latents = draw_latents(network, seed, np.arange(start, min(start + size, images)))
        entering = latents.reshape(*latents.shape[:2], *network.input_shape)
        left = decoder.images(latents)
        if stream is None:
            right = images_from_potentials(network, engine.final_potentials(entering))
        else:
            (activities,) = engine.run(entering, trace=True, chunk=len(latents))
            traces: list[Trace] = [layer.trace for layer in activities if layer.trace is not None]
            stream.add(start, decoder.membranes(latents), traces)
            right = images_from_potentials(network, activities[-1].v_end)
        mse.append(image_mse(right, left))
        ssim.append(image_ssim(right, left))
        if sets is not None:
            sets.add(left, right)
    return np.concatenate(mse), np.concatenate(ssim)


def _reconstruction(
    run: Run, decoder: FloatDecoder, engine: Engine, splits: ImageSplits, seed: int, report: Progress
) -> Pair:
    left, right, done = [], [], 0
    for batch in splits.test.split(_RECONSTRUCTED):
        report(done / len(splits.test), "reconstructions")
        images, numbers = batch.numpy(), np.arange(done, done + len(batch))
        latents = encode_latents(run, engine.network, images, seed, numbers)
        errors = decoded_errors(decoder, engine, latents, images)
        left.append(errors[0])
        right.append(errors[1])
        done += len(batch)
    return mean_pair(np.concatenate(left), np.concatenate(right))


def _distribution(
    sets: GeneratedSets,
    images: int,
    splits: ImageSplits,
    features: FeatureNet | EsvaeError | None,
    real: RealSet | None,
    metrics: tuple[str, ...],
    protocol: Protocol,
    seed: int,
    report: Progress,
) -> Distribution:
    """Of the sets that were drawn, with the real ones made here where nobody gave them."""
    if real is not None and (real.protocol != protocol or real.net is not features):
        raise ConfigError("the real set was made with another autoencoder or protocol; make it with the same")
    against: RealSet | EsvaeError
    if real is not None:
        against = real
    elif isinstance(features, FeatureNet):
        report(0.0, "real images and the floor")
        against = real_set(splits, features, count=images, protocol=protocol, seed=seed)
    else:
        against = features or DataError("no FAD autoencoder was given; make one with: esvae fad train DATA")
    return distances(
        sets,
        images,
        splits,
        against,
        metrics,
        protocol=protocol,
        seed=seed,
        progress=lambda share, text: report(0.4 + 0.6 * share, text),
    )


class _Watch:
    """Times the parts and places each one's progress in the whole."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress, self._seconds = progress, dict[str, float]()
        self._part, self._since = "", 0.0

    def start(self, part: str, low: float, high: float) -> Progress:
        self.stop()
        self._part, self._since = part, time.perf_counter()
        if self._progress is None:
            return lambda share, text: None
        whole: Callable[[float, str], None] = self._progress
        return lambda share, text: whole(low + (high - low) * share, text)

    def stop(self) -> dict[str, float]:
        if self._part:
            self._seconds[self._part] = round(time.perf_counter() - self._since, 2)
        return self._seconds

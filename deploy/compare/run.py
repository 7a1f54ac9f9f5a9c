"""The whole comparison: one stream of images through both decoders, then what needs more than that stream."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from deploy.backends import Progress
from deploy.compare.attribution import attribute
from deploy.compare.belongs import check_belongs
from deploy.compare.cross import cross_checks
from deploy.compare.distribution import GeneratedSets, RealSet, distances, real_set
from deploy.compare.float_layers import FloatDecoder
from deploy.compare.images import image_mse, image_ssim, quality_of
from deploy.compare.layers import LayerStream
from deploy.compare.material import CompareOptions, Material, load_material
from deploy.compare.noise import decoded_errors, noise_curves
from deploy.compare.samplers import host_stream
from deploy.compare.statistics import mean_pair
from deploy.compare.types import (
    Attribution,
    Comparison,
    Distribution,
    ImageQuality,
    NoiseCurve,
    PairedFigure,
    SamplerComparison,
)
from deploy.opening import network_file
from deploy.pair import Keep, image_pairs, prior_chunks
from deploy.posterior import encode_latents
from deploy.stages import Stopwatch, within
from esvae.data import ImageSplits
from esvae.errors import ConfigError, DataError, EsvaeError
from esvae.metrics.features import FeatureNet
from esvae.run import Run, load_run
from export.ir import Network
from export.netx import read_netx
from sim.sampler import draw_latents
from sim.twin.engine import Engine

__all__ = ["compare", "compare_network"]

#: Bytes that the states of all layers of a chunk of images may take, on both sides and on the way; and images to it.
_MEMORY, _MOST = 1 << 28, 128
_BYTES_A_STATE = 48
#: Images on which layers are quantized one at a time, and test images that noise is added to.
_ATTRIBUTED, _NOISY = 256, 512
_RECONSTRUCTED = 512  # test images that are encoded at a time


def compare(
    run: str | os.PathLike[str],
    file: str | os.PathLike[str],
    options: CompareOptions = CompareOptions(),
    *,
    data_root: str | os.PathLike[str] | None = None,
    features: str | os.PathLike[str] | None = None,
    backends: tuple[str, ...] = (),
    cross: int = 4,
    progress: Progress | None = None,
) -> Comparison:
    """Compares a run directory (or ``pretrained:NAME``) with the ``.net`` file that was made of it.

    Args:
        run, file: where they are; what may be a run is exported once where it is given as the file.
        options: what to compare.
        data_root: folder of the data sets (see :func:`esvae.data.data_root`).
        features: the FAD autoencoder's weights; those below the data root where None.
        backends: others that draw the first ``cross`` images, out of :data:`deploy.backends.BACKENDS`; one that is
            not installed is said so in the result.
        cross: how many images.
        progress: called as the work goes on.

    Raises:
        DataError: they do not belong together.
        CheckpointError, NetFileError: one of them cannot be read.
    """
    file = network_file(file)
    trained, network = load_run(run), read_netx(file)
    check_belongs(trained, network, file=str(file), force=options.force)
    material = load_material(trained, data_root, features, progress) if options.of_data else Material()
    names = (str(run), str(file))
    result = compare_network(trained, network, options, material, names=names, progress=progress)
    if not backends:
        return result
    watch = Stopwatch()
    watch.start("cross")
    latents = draw_latents(network, options.seed, np.arange(min(cross, options.images)))
    checks = cross_checks(Path(file), network, latents, backends, progress)
    return replace(result, cross=checks, seconds={**result.seconds, **watch.stop()})


def compare_network(
    run: Run,
    network: Network,
    options: CompareOptions = CompareOptions(),
    material: Material = Material(),
    *,
    names: tuple[str, str] = ("run", "network"),
    progress: Progress | None = None,
) -> Comparison:
    """As :func:`compare`, of what is in memory already; for whoever compares many files with one run.

    Args:
        run: the trained run.
        network: an integer decoder made of it, lowered or not.
        options: what to compare.
        material: real images and more.
        names: of run and file in the result.
        progress: called as the work goes on.

    Raises:
        DataError: they do not belong together.
    """
    belongs = check_belongs(run, network, file=names[1], force=options.force)
    work = _Work(run, network, options, material, progress)
    parts = options.parts
    # In the order of the work: the stream comes first, and the distribution is of the images that it drew.
    quality = work.stream()
    attribution = work.attribution() if "attribution" in parts and network.spike_readout is None else None
    reconstruction = work.reconstruction() if "reconstruction" in parts else None
    noise = work.noise() if "noise" in parts else ()
    distribution = work.distribution() if "distribution" in parts else None
    samplers = work.samplers()
    assert network.time_steps is not None
    return Comparison(
        run=names[0],
        file=names[1],
        weights_hash=run.weights_hash,
        content_hash=network.content_hash(),
        belongs=belongs,
        images=options.images,
        steps=network.time_steps,
        seed=options.seed,
        data=run.config.data.name if work.splits is not None else None,
        quality=quality,
        layers=() if work.layers is None else work.layers.layers(),
        divergence=None if work.layers is None else work.layers.divergence(),
        weights=() if work.layers is None else work.layers.weights(),
        potentials=() if work.layers is None else work.layers.potentials(),
        reconstruction=reconstruction,
        distribution=distribution,
        attribution=attribution,
        samplers=samplers,
        noise=noise,
        notes=tuple(work.notes),
        seconds=work.watch.stop(),
    )


class _Work:
    """One comparison as it goes on: what its parts share.

    Attributes:
        splits: real images, or None.
        layers: the comparison layer by layer, or None where it is not asked for.
        notes: what was left out.
        watch: times the parts.
    """

    def __init__(
        self, run: Run, network: Network, options: CompareOptions, material: Material, progress: Progress | None
    ) -> None:
        self._run, self._network, self._options, self._material = run, network, options, material
        self._progress = progress
        self._decoder, self._engine = FloatDecoder(run), Engine(network)
        self.watch, self.notes = Stopwatch(), list[str]()
        self.splits = material.splits if isinstance(material.splits, ImageSplits) else None
        if options.of_data and self.splits is None:
            self.notes.append(f"{', '.join(options.of_data)} left out: {material.splits or 'no images were given'}")
        inside = network.spike_readout is None
        if not inside:
            left = "layers and attribution left out: the file has neurons for its spike readout"
            self.notes.append(f"{left}; up to the read phase all others do what those of --readout potential do")
        self.layers = LayerStream(self._decoder, network) if "layers" in options.parts and inside else None
        self._judged = self.splits is not None and "distribution" in options.parts
        self._sets = self._new_sets()
        self._hosts = host_stream(run, network, options.seed, self._new_sets())
        self._real: RealSet | EsvaeError | None = None

    def _new_sets(self) -> GeneratedSets:
        """Keeps nothing of the images where they are not to be compared with real ones."""
        net = self._material.features if self._judged and isinstance(self._material.features, FeatureNet) else None
        return GeneratedSets(net, self._options.protocol, pixels=self._judged and "inception" in self._options.metrics)

    def _begin(self, part: str, low: float, high: float) -> Progress:
        self.watch.start(part)
        return within(self._progress, low, high)

    def stream(self) -> ImageQuality:
        """Draws all images through both decoders and hands them on."""
        report = self._begin("images", 0.0, 0.4)
        images, steps = self._options.images, self._network.time_steps
        assert steps is not None
        states = sum(math.prod(shape) for shape in self._decoder.shapes) * steps
        size = max(1, min(_MOST, _MEMORY // (states * _BYTES_A_STATE)))
        chunks = prior_chunks(self._network, self._options.seed, images, size)
        keep: Keep = "nothing" if self.layers is None else "traces"
        mse, ssim = [], []
        for pairs in image_pairs(self._decoder.decoder, self._engine, chunks, keep):
            mse.append(image_mse(pairs.integers, pairs.floats))
            ssim.append(image_ssim(pairs.integers, pairs.floats))
            if self.layers is not None:
                traces = [layer.trace for layer in pairs.activity if layer.trace is not None]
                self.layers.add(pairs.first, self._decoder.membranes(pairs.latents), traces)
            self._sets.add(pairs.floats, pairs.integers)
            if self._hosts is not None:
                self._hosts.add(pairs)
            done = pairs.first + len(pairs.latents)
            report(done / images, f"image {done} of {images}")
        if self.layers is not None:
            drifts = self.layers.layers()
            self.notes.extend(f"{layer.name} left out: {layer.unmapped}" for layer in drifts if layer.unmapped)
        return quality_of(np.concatenate(mse), np.concatenate(ssim))

    def attribution(self) -> Attribution:
        """One layer at a time, of the first images."""
        report = self._begin("attribution", 0.4, 0.5)
        numbers = np.arange(min(self._options.images, _ATTRIBUTED))
        latents = draw_latents(self._network, self._options.seed, numbers)
        return attribute(self._decoder, self._network, latents, lambda share: report(share, "one layer at a time"))

    def reconstruction(self) -> PairedFigure | None:
        """Of all test images."""
        if self.splits is None:
            return None
        report = self._begin("reconstruction", 0.5, 0.6)
        left, right, done = [], [], 0
        for batch in self.splits.test.split(_RECONSTRUCTED):
            report(done / len(self.splits.test), "reconstructions")
            images, numbers = batch.numpy(), np.arange(done, done + len(batch))
            latents = encode_latents(self._run, self._network, images, self._options.seed, numbers)
            errors = decoded_errors(self._run.model.decoder, self._engine, latents, images)
            left.append(errors[0])
            right.append(errors[1])
            done += len(batch)
        return mean_pair(np.concatenate(left), np.concatenate(right))

    def noise(self) -> tuple[NoiseCurve, ...]:
        """Of the first test images."""
        if self.splits is None:
            return ()
        report = self._begin("noise", 0.6, 0.7)
        shown = self.splits.test.head(_NOISY).tensor().numpy()
        seed = self._options.seed
        return noise_curves(self._run, self._network, shown, seed=seed, progress=lambda share: report(share, "noise"))

    def distribution(self) -> Distribution | None:
        """Of the images that were drawn."""
        if self.splits is None:
            return None
        return self._distances(self._sets, self.splits, self._begin("distribution", 0.7, 0.9))

    def samplers(self) -> SamplerComparison | None:
        """Of the images that the host and the chip drew; None where the chip draws none."""
        if self._hosts is None:
            return None
        if self.splits is None or not self._judged:
            return self._hosts.comparison(None)
        return self._hosts.comparison(self._distances(self._hosts.sets, self.splits, self._begin("samplers", 0.9, 1.0)))

    def _distances(self, sets: GeneratedSets, splits: ImageSplits, report: Progress) -> Distribution:
        """Of generated images from real ones."""
        options = self._options
        if self._real is None:
            self._real = self._real_set(splits, report)
        return distances(
            sets,
            options.images,
            splits,
            self._real,
            options.metrics,
            protocol=options.protocol,
            seed=options.seed,
            progress=lambda share, text: report(0.4 + 0.6 * share, text),
        )

    def _real_set(self, splits: ImageSplits, report: Progress) -> RealSet | EsvaeError:
        """The one that was given, or made here; or why there is none."""
        options, features, given = self._options, self._material.features, self._material.real
        if given is not None:
            if given.protocol != options.protocol or given.net is not features:
                raise ConfigError("the real set was made with another autoencoder or protocol; make it with the same")
            return given
        if not isinstance(features, FeatureNet):
            return features or DataError("no FAD autoencoder was given; make one with: esvae fad train CONFIG")
        report(0.0, "real images and the floor")
        return real_set(splits, features, count=options.images, protocol=options.protocol, seed=options.seed)

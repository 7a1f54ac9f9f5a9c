"""How good the pictures of one point are: against the float decoder, held-out images, and the data's distribution.

Every decoder gets the same rates and the same random draws. A shorter window gets the first steps of the spikes that a
longer one gets, as the sampler draws them in order; the encoder, which runs on the host, keeps the window of the
training.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from deploy.compare.images import image_mse, image_ssim
from deploy.pair import float_images, pair_of
from deploy.posterior import encode_counts
from esvae.arrays import Float
from esvae.data import ImageSplits
from esvae.errors import DataError
from esvae.metrics.features import FeatureNet, extract
from esvae.metrics.uncertainty import Estimate, frechet_estimate, mean_estimate
from esvae.run import Run
from export.ir import Network, Prior
from sim.sampler import codes_from_counts, initial_states, prior_codes, sample_spikes
from sim.twin.engine import Engine

__all__ = ["POINT_METRICS", "image_quality", "reconstruction_quality"]

#: What can be asked for beside the images' MSE.
POINT_METRICS: tuple[str, ...] = ("reconstruction", "fad")

_CHUNK = 128


def image_quality(
    trained: Run,
    shortened: Run,
    network: Network,
    images: int,
    seed: int,
    *,
    features: FeatureNet | None = None,
    real: ImageSplits | None = None,
) -> dict[str, Estimate]:
    """Of images that are drawn from the prior.

    Args:
        trained: the run with the window of its training.
        shortened: the same with the window of the network.
        network: the integer decoder.
        images: how many, at least 2.
        seed: of the draws.
        features, real: FAD's autoencoder and the data, where FAD is wanted.

    Returns:
        ``image_mse``, ``image_ssim``: against the float decoder with the window of the training: quantization and
        window together.
        ``quantization_mse``: against the float decoder with the same window: quantization alone.
        ``window_mse``: the float decoder with this window against that of the training.
        ``fad``: of the integer images against the test images.
    """
    parts: dict[str, list[np.ndarray]] = {}
    codes = []
    engine = Engine(network)
    prior = network.prior
    if not isinstance(prior, Prior):
        raise DataError("a sweep draws on the host, and this network has no rates for it")
    for numbers in _chunks(images):
        rates = prior_codes(prior, seed, numbers)
        whole, short = _spikes(trained, network, rates, seed, numbers)
        wanted = float_images(trained.model.decoder, whole)
        pairs = pair_of(shortened.model.decoder, engine, short)
        for name, figures in (
            ("image_mse", image_mse(pairs.integers, wanted)),
            ("image_ssim", image_ssim(pairs.integers, wanted)),
            ("quantization_mse", image_mse(pairs.integers, pairs.floats)),
            ("window_mse", image_mse(pairs.floats, wanted)),
        ):
            parts.setdefault(name, []).append(figures)
        if features is not None:
            codes.append(extract(features, [torch.from_numpy(pairs.integers)]))
    found = {name: mean_estimate(np.concatenate(figures)) for name, figures in parts.items()}
    if features is not None and real is not None:
        found["fad"] = frechet_estimate(np.concatenate(codes), extract(features, real.test.split(_CHUNK)), seed)
    return found


def reconstruction_quality(
    trained: Run, shortened: Run, network: Network, images: Float[np.ndarray, "images channels height width"], seed: int
) -> dict[str, Estimate]:
    """Of images that pass the encoder and a decoder.

    Args:
        trained, shortened, network, seed: as in :func:`image_quality`.
        images: ``(N, C, H, W)`` in [-1, 1], at least 2.

    Returns:
        ``reconstruction``: MSE of the integer decoder; ``reconstruction_float``: of the float decoder with the same
        window; ``reconstruction_trained``: of the float decoder with the window of the training.
    """
    errors: dict[str, list[np.ndarray]] = {}
    engine = Engine(network)
    for numbers in _chunks(len(images)):
        shown = images[numbers]
        counts = encode_counts(trained, shown)
        rates = codes_from_counts(counts, trained.config.model.time_steps, network.rate_bits)
        whole, short = _spikes(trained, network, rates, seed, numbers)
        pairs = pair_of(shortened.model.decoder, engine, short)
        for name, drawn in (
            ("reconstruction", pairs.integers),
            ("reconstruction_float", pairs.floats),
            ("reconstruction_trained", float_images(trained.model.decoder, whole)),
        ):
            errors.setdefault(name, []).append(image_mse(drawn, shown))
    return {name: mean_estimate(np.concatenate(parts)) for name, parts in errors.items()}


def _chunks(images: int) -> Iterator[np.ndarray]:
    for start in range(0, images, _CHUNK):
        yield np.arange(start, min(start + _CHUNK, images))


def _spikes(
    trained: Run, network: Network, rates: np.ndarray, seed: int, numbers: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Latent spikes ``(images, steps, latents)`` for the window of the training and for the network's."""
    steps = network.time_steps
    assert steps is not None
    full = trained.config.model.time_steps
    states = initial_states(seed, numbers, rates.shape[1])
    spikes = sample_spikes(rates, states, max(steps, full), network.rate_bits, network.sampler)
    return spikes[:, :full], spikes[:, :steps]

"""Robustness to Gaussian noise, on the input and on the latent spikes: reconstruction loss against its strength.

Both decoders get the same noisy spikes. Noise on the input goes through the run's encoder, whose counted spikes are
sampled as ever. Noise on the latent spikes ``z`` gives real numbers ``z + e``, which the chip cannot take, so both
decoders take the spikes ``z + e > 1/2``; at a standard deviation s that flips a spike with the probability
``1 - Phi(1 / (2 s))``. What the float decoder makes of the real numbers themselves is measured beside it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from deploy.compare.images import image_mse
from deploy.compare.statistics import mean_pair
from deploy.compare.types import NoiseCurve
from deploy.pair import float_images, image_pairs, in_chunks
from deploy.posterior import encode_counts
from esvae.arrays import Float, Float32, Float64, Integer, UInt8
from esvae.metrics.uncertainty import mean_estimate
from esvae.model.decoder import Decoder
from esvae.run import Run
from export.ir import Network
from sim.sampler import posterior_latents
from sim.twin.engine import Engine

__all__ = ["LEVELS", "decoded_errors", "noise_curves", "noisy_images", "noisy_spikes"]

#: Standard deviations: of pixels in [-1, 1], or of spikes 0 and 1.
LEVELS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8)
_INPUT, _LATENT = 1, 2  # what noise is drawn for, beside seed and level
_CHUNK = 128


def noisy_images(
    images: Float[np.ndarray, "*shape"], level: float, draws: np.random.Generator
) -> Float32[np.ndarray, "*shape"]:
    """Images in [-1, 1] with Gaussian noise, cut to [-1, 1] again, as the encoder takes no others."""
    noise = draws.standard_normal(images.shape, dtype=np.float32)
    return np.clip(images + np.float32(level) * noise, -1, 1)


def noisy_spikes(
    latents: Integer[np.ndarray, "images steps latents"], level: float, draws: np.random.Generator
) -> tuple[Float32[np.ndarray, "images steps latents"], UInt8[np.ndarray, "images steps latents"]]:
    """Latent spikes with Gaussian noise: the real numbers, float32, and the spikes that come of them, uint8."""
    real = latents.astype(np.float32) + np.float32(level) * draws.standard_normal(latents.shape, dtype=np.float32)
    return real, (real > np.float32(0.5)).astype(np.uint8)


def noise_curves(
    run: Run,
    network: Network,
    images: Float[np.ndarray, "images channels height width"],
    *,
    seed: int = 0,
    levels: tuple[float, ...] = LEVELS,
    progress: Callable[[float], None] | None = None,
) -> tuple[NoiseCurve, NoiseCurve]:
    """Both curves, of test images ``(N, C, H, W)``, N at least 2."""
    decoder, engine = run.model.decoder, Engine(network)
    report = progress or (lambda share: None)
    numbers = np.arange(len(images))

    def losses(latents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return decoded_errors(decoder, engine, latents, images)

    clean = posterior_latents(network, encode_counts(run, images), seed, numbers)
    on_input, on_latents, analogue = [], [], []
    for at, level in enumerate(levels):
        draws = np.random.default_rng((seed, _INPUT, at))
        counts = encode_counts(run, noisy_images(images, level, draws))
        on_input.append(mean_pair(*losses(posterior_latents(network, counts, seed, numbers))))
        real, spikes = noisy_spikes(clean, level, np.random.default_rng((seed, _LATENT, at)))
        on_latents.append(mean_pair(*losses(spikes)))
        chunks = zip(in_chunks(real, _CHUNK), in_chunks(images, _CHUNK), strict=True)
        parts = [image_mse(float_images(decoder, part), wanted) for part, wanted in chunks]
        analogue.append(mean_estimate(np.concatenate(parts)))
        report((at + 1) / len(levels))
    return (
        NoiseCurve("input", len(images), levels, tuple(on_input)),
        NoiseCurve("latent", len(images), levels, tuple(on_latents), tuple(analogue)),
    )


def decoded_errors(
    decoder: Decoder,
    engine: Engine,
    latents: Integer[np.ndarray, "images steps latents"],
    images: Float[np.ndarray, "images channels height width"],
) -> tuple[Float64[np.ndarray, " images"], Float64[np.ndarray, " images"]]:
    """MSE of each image ``(N, C, H, W)`` against what both decoders make of its latent spikes: ``(N,)`` twice."""
    left, right = [], []
    for pairs in image_pairs(decoder, engine, in_chunks(latents, _CHUNK)):
        wanted = images[pairs.first : pairs.first + len(pairs.latents)]
        left.append(image_mse(pairs.floats, wanted))
        right.append(image_mse(pairs.integers, wanted))
    return np.concatenate(left), np.concatenate(right)

"""The posterior path: a trained run's float encoder sees images, its spikes are counted, and the counts sampled anew.

The latent spikes that come of it can be saved (:func:`deploy.rasters.save_latents`) and given to any backend with
``--latents``.
"""

from __future__ import annotations

import numpy as np
import torch

from esvae.arrays import Int64, Integer, UInt8
from esvae.errors import DataError
from esvae.run import Run
from export.ir import Network
from sim.sampler import posterior_latents

__all__ = ["encode_counts", "encode_latents"]

_BATCH = 256


def encode_counts(run: Run, images: np.ndarray) -> Int64[np.ndarray, "images latents"]:
    """How often each latent neuron of the encoder fires over the window.

    Args:
        run: a trained run.
        images: float ``(images, C, H, W)`` in [-1, 1], of the size that the run was trained on.

    Returns:
        int64 ``(images, latents)``, 0 to the number of steps.

    Raises:
        DataError: images of another shape or range.
    """
    data = run.config.data
    wanted = (data.image_channels, data.image_size, data.image_size)
    images = np.asarray(images)
    if images.shape[1:] != wanted or len(images) == 0:
        raise DataError(
            f"images have shape {images.shape}, expected (images, {', '.join(map(str, wanted))}), none empty"
        )
    if not (np.isfinite(images).all() and np.abs(images).max() <= 1):
        raise DataError("images must be numbers from -1 to 1, as the encoder was trained with")
    counts = []
    with torch.inference_mode():
        for start in range(0, len(images), _BATCH):
            part = torch.from_numpy(np.ascontiguousarray(images[start : start + _BATCH], dtype=np.float32))
            counts.append(run.model.encoder(part).sum(0, dtype=torch.float64).to(torch.int64).numpy())
    return np.concatenate(counts)


def encode_latents(
    run: Run, network: Network, images: np.ndarray, seed: int = 0, numbers: Integer[np.ndarray, " images"] | None = None
) -> UInt8[np.ndarray, "images steps latents"]:
    """Posterior latent spikes of images: encoded, counted, sampled.

    Args:
        run: the run that ``network`` was exported from.
        network: the exported decoder.
        images: as in :func:`encode_counts`.
        seed: of the sampler.
        numbers: image numbers; 0, 1, ... where None.

    Returns:
        uint8 ``(images, steps, latents)``.

    Raises:
        DataError: images or a network that do not fit the run.
    """
    if network.image_steps != run.config.model.time_steps:
        raise DataError(f"the run has {run.config.model.time_steps} steps, the network {network.image_steps}")
    counts = encode_counts(run, images)
    return posterior_latents(network, counts, seed, np.arange(len(counts)) if numbers is None else numbers)

"""Rasters in ``.npy`` files: latents and other spikes that are given or kept."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from esvae.arrays import Shaped, UInt8
from esvae.errors import DataError
from esvae.machine.arrays import load_array, save_array
from export.ir import Network, Shape
from export.rasters import as_zeros_and_ones
from sim.stimulus import with_read_phase

__all__ = ["load_raster", "mapped_raster", "save_latents"]


def mapped_raster(
    path: str | os.PathLike[str], shape: Shape, network: Network | None = None
) -> Shaped[np.ndarray, "images steps *input"]:
    """A file's array as ``(images, steps, *shape)``, whatever its values, which are read as they are needed.

    Latents alone get the read phase of the network's spike readout.
    """
    axes = ", ".join(map(str, ("images", "steps", *shape)))
    raster = load_array(path, f"spikes ({axes})", mapped="c")
    if network is not None:
        raster = with_read_phase(network, raster)
    flat = (math.prod(shape),)
    if raster.ndim < 3 or raster.size == 0 or raster.shape[2:] not in (shape, flat):
        raise DataError(f"{path}: has shape {raster.shape}, expected ({axes})")
    return raster.reshape(*raster.shape[:2], *shape)


def load_raster(path: str | os.PathLike[str], shape: Shape) -> UInt8[np.ndarray, "images steps *input"]:
    """Reads spikes, uint8 ``(images, steps, *shape)`` of 0 and 1, from an ``.npy`` file.

    Raises:
        DataError: missing, not an ``.npy`` file, not 0 and 1, or of another shape.
    """
    raster = mapped_raster(path, shape)
    try:
        return as_zeros_and_ones(raster)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def save_latents(target: str | os.PathLike[str], spikes: Shaped[np.ndarray, "images steps *input"]) -> Path:
    """Writes spikes ``(images, steps, ...)`` as ``.npy`` for ``--latents``, features flat, whole or not at all."""
    rows = spikes.astype(np.uint8, copy=False).reshape(*spikes.shape[:2], -1)
    save_array(target, rows)
    return Path(target)

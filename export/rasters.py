"""Spikes that a caller gives: 0 and 1, of the shape that a network takes."""

from __future__ import annotations

import math

import numpy as np

from esvae.arrays import UInt8
from esvae.errors import DataError
from esvae.machine.arrays import array_argument
from export.ir import Shape

__all__ = ["as_zeros_and_ones", "raster_of"]


def raster_of(values: object, shape: Shape) -> UInt8[np.ndarray, "images steps *input"]:
    """Spikes at hand, an array or what numpy makes one of: uint8 ``(images, steps, *shape)`` of 0 and 1.

    Raises:
        DataError: no numbers, not 0 and 1, or of another shape.
    """
    axes = ", ".join(map(str, ("images", "steps", *shape)))
    raster = array_argument(values, "spikes", f"an array ({axes})")
    if raster.ndim < 3 or raster.size == 0 or raster.shape[2:] not in (shape, (math.prod(shape),)):
        raise DataError(f"spikes have shape {raster.shape}, expected ({axes}), none empty")
    return as_zeros_and_ones(raster.reshape(*raster.shape[:2], *shape))


def as_zeros_and_ones(spikes: np.ndarray, first: int = 0) -> UInt8[np.ndarray, "images steps *input"]:
    """Returns ``spikes`` ``(images, steps, *input shape)`` as uint8.

    Args:
        spikes: of any type of numbers.
        first: number of the first of these images, for the error.

    Raises:
        DataError: a value is neither 0 nor 1; names the first such.
    """
    if spikes.dtype.kind not in "iubf":
        raise DataError(f"input spikes must be 0 or 1, got {spikes.dtype}")
    if spikes.dtype == np.uint8 and spikes.max() <= 1:
        return spikes
    wrong = (spikes != 0) & (spikes != 1)
    if wrong.any():
        index = np.unravel_index(wrong.argmax(), wrong.shape)
        image, step, *place = map(int, index)
        at = place[0] if len(place) == 1 else tuple(place)
        value = spikes[index].item()
        raise DataError(
            f"input spikes must be 0 or 1: image {first + image}, step {step}, input {at} is {value:g}; "
            "binarize them first"
        )
    return spikes.astype(np.uint8)

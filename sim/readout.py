"""From the last layer's membrane potentials to pictures: ``tanh(v / unit)`` and a permutation of pixels."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Real

from esvae.errors import DataError
from export.ir import Network
from export.ir.geometry import pixels

__all__ = ["images_from_potentials"]


def images_from_potentials(
    network: Network, potentials: Real[np.ndarray, " images *layer"]
) -> Float32[np.ndarray, "images channels height width"]:
    """Pictures in [-1, 1].

    Args:
        network: with a readout.
        potentials: of the last layer after the last step.

    Raises:
        DataError: the network does not say how its potentials become pictures.
    """
    readout = network.readout
    if readout is None:
        raise DataError("this network has no readout, so it draws no pictures; use --trace to see what it computes")
    channels, height, width = readout.image_shape
    r = readout.upscale
    values = np.tanh(potentials / readout.unit).astype(np.float32)
    return pixels(values.reshape(-1, channels * r * r, height // r, width // r), (r, r))

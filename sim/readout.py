"""From the last layer's membrane potentials to pictures: ``tanh(v / unit)`` and a permutation of pixels.

Where pixels fire instead, potentials are what their first spikes stand for.
"""

from __future__ import annotations

import numpy as np

from esvae.arrays import Float32, Int32, Real, Shaped
from esvae.errors import DataError
from export.ir import Network
from export.ir.geometry import pixels

__all__ = ["images_from_potentials", "potentials_from_spikes"]

#: Images at a time, so that what lies between potentials and pixels stays small.
_BLOCK = 256


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
    maps = potentials.reshape(-1, channels * r * r, height // r, width // r)
    images = np.empty((len(maps), channels, height, width), np.float32)
    for low in range(0, len(maps), _BLOCK):
        values = np.tanh(maps[low : low + _BLOCK] / readout.unit).astype(np.float32)
        images[low : low + _BLOCK] = pixels(values, (r, r))
    return images


def potentials_from_spikes(
    network: Network, spikes: Shaped[np.ndarray, "images steps *layer"]
) -> Int32[np.ndarray, " images *layer"]:
    """The potentials at the end of images that the last layer's first spikes stand for.

    Args:
        network: with a spike readout.
        spikes: of its last layer, 0 or 1, over the whole window.

    Raises:
        DataError: it has none, or the window is another.
    """
    told = network.spike_readout
    if told is None:
        raise DataError("this network has no spike readout: its pictures are potentials")
    if spikes.shape[1] != network.time_steps:
        raise DataError(f"spikes of {spikes.shape[1]} steps: first spikes are read in a window of {network.time_steps}")
    before = spikes.shape[1] - told.steps
    ever = np.ones_like(spikes[:, :1])
    phase = np.concatenate([spikes[:, :before].max(axis=1, keepdims=True), spikes[:, before:], ever], axis=1)
    first = phase.argmax(axis=1).reshape(len(spikes), -1)
    levels = np.repeat(told.levels, first.shape[1] // len(told.levels), axis=0)  # channels outermost
    found: np.ndarray = levels[np.arange(first.shape[1]), first]
    return found.reshape(len(spikes), *spikes.shape[2:])

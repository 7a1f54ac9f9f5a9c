"""The integer twin of the whole autoencoder: image, encoder, spike counter, sampler, decoder, image.

Composed of the pieces that define each part: :mod:`sim.reference` for the first neurons, the engine for the layers,
:mod:`sim.sampler` for what happens between the two networks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from esvae.arrays import Int32, Int64, UInt8
from esvae.chip.neuron import lif_step
from esvae.errors import DataError
from export.encoder import DirectCoding, IntegerEncoder
from export.ir import Network
from sim.sampler import codes_from_counts, initial_states, sample_spikes
from sim.twin.engine import Engine

__all__ = ["Autoencoded", "autoencode", "check_pair", "encode", "first_spikes"]


@dataclass(frozen=True, eq=False)
class Autoencoded:
    """What went through the autoencoder.

    Attributes:
        latent: the encoder's spikes, uint8 ``(images, steps, latents)``.
        codes: the counted spikes as rate codes, int64 ``(images, latents)``.
        sampled: the spikes that were drawn from them, uint8 ``(images, steps, latents)``.
        potentials: of the decoder's last layer after the last step, int32 ``(images, *layer shape)``.
    """

    latent: UInt8[np.ndarray, "images steps latents"]
    codes: Int64[np.ndarray, "images latents"]
    sampled: UInt8[np.ndarray, "images steps latents"]
    potentials: Int32[np.ndarray, " images *layer"]


def first_spikes(
    coding: DirectCoding, images: np.ndarray, steps: int
) -> UInt8[np.ndarray, "images {steps} outputs rows columns"]:
    """Spikes of the first layer's neurons: uint8 ``(images, steps, O, H, W)`` from images in [-1, 1]."""
    currents = coding.currents(images)
    u, v = np.zeros(currents.shape, np.int64), np.zeros(currents.shape, np.int64)
    spikes = np.empty((len(images), steps, *currents.shape[1:]), np.uint8)
    nothing = np.zeros(currents.shape, np.int64)
    for t in range(steps):
        u, v, spikes[:, t] = lif_step(u, v, nothing, currents.astype(np.int64), coding.neuron)
    return spikes


def encode(encoder: IntegerEncoder, images: np.ndarray) -> UInt8[np.ndarray, "images steps latents"]:
    """The encoder's spikes: uint8 ``(images, steps, latents)`` from images ``(N, C, H, W)`` in [-1, 1]."""
    steps = encoder.network.time_steps
    assert steps is not None  # a run's model has a window
    entering = first_spikes(encoder.coding, images, steps)
    latent = [layers[-1].spikes.numpy() for layers in Engine(encoder.network).run(entering)]
    spikes = np.concatenate(latent, axis=1).swapaxes(0, 1)
    return spikes.reshape(len(images), steps, -1).astype(np.uint8)


def check_pair(encoder: IntegerEncoder, decoder: Network) -> tuple[int, int]:
    """Window and rate bits that encoder and decoder share.

    Raises:
        DataError: they do not belong together.
    """
    if decoder.spike_readout is not None:
        raise DataError("the decoder's pixels fire behind its image steps; export it with --readout potential")
    latents, steps = int(np.prod(decoder.input_shape)), encoder.network.time_steps
    if latents != encoder.latents or steps is None or decoder.time_steps != steps:
        raise DataError(
            f"the encoder gives {encoder.latents} latents over {steps} steps, the decoder takes {latents} over "
            f"{decoder.time_steps}; export both from the same run"
        )
    return steps, decoder.rate_bits


def autoencode(encoder: IntegerEncoder, decoder: Network, images: np.ndarray, seed: int = 0) -> Autoencoded:
    """Runs images through both networks.

    Args:
        encoder, decoder: of the same run.
        images: ``(N, C, H, W)`` in [-1, 1].
        seed: of the sampler; with the image's number it decides the spikes.

    Raises:
        DataError: networks that do not belong together, or images that do not fit.
    """
    steps, bits = check_pair(encoder, decoder)
    latent = encode(encoder, images)
    codes = codes_from_counts(latent.sum(axis=1, dtype=np.int64), steps, bits)
    states = initial_states(seed, np.arange(len(images)), codes.shape[1])
    sampled = sample_spikes(codes, states, steps, bits, decoder.sampler)
    entering = sampled.reshape(*sampled.shape[:2], *decoder.input_shape)
    return Autoencoded(latent, codes, sampled, Engine(decoder).final_potentials(entering))

"""What enters a graph whose sampler draws the spikes itself: rate codes and the registers' first states, no spikes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deploy.lava.inside.messages import SamplerInput
from esvae.arrays import Integer, UInt8, UInt32
from esvae.chip.formats import SpikeLaw
from esvae.errors import DataError
from export.ir import Network, Prior
from sim.sampler import LFSR_TAPS, initial_states, prior_codes, sample_spikes

__all__ = ["Rates", "rates_from_prior"]


@dataclass(frozen=True, eq=False)
class Rates:
    """The sampler's input for a number of images.

    Attributes:
        codes: rate codes 0 to ``2^rate_bits``, ``(images, neurons)``; None where a counter in the graph gives them.
        states: of the shift registers at the start of each image, uint32 ``(images, neurons)``.
        steps: window of an image.
        rate_bits: by which the registers advance for each number.
        sampler: how a code becomes spikes, see :mod:`sim.sampler`.
    """

    codes: Integer[np.ndarray, "images neurons"] | None
    states: UInt32[np.ndarray, "images neurons"]
    steps: int
    rate_bits: int
    sampler: SpikeLaw = "poisson"

    @property
    def images(self) -> int:
        """How many."""
        return len(self.states)

    def spikes(self) -> UInt8[np.ndarray, "images steps neurons"]:
        """What the sampler in the graph must draw, by its definition: uint8 ``(images, steps, neurons)``.

        Raises:
            DataError: the codes are not known here.
        """
        if self.codes is None:
            raise DataError("these rates are counted in the graph, so their spikes are not known before it has run")
        return sample_spikes(self.codes, self.states, self.steps, self.rate_bits, self.sampler)

    def write(self, folder: Path) -> SamplerInput:
        """Writes both arrays into a folder and says where they are."""
        codes = np.zeros(self.states.shape, np.int32) if self.codes is None else self.codes.astype(np.int32)
        states_file, codes_file = folder / "sampler.states.npy", folder / "sampler.codes.npy"
        np.save(states_file, self.states.astype(np.int64))
        np.save(codes_file, codes)
        return SamplerInput(str(states_file), str(codes_file), self.rate_bits, LFSR_TAPS, self.sampler == "systematic")


def rates_from_prior(network: Network, seed: int, images: Integer[np.ndarray, " images"]) -> Rates:
    """The rates and states behind :func:`sim.sampler.draw_latents`, for the given image numbers.

    Raises:
        DataError: the network has no prior or no window.
    """
    if not isinstance(network.prior, Prior) or network.time_steps is None:
        raise DataError(
            "this network has no prior in floats, so there are no rates for its sampler; use --sampler host"
        )
    codes = prior_codes(network.prior, seed, images)
    states = initial_states(seed, images, codes.shape[1])
    return Rates(codes, states, network.time_steps, network.rate_bits, network.sampler)

"""A generator that draws on the chip beside the host's sampler: the same decoder, other dice.

The host draws from the run's prior, the circuit from what its weights hold of it. The host's image of a number and the
chip's have nothing but the number in common: the intervals of their differences, which keep the pairs, come out as
those of independent samples.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from deploy.compare.distribution import GeneratedSets
from deploy.compare.images import image_mse
from deploy.compare.statistics import mean_pair
from deploy.compare.types import Distribution, SamplerComparison, SamplerFigure
from deploy.pair import ImagePairs, pair_of
from esvae.run import Run
from export.frontends import from_run
from export.ir import CircuitPrior, Network
from export.ir.circuit import circuit_of
from export.ir.labels import FIRST_GROUP
from sim.sampler import draw_latents
from sim.twin.engine import Engine

__all__ = ["SamplerStream", "host_stream", "on_the_host"]


def on_the_host(run: Run, network: Network) -> Network:
    """The generator with the host drawing for it, from the run's prior: as it is exported without a circuit."""
    return replace(network, prior=from_run(run).prior, first_group=FIRST_GROUP)


def host_stream(run: Run, network: Network, seed: int, sets: GeneratedSets) -> SamplerStream | None:
    """What draws the host's images beside the chip's; None of a generator that draws on the host."""
    circuit = circuit_of(network)
    return None if circuit is None else SamplerStream(run, network, circuit, seed, sets)


class SamplerStream:
    """Takes the chip's images as they come, and draws as many of the host's.

    Args:
        run: that has the float decoder and the prior.
        network: the generator.
        circuit: its prior.
        seed: of the host's draws.
        sets: takes the integer images of host and chip.
    """

    def __init__(self, run: Run, network: Network, circuit: CircuitPrior, seed: int, sets: GeneratedSets) -> None:
        self.sets = sets
        self._decoder, self._seed, self._chip_seed = run.model.decoder, seed, circuit.layout.seed
        self._network = on_the_host(run, network)
        self._engine = Engine(self._network)
        self._values: dict[str, tuple[list[np.ndarray], list[np.ndarray]]] = {}
        self._images = 0

    def add(self, chip: ImagePairs) -> None:
        """The next images that the chip drew, through both decoders."""
        numbers = np.arange(chip.first, chip.first + len(chip.latents))
        host = pair_of(self._decoder, self._engine, draw_latents(self._network, self._seed, numbers))
        self.sets.add(host.integers, chip.integers)
        self._images += len(numbers)
        for side, pairs in enumerate((host, chip)):
            for name, values in _by_image(pairs).items():
                self._values.setdefault(name, ([], []))[side].append(values)

    def comparison(self, distribution: Distribution | None) -> SamplerComparison:
        """What was found.

        Args:
            distribution: of :attr:`sets`, or None.
        """
        figures = {}
        for name, (left, right) in self._values.items():
            pair = mean_pair(np.concatenate(left), np.concatenate(right))
            figures[name] = SamplerFigure(pair.float, pair.quantized, pair.difference)
        for name, one in ({} if distribution is None else distribution.distances).items():
            kept = (one.difference, one.floor, one.bias, one.larger_is_better)
            figures[name] = SamplerFigure(one.float, one.quantized, *kept)
        return SamplerComparison(self._images, self._seed, self._chip_seed, figures)


def _by_image(pairs: ImagePairs) -> dict[str, np.ndarray]:
    """Figures ``(N,)`` whose means are compared."""
    return {
        "rate": pairs.latents.mean(axis=(1, 2)),
        "silent": (pairs.latents.sum(axis=1) == 0).mean(axis=1),
        "mse": image_mse(pairs.integers, pairs.floats),
    }

"""What a network costs: input from wherever it comes, exact counts over it, estimates from profiles."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from deploy.backends import Progress
from deploy.entering import Entering, InputOptions, at_rate, drawable, enter, made_up
from deploy.view.numbers import si, whole
from esvae.errors import ConfigError, DataError
from export.ir import CircuitPrior, Network
from export.ir.circuit import circuit_of, whole_network
from sim.circuit import circuit_windows
from sim.counts.alike import Tally
from sim.counts.ops import Activity, Counter, Counts, Rasters
from sim.energy.estimate import EnergyEstimate, estimate_all
from sim.energy.profile import load_profile, profile_names
from sim.twin.engine import Engine

__all__ = ["DEFAULT_RATE", "DEFAULT_STEPS", "Cost", "cost_of", "counted_input"]

#: Where a file says nothing about its input: spikes a step of each input, and steps of the window.
DEFAULT_RATE = 0.1
DEFAULT_STEPS = 16


@dataclass(frozen=True, eq=False)
class Cost:
    """Counts, exact; and what profiles make of them, estimates."""

    counts: Counts
    estimates: list[EnergyEstimate]

    def __repr__(self) -> str:
        counted = f"{whole(self.counts.totals['synops'])} synaptic operations an image, mean of {self.counts.images}"
        energies = [f"{one.profile} {si(one.energy.value, 'J')}" for one in self.estimates]
        return f"Cost({'; '.join([counted, *energies])})"


def counted_input(network: Network, options: InputOptions) -> Entering:
    """What enters while operations are counted: as the options say, else the prior's; made up where there is neither.

    Args:
        network: that it enters.
        options: steps are those of the window, where the network does not say.

    Raises:
        ConfigError: options that exclude each other, or another window than the network's.
        DataError: a file that cannot be read or does not fit.
    """
    steps, window = options.steps, network.time_steps
    if (options.latents or options.spikes) is not None and steps is not None:
        raise ConfigError("spikes from a file have their own number of steps; leave out --steps")
    if steps is not None and window not in (None, steps):
        raise ConfigError(f"--steps {steps}: the network's window is {window}")
    timed = replace(options, steps=window or steps or DEFAULT_STEPS)
    if options.rate is not None:
        return enter(network, timed)
    if options.named or drawable(network):
        entering = enter(network, options)
        if window not in (None, entering.steps):
            raise DataError(f"{entering.about}: has {entering.steps} steps, the network's window is {window}")
        return entering
    if network.input_neurons is not None:
        return _assumed(made_up(network, timed), "the file does not say what it sees", "--image F.npy")
    random = at_rate(network, DEFAULT_RATE, timed)
    return _assumed(random, "the file says nothing of its input", "--spikes F.npy, or --rate")


def _assumed(entering: Entering, why: str, instead: str) -> Entering:
    return replace(entering, about=f"{entering.about} ({why}, so this is assumed; give {instead})")


def cost_of(entering: Entering, profiles: Sequence[str] = (), *, progress: Progress | None = None) -> Cost:
    """Runs the twin over what enters, chunk by chunk, counts, and applies profiles.

    Args:
        entering: with the network that it enters.
        profiles: names of shipped profiles or paths of others; all that are shipped where empty.
        progress: called with the share done.

    Raises:
        ConfigError: a profile that does not hold.
        DataError: spikes or pixels that do not fit.
    """
    loaded = [load_profile(name) for name in profiles or profile_names()]
    circuit = circuit_of(entering.network) if entering.kind == "prior" else None
    network = entering.network if circuit is None else whole_network(entering.network)
    engine, counter, done = Engine(entering.network), Counter(network), 0
    decoder = len(list(entering.network.synapses()))

    def tallies(steps: int, images: int) -> list[Tally | None]:
        return counter.tallies(steps, images)[-decoder:]

    for part in entering.chunks():

        def add(layers: Iterable[Activity], images: range, part: Entering = part) -> None:
            drawn = []
            if circuit is not None:
                drawn = _drawn(circuit, part.steps, part.first + images.start, part.first + images.stop)
            counter.add(itertools.chain(drawn, layers), part.first - entering.first + images.start)

        for _ in engine.over(add, part.stimulus, tallies=tallies):
            pass
        done += part.images
        if progress is not None:
            progress(done / entering.images, "count")
    counts = counter.result()
    return Cost(counts, estimate_all(network, counts, loaded))


def _drawn(circuit: CircuitPrior, steps: int, first: int, stop: int) -> list[Activity]:
    """What source and latents fired in these images, counted at the step at which it is fired."""
    source, latents = (
        torch.from_numpy(np.ascontiguousarray(spikes.swapaxes(0, 1))).float()
        for spikes in circuit_windows(circuit, steps, first, stop)
    )
    silence = source.new_zeros(*source.shape[:2], circuit.source.inputs)
    return [Rasters(silence, source), Rasters(source, latents)]

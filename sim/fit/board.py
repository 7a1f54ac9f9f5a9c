"""Several chips on a board: what crosses from chip to chip.

Spikes that leave a chip pass a link: one message for each neuron that fires and each other chip on which it has a
target.

Not modelled: which chips are neighbours, and how long a link takes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from esvae.arrays import Real
from export.ir import Network
from export.ir.circuit import whole_network
from sim.fit.core_load import core_reach
from sim.fit.mapping import LayerMapping, Mapping

__all__ = ["Crossing", "crossings"]


@dataclass(frozen=True)
class Crossing:
    """What passes from one chip to another.

    Attributes:
        source, target: numbers of the chips.
        neurons: that have a target there.
        spikes: of these neurons in an image's window, mean; None where no spikes were given.
    """

    source: int
    target: int
    neurons: int
    spikes: float | None


def crossings(
    network: Network, mapping: Mapping, entering: Sequence[Real[np.ndarray, "steps _inputs"]] | None = None
) -> tuple[Crossing, ...]:
    """Counts what passes between chips.

    Args:
        network: that was mapped.
        mapping: of it, without problems.
        entering: for each layer the spikes that enter it, mean over images, ``(steps, inputs)``; None to count neurons
            alone.

    Spikes that enter a network without input neurons come from outside of the board, and cross no link of it.
    """
    chip_of: dict[str, list[int]] = {}
    for share in mapping.shares:
        chip_of.setdefault(share.layer, []).extend([share.chip] * (share.last - share.first))
    home = None  # chip of each neuron of the layer before
    if mapping.inputs is not None:
        home = _home(mapping.inputs, chip_of)
    neurons: dict[tuple[int, int], int] = {}
    spikes: dict[tuple[int, int], float] = {}
    for k, ((layer, before, after), mapped) in enumerate(
        zip(whole_network(network).synapses(), mapping.layers, strict=True)
    ):
        if home is not None:
            reached = core_reach(layer, before, after, mapped.cores) > 0
            targets = np.array(chip_of[mapped.layer])
            fired = None if entering is None else entering[k].sum(axis=0)
            for target in np.unique(targets):
                has_target = reached[targets == target].any(axis=0)
                for source in np.unique(home):
                    if source == target:
                        continue
                    crossing = has_target & (home == source)
                    if crossing.any():
                        link = (int(source), int(target))
                        neurons[link] = neurons.get(link, 0) + int(crossing.sum())
                        if fired is not None:
                            spikes[link] = spikes.get(link, 0.0) + float(fired[crossing].sum())
        home = _home(mapped, chip_of)
    return tuple(Crossing(*link, neurons[link], spikes.get(link)) for link in sorted(neurons))


def _home(mapped: LayerMapping, chip_of: dict[str, list[int]]) -> np.ndarray:
    """On which chip each neuron of a layer is: int64 ``(neurons,)``."""
    home = np.empty(math.prod(mapped.shape), np.int64)
    for core, chip in zip(mapped.cores, chip_of[mapped.layer], strict=True):
        home[core.mask(mapped.shape).reshape(-1)] = chip
    return home

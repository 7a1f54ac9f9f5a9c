"""How long a step can take at most: the busiest core with every input of every layer spiking."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from export.ir import Network, unlooped
from sim.energy.estimate import Quantity, step_time
from sim.energy.profile import load_profile
from sim.fit.core_load import core_load
from sim.fit.mapping import Mapping

__all__ = ["StepBound", "step_bound"]

#: Whose times bound the step on each chip.
_PROFILES = {"loihi2": "loihi2_anchored", "loihi1": "loihi1_davies2018"}


@dataclass(frozen=True)
class StepBound:
    """An estimate of the longest step: every input of every layer spikes.

    Attributes:
        profile: whose times.
        label: always ``estimate``.
        layer: of the busiest core.
        synops: on that core.
        seconds: of the step.
    """

    profile: str
    label: str
    layer: str
    synops: int
    seconds: Quantity


def step_bound(network: Network, mapping: Mapping) -> StepBound | None:
    """The bound; None where a layer cannot be mapped."""
    if mapping.problems:
        return None
    shapes = (unlooped(layer, before)[1] for layer, before, _ in network.synapses())
    everything = [np.ones((1, math.prod(shape))) for shape in shapes]
    load = core_load(network, everything, mapping)
    profile = load_profile(_PROFILES[mapping.chip.name])
    seconds, layer = step_time(network, profile, load)
    synops = int(load.synops[0, load.layer == layer].max())
    return StepBound(profile.name, "estimate", mapping.layers[layer].layer, synops, seconds)

"""Whether a network fits a chip, what stands in its way, and what would make it fit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from export.ir import Dense, Network
from sim.energy.estimate import Quantity, connectivity, step_time
from sim.energy.profile import load_profile
from sim.fit.chips import CHIPS, Chip
from sim.fit.core_load import CoreLoad, core_load
from sim.fit.mapping import LayerMapping, Mapping, map_network, weight_bits

__all__ = ["Fit", "Option", "StepBound", "fit_network"]

#: Whose times bound the step on each chip.
_PROFILES = {"loihi2": "loihi2_anchored", "loihi1": "loihi1_davies2018"}


@dataclass(frozen=True)
class Option:
    """Another way to put the network on a chip.

    Attributes:
        what: for a person.
        cores, chips: that it takes; None where a layer cannot be mapped.
        fits: on one chip.
    """

    what: str
    cores: int | None
    chips: int | None
    fits: bool


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


@dataclass(frozen=True)
class Fit:
    """The answer.

    Attributes:
        mapping: of the network as it is.
        lowerings: with shared kernels and unrolled, where the network has kernels.
        remedies: changes that were tried, where it does not fit; those that make it fit come first.
        advice: what to do, in a sentence each.
        step: bound on the step time, where it can be mapped.
    """

    mapping: Mapping
    lowerings: tuple[Option, ...]
    remedies: tuple[Option, ...]
    advice: tuple[str, ...]
    step: StepBound | None


def fit_network(network: Network, chip: Chip) -> Fit:
    """Maps a network and, where it does not fit one chip, tries what would help."""
    mapping = map_network(network, chip)
    kernels = any(layer.kind == "shared" for layer in mapping.layers)
    lowerings: tuple[Option, ...] = ()
    if kernels:
        unrolled = map_network(network, chip, unrolled=True)
        lowerings = (_option("shared kernels", mapping), _option("unrolled", unrolled))
    remedies = () if mapping.fits else _remedies(network, chip)
    return Fit(mapping, lowerings, remedies, _advice(network, mapping), _step_bound(network, mapping))


def _option(what: str, mapping: Mapping) -> Option:
    return Option(what, None if mapping.problems else mapping.cores, mapping.chips, mapping.fits)


def _remedies(network: Network, chip: Chip) -> tuple[Option, ...]:
    tried = []
    stored = max(weight_bits(layer.weight) for layer, _, _ in network.synapses())
    for bits in (6, 4, 2):
        if bits < stored:
            tried.append(_option(f"weights of {bits} bits", map_network(network, chip, bits=bits)))
    others = (other for other in CHIPS.values() if other is not chip)
    tried += [_option(other.title, map_network(network, other)) for other in others]
    return tuple(sorted(tried, key=lambda option: not option.fits))


def _advice(network: Network, mapping: Mapping) -> tuple[str, ...]:
    if mapping.fits:
        return ()
    advice = []
    unrolled = [
        mapped.layer
        for mapped, kind, (layer, _, _) in zip(mapping.layers, connectivity(network), network.synapses(), strict=True)
        if isinstance(layer, Dense) and kind == "sparse"
    ]
    if unrolled:
        advice.append(
            f"{', '.join(unrolled)}: mostly zeros, as an unrolled convolution is; kept as a convolution it shares its "
            "kernel (fit the run directory to compare, or train the subpixel decoder, which needs no unrolling)"
        )
    heaviest = max(mapping.layers, key=lambda layer: (layer.problem is not None, len(layer.cores)))
    if heaviest.problem:
        advice.append(f"{heaviest.layer}: {heaviest.problem}; give its neurons fewer inputs (fewer channels before it)")
    elif heaviest.binding == "memory":
        advice.append(f"{heaviest.layer} takes {len(heaviest.cores)} cores, full of synapses; use fewer channels in it")
    elif heaviest.binding == "neurons":
        advice.append(f"{heaviest.layer} takes {len(heaviest.cores)} cores, full of neurons; make its maps smaller")
    else:
        advice.append(f"{heaviest.layer} takes {len(heaviest.cores)} cores for its inputs; use fewer channels before")
    if mapping.chips is not None:
        advice.append(f"{mapping.chips} chips hold it as it is")
    return tuple(advice)


def _step_bound(network: Network, mapping: Mapping) -> StepBound | None:
    if mapping.problems:
        return None
    everything = [np.ones((1, math.prod(before))) for _, before, _ in network.synapses()]
    load: CoreLoad = core_load(network, everything, mapping)
    profile = load_profile(_PROFILES[mapping.chip.name])
    seconds, layer = step_time(network, profile, load)
    busiest: LayerMapping = mapping.layers[layer]
    return StepBound(profile.name, "estimate", busiest.layer, int(load.synops[0, load.layer == layer].max()), seconds)

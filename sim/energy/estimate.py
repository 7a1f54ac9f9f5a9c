"""Estimates of energy and time from exact counts and the figures of a profile; nothing here comes from a running chip.

::

    E       = E_syn * operations + E_upd * updates + E_spk * spikes + E_pkt * packets + E_hop * hops
              + P_static * t_image
    t_step  = max over cores of max(t_syn * operations, t_upd * neurons), plus the barrier; mean over the window
    t_image = T * t_step, where images follow each other without a gap; the first takes (T + depth) * t_step

Every result has a lowest and a highest value beside it: all figures at the low (high) end of their ranges, times the
profile's uncertainty of the whole. Its basis is the weakest of those of the figures in it, that uncertainty apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esvae.errors import ConfigError
from export.ir import Dense, Network, unlooped
from export.ir.labels import INPUT_LABEL
from sim.energy.profile import BASES, Energies, Figure, Profile, Times
from sim.fit.chips import CHIPS, Chip
from sim.fit.core_load import CoreLoad, core_load
from sim.fit.mapping import Mapping, map_network

if TYPE_CHECKING:
    from sim.counts.ops import Counts  # which needs torch, as counting does and mapping to a chip does not

__all__ = [
    "EnergyEstimate",
    "EnergyPart",
    "Quantity",
    "connectivity",
    "estimate",
    "estimate_all",
    "part_names",
    "step_time",
]

#: What the basis of a result is called where all its figures were taken on silicon: a product of them is still no
#: reading of an instrument.
_FROM_SILICON = "from silicon figures"


@dataclass(frozen=True)
class Quantity:
    """An estimate and the ends of its range, in joules, seconds or as a share."""

    value: float
    low: float
    high: float

    def __add__(self, other: Quantity) -> Quantity:
        return Quantity(self.value + other.value, self.low + other.low, self.high + other.high)

    def __mul__(self, other: Quantity) -> Quantity:
        return Quantity(self.value * other.value, self.low * other.low, self.high * other.high)

    def times(self, factor: float) -> Quantity:
        return Quantity(self.value * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True)
class EnergyPart:
    """A part of the energy of an image.

    Attributes:
        name: what for.
        amount: how many, exact mean over images; None for static power.
        energy: joules.
        basis: of the weakest figure in it.
    """

    name: str
    amount: float | None
    energy: Quantity
    basis: str


@dataclass(frozen=True)
class EnergyEstimate:
    """What one profile makes of the counts. All of it is an estimate.

    Attributes:
        profile, title, about: of the profile.
        label: always ``estimate``.
        basis: of the weakest figure in it.
        energy: joules an image.
        parts: of it.
        step_time: seconds; None where the profile has no times or the network cannot be mapped, as the next two.
        latency: seconds from an image's first step to its last layer's last.
        interval: seconds from one image to the next where they follow without a gap, as static power is charged.
        busiest: the layer whose core takes longest, likewise.
        static_share: of the energy, likewise.
        chip, cores, chips: that the mapping takes.
        float_energy: joules for one pass of the float equivalent, where the profile has a figure for its products.
        notes: what is left out, and why.
    """

    profile: str
    title: str
    about: str
    label: str
    basis: str
    energy: Quantity
    parts: tuple[EnergyPart, ...]
    step_time: Quantity | None
    latency: Quantity | None
    interval: Quantity | None
    busiest: str | None
    static_share: Quantity | None
    chip: str | None
    cores: int | None
    chips: int | None
    float_energy: Quantity | None
    notes: tuple[str, ...]


def connectivity(network: Network) -> tuple[str, ...]:
    """How each layer's synapses are stored: ``conv``; ``dense`` where half of a matrix or more exists; ``sparse``."""
    kinds = []
    for node, before, _ in network.synapses():
        layer, _ = unlooped(node, before)
        if not isinstance(layer, Dense):
            kinds.append("conv")
        else:
            kinds.append("dense" if 2 * np.count_nonzero(layer.weight) >= layer.weight.size else "sparse")
    return tuple(kinds)


#: Parts of the energy, in the order in which they are shown.
_PARTS = ("synaptic operations", "neuron updates", "spikes", "packets", "hops", "static power")


def part_names(estimates: Iterable[EnergyEstimate]) -> list[str]:
    """Names of the parts that occur, in the order in which they are shown."""
    found = {part.name for one in estimates for part in one.parts}
    return [name for name in _PARTS if name in found]


def estimate_all(network: Network, counts: Counts, profiles: Sequence[Profile]) -> list[EnergyEstimate]:
    """Estimates by several profiles; each chip is mapped once."""
    chips: Iterable[Chip] = (chip for chip in CHIPS.values() if any(p.chip == chip.name for p in profiles))
    mapped = {chip.name: map_network(network, chip) for chip in chips}
    loads = {name: None if m.problems else core_load(network, counts.mean_entering, m) for name, m in mapped.items()}
    results = []
    for profile in profiles:
        name = profile.chip or ""
        results.append(estimate(network, counts, profile, mapped.get(name), loads.get(name)))
    return results


def estimate(
    network: Network, counts: Counts, profile: Profile, mapping: Mapping | None, load: CoreLoad | None
) -> EnergyEstimate:
    """Applies one profile to what was counted.

    Args:
        network: that was counted.
        counts: of it.
        profile: the figures.
        mapping: onto the profile's chip, or None where it has none.
        load: of that mapping's cores, or None where it cannot be mapped.
    """
    work = _Work(network, counts, profile, load)
    parts = work.dynamic()
    notes = [note for note in (work.missing(), _fit_note(mapping)) if note]
    step = latency = interval = share = busiest = None
    if profile.time is not None and load is not None and mapping is not None:
        step, layer = step_time(network, profile, load)
        busiest = INPUT_LABEL if layer < 0 else counts.layers[layer].layer
        latency, interval = step.times(counts.steps + network.depth), step.times(counts.steps)
        if profile.power is not None:
            static = profile.power.static
            energy = _quantity(static).times(mapping.chips or 1) * interval
            parts.append(EnergyPart("static power", None, energy, _weakest([static, *work.time_figures])))
    total = Quantity(0.0, 0.0, 0.0)
    for part in parts:
        total = total + part.energy
    if parts[-1].amount is None:
        share = _share(parts[-1].energy, total)
    return EnergyEstimate(
        profile=profile.name,
        title=profile.title,
        about=" ".join(profile.about.split()),
        label="estimate",
        basis=_weakest_name([part.basis for part in parts]),
        energy=total,
        parts=tuple(parts),
        step_time=step,
        latency=latency,
        interval=interval,
        busiest=busiest,
        static_share=share,
        chip=profile.chip,
        cores=mapping.cores if mapping is not None and load is not None else None,
        chips=mapping.chips if mapping is not None else None,
        float_energy=work.float_energy(),
        notes=tuple(notes),
    )


class _Work:
    """Products of counts and figures, layer by layer where the figures depend on the layer."""

    def __init__(self, network: Network, counts: Counts, profile: Profile, load: CoreLoad | None) -> None:
        self._counts, self._profile, self._load = counts, profile, load
        self._kinds = connectivity(network)
        time = profile.time
        self.time_figures: list[Figure] = []
        if time is not None:
            self.time_figures = [*_by_layer(time, self._kinds), time.neuron_update, time.barrier]

    def dynamic(self) -> list[EnergyPart]:
        """Parts that grow with what the network does."""
        energy, layers = self._profile.energy, self._counts.layers
        synaptic = _by_layer(energy, self._kinds)
        total = Quantity(0.0, 0.0, 0.0)
        for figure, layer in zip(synaptic, layers, strict=True):
            total = total + _quantity(figure).times(layer.synops)
        amount = sum(layer.synops for layer in layers)
        parts = [self._part("synaptic operations", amount, total, synaptic)]
        spikes = layers[0].spikes_in + sum(layer.spikes for layer in layers)
        updates = self._counts.input_updates + sum(layer.updates for layer in layers)
        amounts: dict[str, tuple[Figure | None, float | None]] = {
            "neuron updates": (energy.neuron_update, float(updates)),
            "spikes": (energy.spike, spikes),
            "packets": (energy.packet, self._load.packets if self._load else None),
            "hops": (energy.hop, self._load.hops if self._load else None),
        }
        for name, (each, many) in amounts.items():
            if each is not None and many is not None:
                parts.append(self._part(name, many, _quantity(each).times(many), [each]))
        return parts

    def _part(self, name: str, amount: float, energy: Quantity, figures: Sequence[Figure]) -> EnergyPart:
        whole = self._profile.uncertainty.energy
        if whole is not None:
            energy = energy * _quantity(whole)
        return EnergyPart(name, amount, energy, _weakest(figures))

    def missing(self) -> str | None:
        """What the profile or the mapping cannot say."""
        profile, gone = self._profile, []
        if self._load is None and profile.chip is not None:
            gone = ["packets and hops"] * bool(profile.energy.packet or profile.energy.hop) + ["times"]
        elif profile.time is None:
            gone = ["times"]
        if profile.power is None:
            gone.append("static power")
        return "Left out: " + ", ".join(gone) if gone else None

    def float_energy(self) -> Quantity | None:
        """Of one pass of the float equivalent: products with weights that are not zero, inside the borders."""
        figure = self._profile.energy.multiply_accumulate
        if figure is None:
            return None
        energy = _quantity(figure).times(sum(layer.macs.effective for layer in self._counts.layers))
        whole = self._profile.uncertainty.energy
        return energy if whole is None else energy * _quantity(whole)


def step_time(network: Network, profile: Profile, load: CoreLoad) -> tuple[Quantity, int]:
    """Seconds that a step takes: the busiest core's time and the barrier, mean over the window.

    Args:
        network: that was mapped.
        profile: one with times.
        load: of the cores.

    Returns:
        The time; and the layer of the core that is the busiest most often, -1 for input neurons.
    """
    time = profile.time
    if time is None:
        raise ConfigError(f"profile {profile.name} has no times; add the section time to it")
    synaptic = [_quantity(figure) for figure in _by_layer(time, connectivity(network))]
    update, barrier = _quantity(time.neuron_update), _quantity(time.barrier)
    ends, busiest = [], np.zeros(0, np.int64)
    for end in ("value", "low", "high"):
        each = np.array([getattr(synaptic[k], end) for k in load.layer])
        of_core = np.maximum(load.synops * each, load.neurons * getattr(update, end))
        ends.append(float(of_core.max(axis=1).mean()) + getattr(barrier, end))
        if end == "value":
            busiest = load.layer[of_core.argmax(axis=1)]
    step = Quantity(*ends)
    if profile.uncertainty.time is not None:
        step = step * _quantity(profile.uncertainty.time)
    return step, int(np.bincount(busiest + 1).argmax()) - 1


def _by_layer(section: Energies | Times, kinds: Sequence[str]) -> list[Figure]:
    """The figure of a synaptic operation for each layer."""
    return [section.synaptic_operation or getattr(section, f"synaptic_operation_{kind}") for kind in kinds]


def _fit_note(mapping: Mapping | None) -> str | None:
    if mapping is None:
        return None
    if mapping.problems:
        return f"Cannot be mapped: {mapping.problems[0]}"
    if not mapping.fits:
        return f"Needs {mapping.chips} chips; links between chips are not in the estimate"
    return None


def _quantity(figure: Figure) -> Quantity:
    return Quantity(*figure.spread)


def _share(part: Quantity, total: Quantity) -> Quantity:
    """Of the total; lowest where the part is low and the rest high."""
    rest_low, rest_high = total.low - part.low, total.high - part.high
    pairs = ((part.value, total.value - part.value), (part.low, rest_high), (part.high, rest_low))
    return Quantity(*(a / (a + b) if a + b else 0.0 for a, b in pairs))


def _weakest(figures: Iterable[Figure]) -> str:
    return _weakest_name([figure.basis for figure in figures])


def _weakest_name(names: Iterable[str]) -> str:
    weakest = max((BASES.index(name) if name in BASES else 0) for name in names)  # type: ignore[arg-type]
    return BASES[weakest] if weakest else _FROM_SILICON

"""Whether a network fits a chip, what stands in its way, and what would make it fit: the one answer to all who ask.

What would help is tried, not guessed: each change is mapped (see :mod:`sim.fit.mapping`) and named with the cores it
takes, in the words of the command line. A generator that draws on the chip is mapped whole, with source and latents;
what is tried changes its decoder, as these follow from the prior.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from esvae.chip.rounding import MIN_WEIGHT_BITS
from esvae.errors import EsvaeError, HardwareRangeError
from export.ir import Dense, Network, RecurrentDense, all_weights
from export.ir.circuit import circuit_of, whole_network
from sim.energy.estimate import connectivity
from sim.fit.chips import CHIPS, Chip
from sim.fit.mapping import Mapping, map_network, weight_bits
from sim.fit.step import StepBound, step_bound
from sim.fit.thinner import thinner

__all__ = ["Advice", "Fit", "Option", "advise", "check_fits", "fit_network"]

_FULL_OF = {"memory": "synapses", "neurons": "neurons", "axons": "inputs"}
_SHARES = {0.75: "three quarters", 0.5: "half", 0.25: "a quarter"}


@dataclass(frozen=True)
class Option:
    """Another way to put the network on a chip.

    Attributes:
        what: what to do: ``--weight-bits 3``, ``--chip loihi1``, ``2 chips``, ...
        cores, chips: that it takes; None where a layer cannot be mapped.
        fits: on one chip, or on those that it names.
    """

    what: str
    cores: int | None
    chips: int | None
    fits: bool


@dataclass(frozen=True)
class Advice:
    """Why one chip does not hold a network, and what would help.

    Attributes:
        layer: label of the one that stands most in the way.
        remedies: changes that were tried, of each kind the smallest that will do, or else the largest; those that make
            it fit come first, and among them what changes least: how the layers are laid out, the bits of the
            weights, the network, the chip, the number of chips.
        sentences: what to tell a person: the layers and by how much, what would fit, what else to think of.
    """

    layer: str
    remedies: tuple[Option, ...]
    sentences: tuple[str, ...]

    @property
    def line(self) -> str:
        """All sentences in one."""
        return "; ".join(self.sentences)


@dataclass(frozen=True)
class Fit:
    """The whole answer.

    Attributes:
        mapping: of the network as it is, cut as the compiler does.
        least: cores that the capacities ask for at least, however it is cut; None where no number of cores holds it.
        lowerings: with shared kernels and unrolled, where the network has kernels.
        advice: where one chip does not hold it, or None.
        step: bound on the step time, where it can be mapped.
    """

    mapping: Mapping
    least: int | None
    lowerings: tuple[Option, ...]
    advice: Advice | None
    step: StepBound | None

    def __repr__(self) -> str:
        found = self.mapping
        verdict = "fits" if found.fits else "does not fit"
        return f"Fit({verdict} {found.chip.title}: {found.cores} of {found.chip.usable_cores} cores)"


def fit_network(network: Network, chip: Chip) -> Fit:
    """Maps a network, compares its lowerings, bounds its step and, where it does not fit one chip, advises."""
    mapping, advice = advise(network, chip)
    whole = whole_network(network)
    lowerings: tuple[Option, ...] = ()
    if any(layer.kind == "shared" for layer in mapping.layers):
        unrolled = map_network(whole, chip, unrolled=True)
        lowerings = (_option("shared kernels", mapping), _option("unrolled", unrolled))
    fewest = map_network(whole, chip, rule="fewest")
    least = None if fewest.problems else fewest.cores
    return Fit(mapping, least, lowerings, advice, step_bound(whole, mapping))


def check_fits(network: Network, chip: Chip, plain: Network | None = None) -> None:
    """Passes a network that one chip holds; for the rest see :func:`advise`.

    Raises:
        HardwareRangeError: it does not; names the layers, by how much, and what would fit.
    """
    _, advice = advise(network, chip, plain)
    if advice is not None:
        raise HardwareRangeError(f"--chip {chip.name}: {advice.line}")


def advise(network: Network, chip: Chip, plain: Network | None = None) -> tuple[Mapping, Advice | None]:
    """Maps a network and, where one chip does not hold it, tries what would help.

    Args:
        network: as it is, or would be written.
        chip: to hold it.
        plain: the same with its layers as trained, from which other lowerings are made; the network itself where None.
    """
    mapping = _mapped(network, chip)
    if mapping.fits:
        return mapping, None
    others = ((name, other) for name, other in CHIPS.items() if name != chip.name)
    tried = [
        *_other_lowerings(network, _as_trained(network, plain), chip),
        *_fewer_bits(network, mapping),
        *_fewer_channels(network, chip),
        *_drawn_elsewhere(network, chip),
        *(_option(f"--chip {name}", _mapped(network, other)) for name, other in others),
    ]
    if mapping.chips is not None:
        tried.append(Option(f"{mapping.chips} chips", mapping.cores, mapping.chips, True))
    tried.sort(key=lambda option: not option.fits)
    sentences = (*_obstacles(mapping), _would_fit(tried), *_unrolled_before(network, mapping))
    return mapping, Advice(mapping.heaviest.layer, tuple(tried), sentences)


def _mapped(network: Network, chip: Chip, *, unrolled: bool = False) -> Mapping:
    """All of a network that takes cores."""
    return map_network(whole_network(network), chip, unrolled=unrolled)


def _before_decoder(network: Network) -> int:
    """Layers of the mapping that are its circuit's."""
    circuit = circuit_of(network)
    return 0 if circuit is None else len(circuit.synapses)


def _drawing(decoder: Network, network: Network) -> Network:
    """The decoder behind the circuit of a network that has one."""
    circuit = circuit_of(network)
    return decoder if circuit is None else replace(decoder, prior=circuit)


def _as_trained(network: Network, plain: Network | None) -> Network:
    """What the network was lowered from: one whose pixels fire is made of lowered layers, and of no others."""
    return network if plain is None or network.spike_readout is not None else _drawing(plain, network)


def _option(what: str, mapping: Mapping) -> Option:
    return Option(what, None if mapping.problems else mapping.cores, mapping.chips, mapping.fits)


def _other_lowerings(network: Network, plain: Network, chip: Chip) -> Iterator[Option]:
    """The ways to lay out the layers that can be done, are not the network's own, and fit."""
    from export.passes.lower_dense import MAX_ELEMENTS  # with torch, for which a network that fits need not wait
    from export.pipeline import lowered

    ways: dict[str, Mapping] = {}
    try:
        subpixel, _, _ = lowered(plain, "subpixel")
    except EsvaeError:
        pass
    else:
        if subpixel.content_hash() != network.content_hash():
            ways["subpixel"] = _mapped(subpixel, chip)
    if any(not isinstance(layer, Dense | RecurrentDense) for layer, _, _ in network.synapses()) and all(
        math.prod(before) * math.prod(after) <= MAX_ELEMENTS for _, before, after in plain.synapses()
    ):
        ways["dense"] = _mapped(plain, chip, unrolled=True)
    if plain.content_hash() != network.content_hash():
        ways["native"] = _mapped(plain, chip)
    return (_option(f"--lowering {name}", way) for name, way in ways.items() if way.fits)


def _fewer_bits(network: Network, mapping: Mapping) -> Iterator[Option]:
    """The most bits, fewer than now, with which it fits; the fewest there are where it does not even with those."""
    stored = max(weight_bits(all_weights(layer)) for layer, _, _ in network.synapses())
    if stored <= MIN_WEIGHT_BITS:
        return
    whole, before = whole_network(network), _before_decoder(network)

    def with_bits(bits: int) -> Mapping:
        rounded = map_network(whole, mapping.chip, bits=bits)
        return replace(rounded, layers=(*mapping.layers[:before], *rounded.layers[before:]))

    bits, found = MIN_WEIGHT_BITS, with_bits(MIN_WEIGHT_BITS)
    if found.fits:
        for bits in range(stored - 1, MIN_WEIGHT_BITS - 1, -1):
            found = with_bits(bits)
            if found.fits:
                break
    yield _option(f"--weight-bits {bits}", found)


def _fewer_channels(network: Network, chip: Chip) -> Iterator[Option]:
    """The largest share of the hidden layers' channels with which it fits, or the smallest that was tried."""
    if network.depth < 2:
        return
    option = None
    for share, text in _SHARES.items():
        narrow = thinner(network, share)
        if narrow is None:
            return
        option = _option(f"{text} of the channels of its hidden layers", _mapped(_drawing(narrow, network), chip))
        if option.fits:
            break
    if option is not None:
        yield option


def _drawn_elsewhere(network: Network, chip: Chip) -> Iterator[Option]:
    """The decoder alone, of a generator that draws on the chip."""
    if circuit_of(network) is not None:
        yield _option("--generator host", map_network(network, chip))


def _obstacles(mapping: Mapping) -> Iterator[str]:
    """What stands in the way: layers that no core can hold, or the heaviest layer and the cores that lack."""
    if mapping.problems:
        yield from mapping.problems
        return
    heavy, chip = mapping.heaviest, mapping.chip
    excess = f"{mapping.cores - chip.usable_cores:,} more than the {chip.usable_cores} of {chip.title}"
    yield f"{heavy.layer}: takes {_counted(len(heavy.cores))}, full of {_FULL_OF[heavy.binding]}"
    yield f"the network takes {mapping.cores:,}, {excess}"


def _counted(cores: int) -> str:
    return f"{cores:,} core" if cores == 1 else f"{cores:,} cores"


def _would_fit(tried: list[Option]) -> str:
    found = [f"{option.what} ({_counted(option.cores or 0)})" for option in tried if option.fits]
    if found:
        return f"it would fit with {', or with '.join(found)}"
    return "nothing that was tried fits; give its neurons fewer inputs, or use a smaller network"


def _unrolled_before(network: Network, mapping: Mapping) -> Iterator[str]:
    """Points at layers that have been unrolled, which cannot be undone from here."""
    decoder = mapping.layers[_before_decoder(network) :]
    kinds = zip(decoder, connectivity(network), network.synapses(), strict=True)
    names = [mapped.layer for mapped, kind, (layer, _, _) in kinds if isinstance(layer, Dense) and kind == "sparse"]
    if names:
        yield (
            f"{', '.join(names)}: mostly zeros, as an unrolled convolution is; kept as a convolution it shares its "
            "kernel (fit the run directory to compare, or train the subpixel decoder, which needs no unrolling)"
        )

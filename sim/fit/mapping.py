"""Which layer takes how many cores, and whether the chip has them.

A layer is cut into blocks of outputs, one core each (:mod:`sim.fit.cuts`): as the compiler does, which is what
``fits`` goes by, or into the fewest that the capacities allow, a bound that no compiler goes below.

Not modelled: two layers on one core, and output axons.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from esvae.arrays import Integer
from esvae.chip.rounding import MAX_WEIGHT_BITS, WeightGrid
from export.ir import Dense, Network, Shape, unlooped
from export.ir.labels import INPUT_LABEL
from export.netx.rules import loads_sparse
from sim.fit import cuts
from sim.fit.chips import Chip
from sim.fit.cuts import LIMITS, Core, Cut, limits_of

__all__ = ["Core", "LayerMapping", "Mapping", "Rule", "Share", "compiler_bits", "map_network", "weight_bits"]

#: How layers are cut: as the compiler does, or into the fewest cores.
Rule: TypeAlias = Literal["compiler", "fewest"]


@dataclass(frozen=True)
class LayerMapping:
    """One layer's cores.

    Attributes:
        layer: its label.
        kind: ``shared`` kernel, ``unrolled`` lists, or ``none`` of input neurons.
        shape: of its outputs.
        neurons: in all.
        weight_bits: that each stored weight takes.
        cores: its blocks, in order; empty where it cannot be mapped.
        binding: the limit that is fullest on its fullest core: neurons, memory or axons.
        problem: why no core can hold even one of its neurons, or None.
    """

    layer: str
    kind: str
    shape: Shape
    neurons: int
    weight_bits: int
    cores: tuple[Core, ...]
    binding: str
    problem: str | None

    @property
    def words(self) -> int:
        """Synaptic memory over all cores."""
        return sum(core.words for core in self.cores)

    @property
    def groups(self) -> int:
        """Sets of neuron parameters on each of its cores: one, as a core holds one layer."""
        return 1

    def use(self, chip: Chip) -> dict[str, float]:
        """Share of each limit on the core where it is fullest, 0 to 1."""
        most = {name: max((getattr(core, name) for core in self.cores), default=0) for name in LIMITS}
        return {name: most[name] / limit for name, limit in limits_of(chip).items()}


@dataclass(frozen=True)
class Share:
    """A part of a layer on one chip.

    Attributes:
        chip: number, from 0.
        layer: its label.
        first, last: cores of the layer, from and to (exclusive).
    """

    chip: int
    layer: str
    first: int
    last: int


@dataclass(frozen=True)
class Mapping:
    """A network on a chip.

    Attributes:
        chip: which.
        layers: those with synapses, in file order.
        inputs: of the input neurons, or None where there are none.
    """

    chip: Chip
    layers: tuple[LayerMapping, ...]
    inputs: LayerMapping | None = None

    @property
    def cores(self) -> int:
        """Of all layers and the input neurons."""
        return sum(len(layer.cores) for layer in (*self.layers, *filter(None, [self.inputs])))

    @property
    def problems(self) -> tuple[str, ...]:
        """Layers that no number of cores can hold."""
        return tuple(f"{layer.layer}: {layer.problem}" for layer in self.layers if layer.problem)

    @property
    def shares(self) -> tuple[Share, ...]:
        """Which cores are on which chip: chips are filled in order, layer after layer; a layer that does not fit into
        what is left of a chip begins on the next, and only one that no single chip holds is spread over several."""
        shares, chip, used, room = [], 0, 0, self.chip.usable_cores
        for layer in filter(None, (self.inputs, *self.layers)):
            cores, first = len(layer.cores), 0
            if used and cores > room - used:
                chip, used = chip + 1, 0
            while first < cores:
                last = min(cores, first + room - used)
                shares.append(Share(chip, layer.layer, first, last))
                used, first = used + last - first, last
                if first < cores:
                    chip, used = chip + 1, 0
        return tuple(shares)

    @property
    def chips(self) -> int | None:
        """Chips needed, or None where a layer cannot be mapped at all."""
        return None if self.problems else self.shares[-1].chip + 1

    @property
    def fits(self) -> bool:
        """Whether one chip holds it."""
        return self.chips == 1

    @property
    def heaviest(self) -> LayerMapping:
        """The first layer that cannot be mapped, or else the one with the most cores."""
        return max(self.layers, key=lambda layer: (layer.problem is not None, len(layer.cores)))

    @property
    def binding(self) -> str:
        """The limit that decides how many cores it takes: the heaviest layer's."""
        return self.heaviest.binding


def map_network(
    network: Network, chip: Chip, *, unrolled: bool = False, bits: int | None = None, rule: Rule = "compiler"
) -> Mapping:
    """Maps every layer.

    Args:
        network: integer network.
        chip: to map on.
        unrolled: map convolutions as the dense layers that they unroll into.
        bits: that every weight is rounded to, 2 to 8, instead of what the layers use.
        rule: how layers are cut.
    """
    layers = []
    sparse = unrolled or rule == "fewest" or loads_sparse(network)
    for name, (layer, before, after) in zip(network.labels, network.synapses(), strict=True):
        layer, before = unlooped(layer, before)
        if bits is not None:
            width = _stored_bits(bits, rule)
        else:
            width = (compiler_bits if rule == "compiler" else weight_bits)(layer.weight)
        kind = "unrolled"
        if not isinstance(layer, Dense) and not unrolled:
            kind = "shared"
            cut = (cuts.column_boxes if rule == "compiler" else cuts.fewest_boxes)(layer, before, after, width, chip)
        elif isinstance(layer, Dense) and not sparse:
            cut = cuts.full_runs(layer, width, chip)
        else:
            cut = (cuts.equal_runs if rule == "compiler" else cuts.longest_runs)(layer, before, width, chip)
        layers.append(_summary(name, kind, after, width, cut, chip))
    inputs = None
    if network.input_neurons is not None:
        cut = cuts.input_columns(network.input_shape, chip)
        inputs = _summary(INPUT_LABEL, "none", network.input_shape, 0, cut, chip)
    return Mapping(chip, tuple(layers), inputs)


def weight_bits(weight: Integer[np.ndarray, " ..."]) -> int:
    """Bits that a weight needs at least: the common factor of two dropped, a sign where signs are mixed.

    >>> weight_bits(np.array([-254, 2]))
    8
    >>> weight_bits(np.array([-224, 32]))
    4
    """
    return min(_largest(weight).bit_length() + _mixed(weight), MAX_WEIGHT_BITS) or 1


def compiler_bits(weight: Integer[np.ndarray, " ..."]) -> int:
    """Bits that the compiler stores for each weight: one more than they need, short of 8 and of powers of two.

    With these, :class:`~sim.fit.chips.Chip`'s words are those of all nine layers of the published mapping.

    >>> [compiler_bits(np.array(ends)) for ends in ([-20, 18], [-8, 8], [-254, 2], [-224, 32])]
    [6, 4, 8, 5]
    """
    return max(1, min(max(2 * _largest(weight) - 1, 0).bit_length() + _mixed(weight), MAX_WEIGHT_BITS))


def _stored_bits(bits: int, rule: Rule) -> int:
    """What weights that were rounded to so many bits take."""
    levels = WeightGrid(bits).levels
    return bits if rule == "fewest" else compiler_bits(np.array([-levels, levels]))


def _largest(weight: np.ndarray) -> int:
    """The largest magnitude, over the power of two that divides all weights."""
    magnitude = np.abs(weight.astype(np.int64))
    merged = int(np.bitwise_or.reduce(magnitude, axis=None))
    return int(magnitude.max()) // (merged & -merged) if merged else 0


def _mixed(weight: np.ndarray) -> bool:
    return bool((weight < 0).any() and (weight > 0).any())


def _summary(name: str, kind: str, shape: Shape, bits: int, cut: Cut, chip: Chip) -> LayerMapping:
    layer = LayerMapping(name, kind, shape, math.prod(shape), bits, cut.cores, "", cut.problem)
    use = layer.use(chip)
    fullest = LIMITS[max(use, key=lambda limit: use[limit])]
    return replace(layer, binding=cut.problem.partition(":")[0] if cut.problem else fullest)

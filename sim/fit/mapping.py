"""Which layer takes how many cores, and whether the chip has them.

Every layer is cut into blocks of outputs, one core each, since all synapses of a neuron must lie on its core. A
(transposed) convolution keeps its kernel once a core: blocks are boxes of channels, rows and columns. A dense layer, or
a convolution *unrolled* into one, keeps a list of synapses for each input that reaches the core: blocks are runs of
outputs in file order, each as long as the core allows.

Not modelled: two layers on one core, output axons, and the compiler's own choices, so a real mapping may take more
cores (or, by packing small layers together, fewer).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from export.ir import Dense, Network, Shape, Synapse
from export.passes.quantize import MAX_WEIGHT_BITS
from sim.fit.chips import Chip
from sim.geometry import axis_sources, sources

__all__ = ["Core", "LayerMapping", "Mapping", "map_network", "weight_bits"]

Block = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Core:
    """One core's share of a layer.

    Attributes:
        block: from and to (exclusive) of its outputs, for each axis of the layer's shape; a single pair over the
            flattened shape where the layer is unrolled.
        neurons: on it.
        words: of synaptic memory taken.
        axons: input neurons that reach it.
    """

    block: Block
    neurons: int
    words: int
    axons: int


@dataclass(frozen=True)
class LayerMapping:
    """One layer's cores.

    Attributes:
        layer: its label.
        kind: ``shared`` kernel or ``unrolled`` lists.
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
        most = {name: max((getattr(core, name) for core in self.cores), default=0) for name in _LIMITS}
        return {name: most[name] / limit for name, limit in _limits(chip).items()}


@dataclass(frozen=True)
class Mapping:
    """A network on a chip.

    Attributes:
        chip: which.
        layers: in file order.
    """

    chip: Chip
    layers: tuple[LayerMapping, ...]

    @property
    def cores(self) -> int:
        return sum(len(layer.cores) for layer in self.layers)

    @property
    def problems(self) -> tuple[str, ...]:
        """Layers that no number of cores can hold."""
        return tuple(f"{layer.layer}: {layer.problem}" for layer in self.layers if layer.problem)

    @property
    def chips(self) -> int | None:
        """Chips needed, or None where a layer cannot be mapped at all."""
        return None if self.problems else -(-self.cores // self.chip.usable_cores)

    @property
    def fits(self) -> bool:
        """Whether one chip holds it."""
        return self.chips == 1

    @property
    def binding(self) -> str:
        """The limit that decides how many cores it takes: that of the layer with the most."""
        return max(self.layers, key=lambda layer: (layer.problem is not None, len(layer.cores))).binding


_LIMITS = ("neurons", "words", "axons")
_NAMES = {"neurons": "neurons", "words": "memory", "axons": "axons"}


def _limits(chip: Chip) -> dict[str, int]:
    return dict(zip(_LIMITS, (chip.neurons, chip.memory_words, chip.input_axons), strict=True))


def map_network(network: Network, chip: Chip, *, unrolled: bool = False, bits: int | None = None) -> Mapping:
    """Maps every layer.

    Args:
        network: integer network.
        chip: to map on.
        unrolled: map convolutions as the dense layers that they unroll into.
        bits: of every weight, instead of what the layers use.
    """
    layers = []
    for name, (layer, before, after) in zip(network.labels, network.synapses(), strict=True):
        width = bits or weight_bits(layer.weight)
        if isinstance(layer, Dense) or unrolled:
            kind, found = "unrolled", _runs(layer, before, width, chip)
        else:
            kind, found = "shared", _boxes(layer, before, after, width, chip)
        cores, problem = found
        layers.append(_summary(name, kind, after, width, tuple(cores), problem, chip))
    return Mapping(chip, tuple(layers))


def weight_bits(weight: np.ndarray) -> int:
    """Bits that the chip stores for each weight: the common factor of two dropped, a sign where signs are mixed.

    >>> weight_bits(np.array([-254, 2]))
    8
    >>> weight_bits(np.array([-224, 32]))
    4
    """
    magnitude = np.abs(weight.astype(np.int64))
    merged = int(np.bitwise_or.reduce(magnitude, axis=None))
    if not merged:
        return 1
    trailing = (merged & -merged).bit_length() - 1
    mixed = bool((weight < 0).any() and (weight > 0).any())
    return min(int(magnitude.max() >> trailing).bit_length() + mixed, MAX_WEIGHT_BITS)


def _summary(
    name: str, kind: str, shape: Shape, bits: int, cores: tuple[Core, ...], problem: str | None, chip: Chip
) -> LayerMapping:
    layer = LayerMapping(name, kind, shape, math.prod(shape), bits, cores, "", problem)
    use = layer.use(chip)
    binding = problem.partition(":")[0] if problem else _NAMES[max(use, key=lambda limit: use[limit])]
    return LayerMapping(name, kind, shape, math.prod(shape), bits, cores, binding, problem)


def _overflow(core: Core, chip: Chip) -> str | None:
    """Which limit a core with the fewest outputs possible breaks, said for a person."""
    for limit, most in _limits(chip).items():
        if getattr(core, limit) > most:
            return f"{_NAMES[limit]}: one neuron needs {getattr(core, limit):,}, a core of {chip.title} has {most:,}"
    return None


def _runs(layer: Synapse, before: Shape, bits: int, chip: Chip) -> tuple[list[Core], str | None]:
    """Cuts the outputs of an unrolled layer, in order, into the longest runs that fit a core each."""
    held = np.zeros(math.prod(before), np.int64)
    words = [0, *(chip.unrolled_words(n, bits) for n in range(1, chip.neurons + 2))]
    limits = np.array([chip.neurons, chip.memory_words, chip.input_axons])
    now = np.zeros(4, np.int64)  # first output, neurons, words, axons of the core that is being filled
    cores = []
    for lengths, inputs in sources(layer, before):
        ends = np.empty((len(lengths) + 1, 4), np.int64)
        closed = _fill(lengths, inputs, held, np.diff(words), limits, now, ends)
        cores += ends[:closed].tolist()
    cores.append(now.tolist())
    found = [Core(((first, first + neurons),), neurons, words, axons) for first, neurons, words, axons in cores]
    problem = next(filter(None, (_overflow(core, chip) for core in found)), None)
    return ([], problem) if problem else (found, None)


@numba.njit(cache=True)
def _fill(lengths: Any, inputs: Any, held: Any, price: Any, limits: Any, now: Any, ends: Any) -> int:
    """Adds outputs to the core ``now``, closing it into ``ends`` when one more would not fit; gives how many closed.

    ``held`` has the core's synapses on each axon, ``price`` the words that one more costs on an axon with so many.
    An output that is too large for a core of its own gets one, for the caller to find.
    """
    closed = at = 0
    for length in lengths:
        row = inputs[at : at + length]
        at += length
        words = axons = 0
        for i in row:
            words += price[held[i]]
            axons += held[i] == 0
        if now[1] and (now[1] + 1 > limits[0] or now[2] + words > limits[1] or now[3] + axons > limits[2]):
            ends[closed] = now
            closed += 1
            held[:] = 0
            now[0], now[1], now[2], now[3] = now[0] + now[1], 0, 0, 0
            words, axons = length * price[0], length
        for i in row:
            held[i] += 1
        now[1], now[2], now[3] = now[1] + 1, now[2] + words, now[3] + axons
    return closed


def _boxes(layer: Synapse, before: Shape, after: Shape, bits: int, chip: Chip) -> tuple[list[Core], str | None]:
    """Cuts a map into boxes of equal channels, rows and columns: the fewest that fit, then the fewest of channels."""
    geometry = _Boxes(layer, before, after, bits, chip)
    best: tuple[int, Shape] | None = None
    channels, height, width = after
    for parts in _distinct_parts(channels):
        depth = -(-channels // parts)
        for rows, columns in [
            *((rows, width) for rows in range(height, 0, -1)),
            *((1, c) for c in range(width, 0, -1)),
        ]:
            cores = -(-channels // depth) * -(-height // rows) * -(-width // columns)
            if best is not None and cores >= best[0]:
                break
            if geometry.fit((depth, rows, columns)):
                best = cores, (depth, rows, columns)
                break
    if best is None:
        smallest = geometry.core(((0, 1), (0, 1), (0, 1)))
        worst = max((geometry.core(block) for block in _grid(after, (1, 1, 1))), key=lambda core: core.axons)
        return [], _overflow(smallest, chip) or _overflow(worst, chip)
    return [geometry.core(block) for block in _grid(after, best[1])], None


def _distinct_parts(channels: int) -> list[int]:
    """Numbers of parts that give different sizes of the largest part, few parts first."""
    seen: dict[int, int] = {}
    for parts in range(1, channels + 1):
        seen.setdefault(-(-channels // parts), parts)
    return list(seen.values())


def _grid(shape: Shape, size: Shape) -> Iterator[Block]:
    """Boxes of ``size`` that tile ``shape``, the last of a row smaller; channels outermost."""
    spans = [[(a, min(a + step, n)) for a in range(0, n, step)] for n, step in zip(shape, size, strict=True)]
    for c in spans[0]:
        for y in spans[1]:
            for x in spans[2]:
                yield c, y, x


class _Boxes:
    """What a box of a (transposed) convolution's outputs takes of a core."""

    def __init__(self, layer: Synapse, before: Shape, after: Shape, bits: int, chip: Chip) -> None:
        assert not isinstance(layer, Dense)
        self._shape, self._bits, self._chip = after, bits, chip
        self._kernel = math.prod(layer.weight.shape[2:])
        self._inputs_of_group = before[0] // layer.groups
        self._outputs_of_group = after[0] // layer.groups
        self._touched = [axis_sources(layer, before, after, axis) for axis in (0, 1)]

    def core(self, block: Block) -> Core:
        (c0, c1), rows, columns = block
        groups = range(c0 // self._outputs_of_group, -(-c1 // self._outputs_of_group))
        words = 0
        for g in groups:
            first, last = g * self._outputs_of_group, (g + 1) * self._outputs_of_group
            here = min(c1, last) - max(c0, first)
            words += self._inputs_of_group * self._kernel * self._chip.shared_words(here, self._bits)
        reached = [int(t[a:b].any(axis=0).sum()) for t, (a, b) in zip(self._touched, (rows, columns), strict=True)]
        neurons = math.prod(b - a for a, b in block)
        return Core(block, neurons, words, len(groups) * self._inputs_of_group * reached[0] * reached[1])

    def fit(self, size: Shape) -> bool:
        """Whether every box of a grid of that size fits a core."""
        if math.prod(size) > self._chip.neurons:
            return False
        return all(_overflow(self.core(block), self._chip) is None for block in _grid(self._shape, size))

"""How a layer is cut into blocks of outputs, one a core: the fewest that the capacities allow, or as the compiler does.

All synapses of a neuron lie on its core. A (transposed) convolution keeps its kernel once a core: blocks are boxes of
channels, rows and columns. A dense layer, or a convolution *unrolled* into one, keeps a list of weights for each input
that reaches the core: blocks are runs of outputs in file order.

The compiler's rule is the one that its published mapping of PilotNet follows in every line (lava-dl, tutorial
``netx/pilotnet_snn/benchmark``): convolutions keep all channels and rows and are cut into runs of columns, a power of
two each, the longest of which a core could hold; dense layers are divided by how many times they are too large, again
until they fit, into equal runs. What that network does not show is assumed: channels are halved where their kernels
are too large for a core, rows and then channels where a column is; unrolled convolutions are divided as dense layers.
"""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from esvae.arrays import Bool
from export.ir import Conv, ConvTranspose, Dense, Shape, Synapse
from export.ir.geometry import reads, sources
from sim.fit.chips import Chip

__all__ = [
    "Block",
    "Core",
    "Cut",
    "column_boxes",
    "equal_runs",
    "fewest_boxes",
    "full_runs",
    "input_columns",
    "limits_of",
    "longest_runs",
]

Block = tuple[tuple[int, int], ...]
#: Synapses up to which it takes longer to compile what fills cores, or to load the compiler, than to do without.
_COMPILED_ABOVE = 1 << 17


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

    def mask(self, shape: Shape) -> Bool[np.ndarray, "*layer"]:
        """Which outputs are on the core: bool of the layer's shape."""
        if len(self.block) == 1:
            flat = np.zeros(math.prod(shape), bool)
            flat[slice(*self.block[0])] = True
            return flat.reshape(shape)
        mask = np.zeros(shape, bool)
        mask[tuple(slice(*span) for span in self.block)] = True
        return mask


@dataclass(frozen=True)
class Cut:
    """The cores of a layer, or why no core can hold even one of its neurons."""

    cores: tuple[Core, ...]
    problem: str | None = None


#: Attributes of a core that a chip limits, and what people call them.
LIMITS = {"neurons": "neurons", "words": "memory", "axons": "axons"}


def limits_of(chip: Chip) -> dict[str, int]:
    """What a core holds at most, by attribute of :class:`Core`."""
    return dict(zip(LIMITS, (chip.neurons, chip.memory_words, chip.input_axons), strict=True))


def _overflow(core: Core, chip: Chip) -> str | None:
    """Which limit a core with the fewest outputs possible breaks, said for a person."""
    for limit, most in limits_of(chip).items():
        if getattr(core, limit) > most:
            return f"{LIMITS[limit]}: one neuron needs {getattr(core, limit):,}, a core of {chip.title} has {most:,}"
    return None


def input_columns(shape: Shape, chip: Chip) -> Cut:
    """Cuts input neurons, which have no synapses, as the compiler does: columns of a map, or runs of features."""
    full = (1, 1, *shape) if len(shape) == 1 else shape
    size = _columns(full, chip)
    blocks = _grid(full, size)
    return Cut(tuple(Core(block[-len(shape) :], math.prod(b - a for a, b in block), 0, 0) for block in blocks))


def _columns(shape: Shape, chip: Chip) -> Shape:
    """All channels and rows and the longest run of columns, a power of two, of which a core holds the neurons; where
    a column is too large, rows, and then channels, are halved to powers of two likewise."""
    channels, height, width = shape
    most = chip.neurons
    if channels * height <= most:
        return channels, height, min(width, 1 << (most // (channels * height)).bit_length() - 1)
    if channels <= most:
        return channels, min(height, 1 << (most // channels).bit_length() - 1), 1
    return 1 << most.bit_length() - 1, 1, 1


def column_boxes(layer: Conv | ConvTranspose, before: Shape, after: Shape, bits: int, chip: Chip) -> Cut:
    """Cuts a map as the compiler does."""
    geometry = _Boxes(layer, before, after, bits, chip)
    channels = after[0]
    while channels > 1 and geometry.core(((0, channels), (0, 1), (0, 1))).words > chip.memory_words:
        channels = _half(channels)
    size = list(_columns((channels, *after[1:]), chip))
    while not geometry.fit((size[0], size[1], size[2])):
        axis = next((axis for axis in (2, 1, 0) if size[axis] > 1), None)
        if axis is None:
            return _refused(geometry, after, chip)
        size[axis] = _half(size[axis])
    return Cut(tuple(geometry.core(block) for block in _grid(after, (size[0], size[1], size[2]))))


def _half(size: int) -> int:
    """The largest power of two below."""
    return 1 << (size - 1).bit_length() - 1


def _refused(geometry: _Boxes, after: Shape, chip: Chip) -> Cut:
    smallest = geometry.core(((0, 1), (0, 1), (0, 1)))
    worst = max((geometry.core(block) for block in _grid(after, (1, 1, 1))), key=lambda core: core.axons)
    return Cut((), _overflow(smallest, chip) or _overflow(worst, chip))


def full_runs(layer: Dense, bits: int, chip: Chip) -> Cut:
    """Cuts a dense layer whose lists hold every weight, zeros too, as the compiler does."""
    return _divided(len(layer.weight), functools.partial(_full_core, layer, bits, chip), chip)


def _full_core(layer: Dense, bits: int, chip: Chip, first: int, last: int) -> Core:
    """Outputs of a dense layer that each input reaches."""
    neurons, inputs = last - first, layer.weight.shape[1]
    return Core(((first, last),), neurons, inputs * chip.unrolled_words(neurons, bits), inputs)


def equal_runs(layer: Synapse, before: Shape, bits: int, chip: Chip) -> Cut:
    """Cuts a layer whose lists hold the synapses that exist, as the compiler would: equal runs of outputs."""
    lengths, inputs, _ = (np.concatenate(parts) for parts in zip(*sources(layer, before), strict=True))
    ends = np.concatenate([[0], np.cumsum(lengths)])
    words, outputs = _words(chip, bits), len(lengths)

    def core(first: int, last: int) -> Core:
        held = np.bincount(inputs[ends[first] : ends[last]])
        held = held[held > 0]
        return Core(((first, last),), last - first, int(words[np.minimum(held, chip.neurons)].sum()), len(held))

    return _divided(outputs, core, chip)


def _divided(outputs: int, core: Callable[[int, int], Core], chip: Chip) -> Cut:
    """Divides runs by how many times the largest is too large, until all fit."""
    parts = 1
    while True:
        length = -(-outputs // parts)
        cores = [core(first, min(first + length, outputs)) for first in range(0, outputs, length)]
        ratio = max(-(-getattr(one, name) // most) for one in cores for name, most in limits_of(chip).items())
        if ratio <= 1:
            return Cut(tuple(cores))
        if length == 1:
            return Cut((), next(filter(None, (_overflow(one, chip) for one in cores))))
        parts = min(parts * ratio, outputs)


@functools.lru_cache(maxsize=64)
def _words(chip: Chip, bits: int) -> np.ndarray:
    """Words of an axon's list, by its synapses, from none to one more than a core has neurons."""
    return np.array([0, *(chip.unrolled_words(n, bits) for n in range(1, chip.neurons + 2))])


def longest_runs(layer: Synapse, before: Shape, bits: int, chip: Chip) -> Cut:
    """Cuts the outputs of an unrolled layer, in order, into the longest runs that fit a core each."""
    if isinstance(layer, Dense) and layer.weight.all():
        return _longest_full_runs(layer, bits, chip)
    held = np.zeros(math.prod(before), np.int64)
    price = np.diff(_words(chip, bits))
    limits = np.array([chip.neurons, chip.memory_words, chip.input_axons])
    now = np.zeros(4, np.int64)  # first output, neurons, words, axons of the core that is being filled
    cores, synapses = [], 0
    for lengths, inputs, _ in sources(layer, before):
        ends = np.empty((len(lengths) + 1, 4), np.int64)
        synapses += len(inputs)
        fill = _fill if synapses <= _COMPILED_ABOVE else _compiled_fill()
        closed = fill(lengths, inputs, held, price, limits, now, ends)
        cores += ends[:closed].tolist()
    cores.append(now.tolist())
    found = [Core(((first, first + neurons),), neurons, words, axons) for first, neurons, words, axons in cores]
    problem = next(filter(None, (_overflow(core, chip) for core in found)), None)
    return Cut((), problem) if problem else Cut(tuple(found))


def _longest_full_runs(layer: Dense, bits: int, chip: Chip) -> Cut:
    """The same of a layer without a zero, whose runs are all as long."""
    outputs, core = len(layer.weight), functools.partial(_full_core, layer, bits, chip)
    length = bisect.bisect_left(range(1, outputs + 1), True, key=lambda n: _overflow(core(0, n), chip) is not None)
    if length == 0:
        return Cut((), _overflow(core(0, 1), chip))
    return Cut(tuple(core(first, min(first + length, outputs)) for first in range(0, outputs, length)))


@functools.cache
def _compiled_fill() -> Any:
    """:func:`_fill`, compiled: the same integers, sooner where there are many."""
    from esvae.machine.jit import kernel

    return kernel()(_fill)


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


def fewest_boxes(layer: Conv | ConvTranspose, before: Shape, after: Shape, bits: int, chip: Chip) -> Cut:
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
        return _refused(geometry, after, chip)
    return Cut(tuple(geometry.core(block) for block in _grid(after, best[1])))


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

    def __init__(self, layer: Conv | ConvTranspose, before: Shape, after: Shape, bits: int, chip: Chip) -> None:
        self._shape, self._bits, self._chip = after, bits, chip
        self._kernel = math.prod(layer.weight.shape[2:])
        self._inputs_of_group = before[0] // layer.groups
        self._outputs_of_group = after[0] // layer.groups
        self._touched = [_touched(reads(layer, before, after, axis), before[axis + 1]) for axis in (0, 1)]

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


def _touched(table: np.ndarray, inputs: int) -> np.ndarray:
    """Which inputs each output reads along an axis, bool ``(outputs, inputs)``, of a table of those that taps read."""
    return np.equal(table[:, :, None], np.arange(inputs)).any(axis=1)

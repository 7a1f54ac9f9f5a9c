"""Counting spikes, or messages, in one pass through memory: how many, over how many synapses, and by which neuron.

On a CPU a compiled loop of whole numbers, one thread to a step; elsewhere float64 products, exact below 2^53.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from esvae.arrays import Int64, Shaped
from esvae.machine.jit import kernel, side_by_side
from sim.counts.alike import Alike, Tally, counting_alike

__all__ = ["Reach", "SpikeCounter"]

_U8 = np.uint8
#: Images whose spikes a byte holds.
_BYTE = 255
#: Neurons whose spikes are counted in a nanosecond, about: of any, and of those that mostly reach alike.
_PER_NANOSECOND, _ALIKE_PER_NANOSECOND = 8, 16


def _counting(whole: Any) -> Any:
    """A kernel that sums in a type of integers; the narrower, the more of them at a time."""

    @kernel(nogil=True)
    def counting(
        begin: Any,
        end: Any,
        spikes: Any,
        reach: Any,
        silent: Any,
        fired: Any,
        operations: Any,
        by_neuron: Any,
        first: Any,
        last: Any,
    ) -> None:
        neurons = spikes.shape[2]
        for t in range(begin, end):
            seen = by_neuron[t]
            for n in range(first, last, 2):  # two images share what is read and written of the neurons
                also = n + 1 < last
                one, other = spikes[t, n], spikes[t, n + 1] if also else silent
                count, synops, count_also, synops_also = whole(0), whole(0), whole(0), whole(0)
                for i in range(neurons):
                    spike, too = one[i] != 0, other[i] != 0
                    count = whole(count + (whole(1) if spike else whole(0)))
                    synops = whole(synops + (reach[i] if spike else whole(0)))
                    count_also = whole(count_also + (whole(1) if too else whole(0)))
                    synops_also = whole(synops_also + (reach[i] if too else whole(0)))
                    seen[i] = _U8(seen[i] + (_U8(1) if spike else _U8(0)) + (_U8(1) if too else _U8(0)))
                fired[t, n], operations[t, n] = count, synops
                if also:
                    fired[t, n + 1], operations[t, n + 1] = count_also, synops_also

    return counting


_counting_32, _counting_64 = _counting(np.int32), _counting(np.int64)


@kernel(nogil=True)
def _move(counts: Any, to: Any) -> None:
    """Adds bytes to whole numbers, and sets them to 0."""
    for i in range(len(counts)):
        to[i] += counts[i]
        counts[i] = _U8(0)


class Reach:
    """How many synapses leave each neuron of a layer, as kernels take it: for all that count its spikes.

    Args:
        synapses: of each neuron, int64 of the neurons' shape (see :func:`sim.counts.fan_out.fan_out`).
    """

    def __init__(self, synapses: Int64[np.ndarray, "*shape"]) -> None:
        self.synapses = synapses
        # Maps lie in memory with channels innermost; a copy into another order would cost more than the count.
        self._orders: dict[bool, _Order] = {}

    def ordered(self, innermost: bool) -> _Order:
        """In the order of memory, which is another where channels lie innermost."""
        if innermost not in self._orders:
            found = self.synapses.transpose(1, 2, 0) if innermost else self.synapses.reshape(1, -1)
            self._orders[innermost] = _Order(found.reshape(-1, found.shape[-1]))
        return self._orders[innermost]


class _Order:
    """Synapses of neurons in one order of memory: ``(pixels, channels)``.

    Attributes:
        reach: ``(neurons,)``.
        alike: groups that reach alike, or None.
        counting: the kernel for any neurons.
    """

    def __init__(self, synapses: Int64[np.ndarray, "pixels channels"]) -> None:
        narrow = int(synapses.sum()) <= np.iinfo(np.int32).max
        of_pixels = np.ascontiguousarray(synapses, np.int32 if narrow else np.int64)
        self.reach, self.alike = of_pixels.reshape(-1), Alike.of(of_pixels)
        self.counting = _counting_32 if narrow else _counting_64


class SpikeCounter:
    """Counts spikes and the synaptic operations they cause, chunk after chunk.

    Args:
        reach: of the neurons.
        steps: of every chunk.
    """

    def __init__(self, reach: Reach, steps: int) -> None:
        self._reach, self._steps = reach, steps
        self._counts: dict[bool, _Counts] = {}

    def add(
        self, spikes: Shaped[torch.Tensor, "steps images *shape"]
    ) -> tuple[Int64[np.ndarray, "steps images"], Int64[np.ndarray, "steps images"]]:
        """Counts a chunk.

        Args:
            spikes: 0 or 1, or messages, ``(steps, images, *shape)``; read as it lies in memory, channels innermost or
                outermost.

        Returns:
            Spikes and operations of each step and image, int64 ``(steps, images)``.
        """
        steps, images, *shape = spikes.shape
        innermost = len(shape) == 3 and not spikes.is_contiguous()
        rows = (spikes.permute(0, 1, 3, 4, 2) if innermost else spikes).reshape(steps, images, -1)
        return self._ordered(innermost).add(rows)

    def tally(self, images: int) -> Tally | None:
        """Counts of so many images, to be taken as their spikes are fired, channels innermost; None where these are
        counted only when they are there."""
        return self._ordered(len(self._reach.synapses.shape) == 3).tally(images)

    def _ordered(self, innermost: bool) -> _Counts:
        if innermost not in self._counts:
            self._counts[innermost] = _Counts(self._reach.ordered(innermost), self._steps)
        return self._counts[innermost]

    @property
    def by_neuron(self) -> Int64[np.ndarray, "steps neurons"]:
        """Spikes of each neuron summed over images: int64 ``(steps, neurons)`` in the order of ``shape`` flattened."""
        shape = self._reach.synapses.shape
        total = np.zeros((self._steps, math.prod(shape)), np.int64)
        for innermost, counts in self._counts.items():
            found = counts.by_neuron
            if innermost:
                channels, height, width = shape
                found = found.reshape(-1, height, width, channels).transpose(0, 3, 1, 2).reshape(self._steps, -1)
            total += found
        return total


class _Counts:
    """Counts of neurons in one order of memory.

    Spikes of each neuron are counted in bytes, which take less of the caches, and moved on before these are full.
    """

    def __init__(self, order: _Order, steps: int) -> None:
        self._order = order
        self._moved: np.ndarray | None = None
        self._bytes, self._held = np.zeros((steps, order.reach.size), np.uint8), 0

    @property
    def by_neuron(self) -> np.ndarray:
        """Int64 ``(steps, neurons)``."""
        total = self._bytes.astype(np.int64)
        return total if self._moved is None else total + self._moved

    def _make_room(self, images: int) -> None:
        """So that each neuron's byte holds the spikes of more images, at most 255."""
        if self._held + images > _BYTE:
            if self._moved is None:
                self._moved = np.zeros(self._bytes.shape, np.int64)
            _move(self._bytes.reshape(-1), self._moved.reshape(-1))
            self._held = 0
        self._held += images

    def tally(self, images: int) -> Tally | None:
        """See :meth:`SpikeCounter.tally`."""
        alike, steps = self._order.alike, len(self._bytes)
        if alike is None or alike.reach.dtype != np.int32 or images > _BYTE:
            return None
        self._make_room(images)
        fired, operations = np.empty((2, steps, images), np.int64)
        return Tally(alike, fired, operations, self._bytes)

    def add(self, rows: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Spikes and operations of each step and image of spikes ``(steps, images, neurons)``."""
        order = self._order
        if rows.device.type != "cpu":
            fired, operations, seen = _elsewhere(rows, order.reach)
            self._moved = seen if self._moved is None else self._moved + seen
            return fired, operations
        steps, images, neurons = rows.shape
        spikes = rows.numpy()
        if order.alike is not None and spikes.dtype == np.uint8 and spikes.flags.c_contiguous:
            counting, speed = counting_alike(order.alike), _ALIKE_PER_NANOSECOND
            alike = order.alike
            reach: tuple[Any, ...] = (alike.places, alike.groups, alike.reach, alike.width)
        else:
            counting, speed = order.counting, _PER_NANOSECOND
            reach = order.reach, np.zeros(neurons, spikes.dtype)
        fired, operations = np.empty((steps, images), np.int64), np.empty((steps, images), np.int64)
        for first in range(0, images, _BYTE):
            last = min(images, first + _BYTE)
            self._make_room(last - first)
            given = (spikes, *reach, fired, operations, self._bytes, first, last)
            side_by_side(counting, steps, *given, nanoseconds=(last - first) * neurons / speed)
        return fired, operations


def _elsewhere(rows: torch.Tensor, reach: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spikes, operations, and spikes by neuron, on an accelerator: float64, whose products no setting makes coarser."""
    exact = (rows != 0).double()
    weights = torch.from_numpy(reach).to(rows.device, torch.float64)
    fired, operations, seen = (
        x.cpu().numpy().astype(np.int64) for x in (exact.sum(dim=2), exact @ weights, exact.sum(dim=1))
    )
    return fired, operations, seen

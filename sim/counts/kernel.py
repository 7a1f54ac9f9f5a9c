"""Counting spikes, or messages, in one pass through memory: how many, over how many synapses, and by which neuron.

On a CPU a compiled loop of whole numbers, one thread to a step; elsewhere float64 products, exact below 2^53.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from esvae.machine.jit import kernel, side_by_side

__all__ = ["SpikeCounter", "Tally"]

_U8 = np.uint8
#: Images whose spikes a byte holds.
_BYTE = 255
#: Spikes that are counted in a nanosecond, about.
_PER_NANOSECOND = 8


def _counting(whole: Any) -> Any:
    """A kernel that sums in a type of integers; the narrower, the more of them at a time."""

    @kernel(nogil=True)
    def counting(
        begin: Any,
        end: Any,
        spikes: Any,
        reach: Any,
        fired: Any,
        operations: Any,
        by_neuron: Any,
        first: Any,
        last: Any,
        silent: Any,
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


@dataclass(frozen=True, eq=False)
class Tally:
    """What was counted of a chunk.

    Attributes:
        spikes, operations: of each step and image, int64 ``(steps, images)``.
        by_neuron: spikes of each neuron summed over the images, ``(steps, neurons)``; bytes where these hold them.
        innermost: whether its neurons are in the order in which channels are innermost.
    """

    spikes: np.ndarray
    operations: np.ndarray
    by_neuron: np.ndarray
    innermost: bool


class SpikeCounter:
    """Counts spikes and the synaptic operations they cause, chunk after chunk.

    Args:
        reach: synapses that leave each neuron, int64 of the neurons' shape (see :func:`sim.counts.fan_out.fan_out`).
    """

    def __init__(self, reach: np.ndarray) -> None:
        self._reach = reach
        # Maps lie in memory with channels innermost; a copy into another order would cost more than the count.
        self._orders: dict[bool, np.ndarray] = {}
        self._kept: dict[bool, _ByNeuron] = {}

    @torch.inference_mode()
    def tally(self, spikes: torch.Tensor) -> Tally:
        """Counts a chunk, in any thread; :meth:`keep` adds it to the others.

        Args:
            spikes: 0 or 1, or messages, ``(steps, images, *shape)``; read as it lies in memory, channels innermost or
                outermost.
        """
        steps, images, *shape = spikes.shape
        innermost = len(shape) == 3 and not spikes.is_contiguous()
        if innermost not in self._orders:
            reach = self._reach.transpose(1, 2, 0) if innermost else self._reach
            narrow = int(reach.sum()) <= np.iinfo(np.int32).max
            self._orders[innermost] = np.ascontiguousarray(reach.reshape(-1), np.int32 if narrow else np.int64)
        rows = (spikes.permute(0, 1, 3, 4, 2) if innermost else spikes).reshape(steps, images, -1)
        counted = _elsewhere if rows.device.type != "cpu" else _here
        return Tally(*counted(rows, self._orders[innermost]), innermost)

    def keep(self, tally: Tally) -> None:
        """Adds the spikes of each neuron to those of the chunks before."""
        if tally.innermost not in self._kept:
            self._kept[tally.innermost] = _ByNeuron(tally.by_neuron.shape)
        self._kept[tally.innermost].add(tally.by_neuron, tally.spikes.shape[1])

    def add(self, spikes: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """:meth:`tally`, kept: spikes and operations of each step and image, int64 ``(steps, images)``."""
        tally = self.tally(spikes)
        self.keep(tally)
        return tally.spikes, tally.operations

    @property
    def by_neuron(self) -> np.ndarray:
        """Spikes of each neuron summed over images: int64 ``(steps, neurons)`` in the order of ``shape`` flattened."""
        totals = []
        for innermost, kept in self._kept.items():
            found = kept.total
            if innermost:
                channels, height, width = self._reach.shape
                found = found.reshape(-1, height, width, channels).transpose(0, 3, 1, 2).reshape(len(found), -1)
            totals.append(found)
        total: np.ndarray = np.sum(totals, axis=0)
        return total


class _ByNeuron:
    """Spikes of each neuron ``(steps, neurons)``, in bytes, which take less of the caches, until these are full."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._moved = np.zeros(shape, np.int64)
        self._bytes, self._held = np.zeros(shape, np.uint8), 0

    @property
    def total(self) -> np.ndarray:
        found: np.ndarray = self._moved + self._bytes
        return found

    def add(self, by_neuron: np.ndarray, images: int) -> None:
        if by_neuron.dtype != np.uint8:
            self._moved += by_neuron
            return
        if self._held + images > _BYTE:
            self._moved += self._bytes
            self._bytes[:], self._held = 0, 0
        self._bytes += by_neuron
        self._held += images


def _here(rows: torch.Tensor, reach: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spikes, operations, and spikes by neuron, on the CPU."""
    steps, images, neurons = rows.shape
    fired, operations = np.empty((steps, images), np.int64), np.empty((steps, images), np.int64)
    counting = _counting_32 if reach.dtype == np.int32 else _counting_64
    total: np.ndarray | None = None
    spikes = rows.numpy()
    silent = np.zeros(neurons, spikes.dtype)
    for first in range(0, images, _BYTE):
        last = min(images, first + _BYTE)
        seen = np.zeros((steps, neurons), np.uint8)
        given = (spikes, reach, fired, operations, seen, first, last, silent)
        side_by_side(counting, steps, *given, nanoseconds=(last - first) * neurons / _PER_NANOSECOND)
        total = seen if total is None else total.astype(np.int64) + seen
    return fired, operations, np.zeros((steps, neurons), np.uint8) if total is None else total


def _elsewhere(rows: torch.Tensor, reach: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spikes, operations, and spikes by neuron, on an accelerator: float64, whose products no setting makes coarser."""
    exact = (rows != 0).double()
    weights = torch.from_numpy(reach).to(rows.device, torch.float64)
    fired, operations, seen = (
        x.cpu().numpy().astype(np.int64) for x in (exact.sum(dim=2), exact @ weights, exact.sum(dim=1))
    )
    return fired, operations, seen

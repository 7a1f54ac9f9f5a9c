"""Sums of weights driven by events, gathered: each neuron reads which inputs fired and adds their weights in registers.

A raster's row becomes a list of the inputs that fired, in the order of memory. What a piece of an output row reads in
one row of the kernel lies side by side in an input row, so it is one stretch of that list; each entry names a row of
weights, one for each neuron of the piece (see :mod:`sim.twin.pieces`). Sums of 16 bit stay in vector registers over a
stretch, and are written once.

Additions of int16 are exact modulo 2^16, in whatever order; a sum that is within int16 is therefore exact, whatever the
partial sums were. So it is enough that no spikes make a sum of 2^15 or more in magnitude; of weights that are all even,
as a chip holds those of both signs, halves are added, and the sums may be twice as large.

Where a current is gone after a step, neurons follow at once, while the sums of a step lie in the first cache.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from esvae.arrays import Bool, Int32, Real, UInt8
from esvae.chip.formats import STATE_SHIFT
from esvae.machine.events import ROOM, list_events, places_of_bytes
from esvae.machine.jit import hands, kernel, part, side_by_side
from esvae.machine.threads import threads
from export.ir import Conv, ConvTranspose, Dense, Shape
from export.ir.limits import products
from sim.counts.alike import TOGETHER, Tally, counting_narrow
from sim.twin.lif_kernel import Memoryless, at_rest, memoryless_step
from sim.twin.pieces import LANES, Pieces
from sim.twin.trial import Form, least_seconds, raster_for
from sim.twin.vectors import add_rows

__all__ = ["GATHERED_REACH", "GatherSums"]

#: Sums below this in magnitude are exact in 16 bit.
GATHERED_REACH = 1 << 15
#: Values of a byte.
_VALUES = 256
#: What stands behind sums that are written.
_NO_NEURONS = (
    np.int32(0),
    np.empty(0, np.int32),
    (np.int32(0),) * 2,
    np.empty(0, bool),
    np.empty((0, 0), np.int32),
    np.empty((0, 0, 0), np.uint8),
)
#: Activity of a trial.
_TRIED = 0.25
#: Products of a layer to a nanosecond, about, those of silent inputs among them (published decoders: 17 to 500).
_PER_NANOSECOND = 128
#: Of each form of a layer tried in this process, sums alone or with neurons, the share of inputs up to which to gather.
_worth: dict[tuple[object, ...], float] = {}


@part
def _sums_of_row(
    row: Any, channels: Any, width: Any, lanes: Any, table: Any, cut: Any, fired_at: Any, first: Any, total: Any
) -> None:
    """Sums of one row of a raster, a step of an image, in the order of the neurons."""
    line, rows, pieces, (groups, neurons, advance), weight, offset = cut
    list_events(row, channels, lanes, table, fired_at, first)
    for c in range(total.shape[0]):
        total[c] = np.int16(0)
    for r in range(rows.shape[0]):
        to, source, tap = rows[r, 0] * line, rows[r, 1] * width, rows[r, 2]
        for p in range(pieces.shape[0]):
            start, columns, held, per_tap = pieces[p]
            for g in range(groups):
                left = start + g * advance
                right = left + columns
                low = first[source + (0 if left < 0 else left if left < width else width)]
                high = first[source + (0 if right < 0 else right if right < width else width)]
                into = to + g * neurons + p * lanes
                at = held + tap * per_tap - (source + left) * channels * lanes
                if lanes == 64:
                    add_rows(total, into, weight, at, fired_at, low, high, offset, 64)
                elif lanes == 128:
                    add_rows(total, into, weight, at, fired_at, low, high, offset, 128)
                else:
                    add_rows(total, into, weight, at, fired_at, low, high, offset, 32)


@kernel(nogil=True)
def _gather(
    begin: Any,
    end: Any,
    raster: Any,
    channels: Any,
    width: Any,
    lanes: Any,
    table: Any,
    cut: Any,
    scratch: Any,
    scale: Any,
    sums: Any,
    behind: Any,
) -> None:
    """Sums of each step, as many times ``scale``; or, where ``sums`` has no steps, the neurons ``behind`` them: images
    side by side."""
    steps, neurons = raster.shape[0], sums.shape[2]
    fired_at, first, total = scratch
    shift, drive, law, resets, v_end, spikes = behind
    for n in range(begin, end):
        for t in range(steps):
            _sums_of_row(raster[t, n], channels, width, lanes, table, cut, fired_at, first, total)
            if sums.shape[0] > 0:
                row = sums[t, n]
                for c in range(neurons):
                    row[c] = total[c] * scale
            else:
                v = v_end[n]
                if t == 0 or resets[t]:
                    at_rest(v, 0, neurons)
                memoryless_step(total[:neurons], shift, drive, law, v, spikes[t, n])


@kernel(nogil=True)
def _gather_tallied(images: Any, given: Any, spikes: Any, tally: Any) -> None:
    """:func:`_gather` of neurons, whose spikes are counted while they lie in a cache."""
    for n in range(0, images, TOGETHER):
        behind = min(images, n + TOGETHER)
        _gather(n, behind, *given)
        counting_narrow(0, len(spikes), spikes, *tally, n, behind)


class GatherSums:
    """Sums of a layer over a window of spikes, in 16 bit.

    Args:
        layer: a (transposed) convolution without groups.
        input_shape, output_shape: ``(C, H, W)``.
        scale: by which weights are divided before they are added: 2 where all are even, else 1.
        reach: what no magnitude of a sum is above, less than ``scale`` times :data:`GATHERED_REACH`.
    """

    def __init__(
        self, layer: Conv | ConvTranspose, input_shape: Shape, output_shape: Shape, scale: int, reach: int
    ) -> None:
        self._scale, self._reach = scale, reach
        self._inputs, self._products = math.prod(input_shape), products(layer, input_shape, output_shape)
        self._neurons = math.prod(output_shape)
        self._row = self._products / _PER_NANOSECOND
        pieces = Pieces(layer, input_shape, output_shape, layer.weight // scale)
        self._given = (input_shape[0], input_shape[2], pieces.lanes, places_of_bytes(pieces.lanes), pieces.settings)
        settings = (layer.stride, layer.padding, layer.dilation)
        self._form = (layer.kind, layer.weight.shape, settings, input_shape, output_shape)

    @staticmethod
    def of(
        layer: Conv | ConvTranspose | Dense, input_shape: Shape, output_shape: Shape, reach: int
    ) -> GatherSums | None:
        """The gathered form of a layer, or None where there is none: delays, groups, large sums, weights of 9 bits.

        Args:
            layer, input_shape, output_shape: as of the class; or a dense layer, its inputs in the order of the raster.
            reach: what no magnitude of a sum is above.
        """
        if isinstance(layer, Dense):
            if layer.delay is not None:
                return None
            layer = Conv(layer.weight[:, :, None, None], None, layer.neuron)
            input_shape, output_shape = (layer.weight.shape[1], 1, 1), (len(layer.weight), 1, 1)
        scale = 1 if (layer.weight & 1).any() else 2
        low, high = int(layer.weight.min()) // scale, int(layer.weight.max()) // scale
        within = max(high, 0) - min(low, 0) < _VALUES and reach < scale * GATHERED_REACH
        places = math.prod(input_shape) * max(LANES) <= np.iinfo(np.int32).max
        if layer.groups > 1 or not within or not places:
            return None
        return GatherSums(layer, input_shape, output_shape, scale, reach)

    def __call__(
        self, raster: UInt8[torch.Tensor, "steps images inputs"]
    ) -> Real[torch.Tensor, "steps images neurons"]:
        """Spikes uint8 ``(steps, images, inputs)`` to sums ``(steps, images, neurons)``: int16, or float32 where they
        are beyond."""
        rows = raster.reshape(1, -1, self._inputs)
        sums = np.empty((1, rows.shape[1], self._neurons), np.int16)
        within = self._reach < GATHERED_REACH
        self._run(rows, self._scale if within else 1, sums, _NO_NEURONS)
        found = torch.from_numpy(sums).reshape(*raster.shape[:2], -1)
        return found if within else found.float().mul_(self._scale)

    def fire(
        self,
        raster: UInt8[torch.Tensor, "steps images inputs"],
        neuron: Memoryless,
        resets: Bool[np.ndarray, " steps"],
        tally: Tally | None = None,
    ) -> tuple[UInt8[torch.Tensor, "steps images neurons"], Int32[torch.Tensor, "images neurons"]]:
        """Spikes likewise to the spikes of neurons that hold no current, and their potentials after the last step; a
        tally counts them on their way, where one thread computes."""
        steps, images, _ = raster.shape
        spikes, v_end = np.empty((steps, images, self._neurons), np.uint8), np.empty((images, self._neurons), np.int32)
        shift = np.int32(STATE_SHIFT + self._scale - 1)
        behind = (shift, neuron.drive[0], neuron.law, resets, v_end, spikes)
        self._run(raster, 1, np.empty((0, images, self._neurons), np.int16), behind, tally)
        return torch.from_numpy(spikes), torch.from_numpy(v_end)

    def _run(
        self,
        raster: torch.Tensor,
        scale: int,
        sums: np.ndarray,
        behind: tuple[Any, ...],
        tally: Tally | None = None,
    ) -> None:
        """The kernel for all images, each thread with memory of its own."""
        rows, channels, lanes = raster.contiguous().numpy(), self._given[0], self._given[2]
        images, each = raster.shape[1], raster.shape[0] * self._row

        def run(begin: int, end: int) -> None:
            places, first = np.empty(self._inputs + ROOM, np.int32), np.empty(self._inputs // channels + 1, np.int64)
            scratch = places, first, np.empty(self._neurons + lanes, np.int16)
            given = (rows, *self._given, scratch, scale, sums, behind)
            if tally is not None and tally.taken:
                _gather_tallied(images, given, behind[-1], tally.arguments)
            else:
                _gather(begin, end, *given)

        if tally is not None:
            tally.taken = hands(images, each) == 1
        side_by_side(run, images, nanoseconds=each)

    def by_image(self, raster: UInt8[torch.Tensor, "steps images inputs"]) -> bool:
        """Whether images ``(steps, images, inputs)``, each in one thread, are enough for all threads that are worth
        it."""
        steps, images, _ = raster.shape
        return images >= hands(steps * images, self._row)

    def worth(self, other: Form, neuron: Memoryless | None = None) -> float:
        """The share of inputs that fire up to which it is faster than ``other``, whose time does not depend on it.

        Layers of one form are tried out once a process.

        Args:
            other: gives the sums; or, with a ``neuron``, what neurons fire that follow them.
            neuron: follows these sums at once.
        """
        key = (*self._form, neuron is None)
        if key not in _worth:
            with threads(1):  # so small a trial would measure how threads begin
                some = raster_for(other, self._inputs, self._neurons, products=self._products, active=_TRIED)
                resets = np.zeros(len(some), bool)
                this = self if neuron is None else lambda raster: self.fire(raster, neuron, resets)
                this(some)
                none, few, full = least_seconds((this, torch.zeros_like(some)), (this, some), (other, some))
            _worth[key] = min(max((full - none) / max(few - none, 1e-9) * _TRIED, 0.0), 1.0)
        return _worth[key]

"""Sums of weights driven by events, gathered: each neuron reads which inputs fired and adds their weights in registers.

A raster's row becomes a list of the inputs that fired, in the order of memory. What a piece of an output row reads in
one row of the kernel lies side by side in an input row, so it is one stretch of that list; each entry names a row of
weights, one for each neuron of the piece. Sums of 16 bit stay in vector registers over a stretch, and are written once.

Additions of int16 are exact modulo 2^16, in whatever order; a sum that is within int16 is therefore exact, whatever the
partial sums were. So it is enough that no spikes make a sum of 2^15 or more in magnitude.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import torch

from esvae.machine.jit import kernel
from export.ir import Conv, ConvTranspose, Dense, Shape
from export.ir.nodes import Pair
from sim.twin.vectors import add_rows, fired, lowest, ones

__all__ = ["GATHERED_REACH", "GatherSums"]

#: Sums below this in magnitude are exact in 16 bit.
GATHERED_REACH = 1 << 15
#: Neurons to a piece: the widest that fits is taken.
_PIECES = (64, 32, 16, 8)
#: Alignment of a row of weights, bytes.
_LINE = 64
_ONE = np.uint64(1)
#: Places that are written at a time, and room behind the last.
_BURST = 8
#: Activity, rows and repeats of a trial.
_TRIED, _ROWS, _REPEATS = 0.25, 64, 3
#: Products of a trial that are not left out.
_TRIAL = 1 << 25
#: Of each form of a layer tried in this process, the share of inputs up to which to gather.
_worth: dict[tuple[object, ...], float] = {}


@numba.njit(inline="always")
def _list_fired(row: Any, channels: Any, fired_at: Any, first: Any) -> None:
    """Places of the inputs that fired; of pixel q those from ``first[q]`` to ``first[q + 1]``.

    Whole bursts of places are written, and what is too many is written over: a branch that depends on the number of
    spikes costs more.
    """
    inputs, found, pixel = row.shape[0], np.int64(0), 0
    for low in range(0, inputs, 64):
        if low + 64 <= inputs:
            mask = fired(row, low)
        else:
            mask = np.uint64(0)
            for c in range(inputs - low):
                if row[low + c] != 0:
                    mask |= _ONE << np.uint64(c)
        while pixel * channels < low + 64 and pixel < first.shape[0] - 1:
            before = (_ONE << np.uint64(pixel * channels - low)) - _ONE
            first[pixel] = found + np.int64(ones(mask & before))
            pixel += 1
        after, at = found + np.int64(ones(mask)), found
        while at < after:
            for k in range(_BURST):
                fired_at[at + k] = low + np.int64(lowest(mask))
                mask &= mask - _ONE
            at += _BURST
        found = after
    first[first.shape[0] - 1] = found


@kernel(parallel=True)
def _gather(
    raster: Any, channels: Any, width: Any, rows: Any, pieces: Any, weight: Any, lanes: Any, scale: Any, sums: Any
) -> None:
    """``rows``: output row, input row, kernel row; ``pieces``: first input column, columns, by how many each
    repetition moves on, repetitions, first weight, weights to a kernel row."""
    phases, line = pieces.shape[0], pieces.shape[0] * pieces[0, 3] * lanes
    for n in numba.prange(raster.shape[0]):
        fired_at = np.empty(raster.shape[1] + _BURST, np.int32)
        first = np.empty(raster.shape[1] // channels + 1, np.int64)
        _list_fired(raster[n], channels, fired_at, first)
        total = sums[n]
        total[:] = np.int16(0)
        for r in range(rows.shape[0]):
            to, source, tap = rows[r, 0] * line, rows[r, 1] * width, rows[r, 2]
            for f in range(phases):
                start, columns, advance, repetitions, held, per_tap = pieces[f]
                for x in range(repetitions):
                    left = start + x * advance
                    low, high = first[source + max(0, left)], first[source + max(0, min(width, left + columns))]
                    into = to + (x * phases + f) * lanes
                    at = held + tap * per_tap - (source + left) * channels * lanes
                    if lanes == 64:
                        add_rows(total, into, weight, at, fired_at, low, high, 64)
                    elif lanes == 32:
                        add_rows(total, into, weight, at, fired_at, low, high, 32)
                    elif lanes == 16:
                        add_rows(total, into, weight, at, fired_at, low, high, 16)
                    else:
                        add_rows(total, into, weight, at, fired_at, low, high, 8)
        if scale != 1:
            for i in range(total.shape[0]):
                total[i] = np.int16(total[i] * scale)


@dataclass(frozen=True)
class _Axis:
    """One axis of a (transposed) convolution: which input reaches which output through which tap."""

    stride: int
    padding: int
    dilation: int
    transposed: bool

    @property
    def up(self) -> int:
        """Outputs to an input."""
        return self.stride if self.transposed else 1

    @property
    def down(self) -> int:
        """Inputs to an output."""
        return 1 if self.transposed else self.stride

    def source(self, output: int, tap: int) -> int | None:
        """The input, also beyond the map; None where the tap falls between two."""
        if not self.transposed:
            return output * self.stride - self.padding + tap * self.dilation
        source, between = divmod(output + self.padding - tap * self.dilation, self.stride)
        return None if between else source


class GatherSums:
    """Sums of a layer over a window of spikes, in 16 bit.

    Args:
        layer: a (transposed) convolution without groups, none of whose sums reaches :data:`GATHERED_REACH`.
        input_shape, output_shape: ``(C, H, W)``.
        lanes, period: neurons to a piece, and output pixels after which pieces read alike, from :meth:`of`.

    Attributes:
        activity: share of inputs that fire up to which to take this form.
    """

    def __init__(
        self, layer: Conv | ConvTranspose, input_shape: Shape, output_shape: Shape, lanes: int, period: int
    ) -> None:
        self.activity = 1.0
        self._inputs, self._products = math.prod(input_shape), math.prod(output_shape) * layer.weight[0].size
        self._channels, self._width, self._neurons = input_shape[0], input_shape[2], math.prod(output_shape)
        self._lanes = lanes
        down, along = _axes(layer)
        # (outputs, inputs, rows, columns) to (rows, columns, inputs, outputs)
        taps = layer.weight.transpose(2, 3, 0, 1) if isinstance(layer, ConvTranspose) else None
        taps = layer.weight.transpose(2, 3, 1, 0) if taps is None else taps
        self._scale = 2 if _halved(taps) else 1
        taps = taps // self._scale
        read = ((y, down.source(y, tap), tap) for tap in range(taps.shape[0]) for y in range(output_shape[1]))
        within = [(y, row, tap) for y, row, tap in read if row is not None and 0 <= row < input_shape[1]]
        self._rows = np.array(within, np.int64).reshape(-1, 3)
        pieces, weights, held = [], [], 0
        for phase in range(period * output_shape[0] // lanes):
            first, matrix = _piece(taps, along, output_shape[0], phase, lanes)
            advance, repetitions = period * along.down // along.up, output_shape[2] // period
            per_tap = matrix[0].size
            pieces.append((first, matrix.shape[1], advance, repetitions, held, per_tap))
            weights.append(matrix.reshape(-1))
            held += matrix.size
        self._pieces = np.array(pieces, np.int64)
        settings = (layer.stride, layer.padding, layer.dilation)
        self._form = (layer.kind, layer.weight.shape, settings, input_shape, output_shape, _is_byte(taps))
        self._weight = _aligned(np.concatenate(weights), np.int8 if _is_byte(taps) else np.int16)

    @staticmethod
    def of(
        layer: Conv | ConvTranspose | Dense, input_shape: Shape, output_shape: Shape, reach: int
    ) -> GatherSums | None:
        """The gathered form of a layer, or None where there is none: delays, groups, large sums, odd widths.

        Args:
            layer, input_shape, output_shape: as of the class; or a dense layer, its inputs in the order of the raster.
            reach: what no magnitude of a sum is above.
        """
        if isinstance(layer, Dense):
            if layer.delay is not None:
                return None
            layer = Conv(layer.weight[:, :, None, None], None, layer.neuron)
            input_shape, output_shape = (layer.weight.shape[1], 1, 1), (len(layer.weight), 1, 1)
        if layer.groups > 1 or reach >= GATHERED_REACH:
            return None
        up, channels = _axes(layer)[1].up, output_shape[0]
        for lanes in _PIECES:
            period = math.lcm(up, lanes // math.gcd(lanes, channels))
            if output_shape[2] % period == 0 and period * channels % lanes == 0:
                return GatherSums(layer, input_shape, output_shape, lanes, period)
        return None

    def __call__(self, raster: torch.Tensor) -> torch.Tensor:
        """Spikes uint8 ``(steps, images, inputs)`` to sums int16 ``(steps, images, neurons)``."""
        steps, images, inputs = raster.shape
        sums = torch.empty(steps * images, self._neurons, dtype=torch.int16)
        rows = raster.reshape(steps * images, inputs).contiguous().numpy()
        given = (self._rows, self._pieces, self._weight, self._lanes, self._scale)
        _gather(rows, self._channels, self._width, *given, sums.numpy())
        return sums.reshape(steps, images, -1)

    def worth(self, other: Callable[[torch.Tensor], torch.Tensor]) -> float:
        """The share of inputs that fire up to which it is faster than ``other``, whose time does not depend on it.

        Layers of one form are tried out once a process.
        """
        if self._form not in _worth:
            rows = max(1, min(_ROWS, _TRIAL // self._products))
            draws = np.random.default_rng(0).random((rows, 1, self._inputs), np.float32)
            some = torch.from_numpy((draws < _TRIED).astype(np.uint8))
            cases = ((self, torch.zeros_like(some)), (self, some), (other, some))
            times = np.array([[_seconds(*case) for case in cases] for _ in range(_REPEATS + 1)])[1:]
            none, few, full = times.min(axis=0)
            _worth[self._form] = float(np.clip((full - none) / max(few - none, 1e-9) * _TRIED, 0, 1))
        return _worth[self._form]


def _axes(layer: Conv | ConvTranspose) -> tuple[_Axis, _Axis]:
    transposed = isinstance(layer, ConvTranspose)
    settings: tuple[Pair, Pair, Pair] = (layer.stride, layer.padding, layer.dilation)
    rows, columns = (_Axis(*each, transposed) for each in zip(*settings, strict=True))
    return rows, columns


def _piece(taps: np.ndarray, along: _Axis, channels: int, phase: int, lanes: int) -> tuple[int, np.ndarray]:
    """Of the piece in the first period: the first input column that it reads, and weights ``(rows, columns, inputs,
    lanes)``."""
    pixel, channel = np.divmod(np.arange(phase * lanes, (phase + 1) * lanes), channels)
    reads = [
        (x, tap, source)
        for x in np.unique(pixel).tolist()
        for tap in range(taps.shape[1])
        if (source := along.source(x, tap)) is not None
    ]
    columns = [source for _, _, source in reads] or [0]
    first = min(columns)
    matrix = np.zeros((taps.shape[0], max(columns) - first + 1, taps.shape[2], lanes), taps.dtype)
    for x, tap, source in reads:
        inside = np.flatnonzero(pixel == x)
        matrix[:, source - first, :, inside] = taps[:, tap, :, channel[inside]]
    return first, matrix


def _is_byte(weight: np.ndarray) -> bool:
    return bool(weight.min() >= -128 and weight.max() <= 127)


def _halved(weight: np.ndarray) -> bool:
    """Whether weights fit a byte only by half, and do so without a rest."""
    return not _is_byte(weight) and not (weight & 1).any() and _is_byte(weight // 2)


def _aligned(weight: np.ndarray, dtype: type) -> np.ndarray:
    """A copy whose rows begin at a line of the cache."""
    room = torch.empty(weight.size + _LINE, dtype=torch.int8 if dtype is np.int8 else torch.int16).numpy()
    start = -room.ctypes.data % _LINE // room.itemsize
    held: np.ndarray = room[start : start + weight.size]
    held[:] = weight
    return held


def _seconds(sums_of: Callable[[torch.Tensor], torch.Tensor], raster: torch.Tensor) -> float:
    start = time.perf_counter()
    sums_of(raster)
    return time.perf_counter() - start

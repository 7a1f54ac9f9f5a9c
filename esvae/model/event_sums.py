"""Convolutions of spikes that cost what fires, on the CPU: their sums, and the gradient by their kernel.

Of a hundred inputs ten to twenty fire at a step, so that most products of a convolution are with 0. Here each event
adds its row of weights to the sums that it reaches; for the kernel's gradient it adds their gradients to that row. Each
place of the smaller map of the two faces, in each row of the kernel, pixels of the larger one that lie side by side,
which they do in memory as well, with channels innermost. So one loop serves convolutions, whose larger map fires, and
transposed ones, whose smaller map does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numba
import numpy as np
import torch
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types

from esvae.arrays import Float
from esvae.machine.events import ROOM, list_events, places_of_bytes
from esvae.machine.jit import kernel, part
from esvae.machine.vectors import first_of, instruction, load_vector, repeated, splat, store_vector
from esvae.neurons.bfloat16 import as_array, narrowed, widened

__all__ = ["ConvSettings", "event_gradient", "event_sums", "few_events"]

#: Stride, padding, dilation, whether transposed, output padding and groups, as torch takes them.
ConvSettings = tuple[Sequence[int], Sequence[int], Sequence[int], bool, Sequence[int], int]

#: Shares of inputs that fire up to which sums, and gradients, are faster so, as benchmarks/event_sums.py finds for most
#: layers with AVX-512; with AVX2 alone they are so up to a half and more.
_MOST = {torch.float32: (0.3, 0.45), torch.bfloat16: (0.2, 0.25)}
_REACH = 100  # products of a sum below which, with AVX-512, writing it outweighs them
_SAMPLED = 31  # of so many images the events of one are counted
_LANES = 16  # numbers of a vector
_ALIGNED = 64  # bytes; a vector that crosses a line of the cache takes twice as long
_FEW_PARTS, _PARTS = (
    8,
    64,
)  # of a gradient, the fewest and the most: whatever the threads, so that its bits are the same
_WEIGHTS = 1 << 18  # of all parts together, where there are more than few
_I32, _I64, _VECTOR = ir.IntType(32), ir.IntType(64), ir.VectorType(ir.FloatType(), _LANES)


@instruction
def _add(
    _: Any,
    back: Any,
    dense: Any,
    to: Any,
    rows: Any,
    at: Any,
    each: Any,
    x: Any,
    places: Any,
    low: Any,
    high: Any,
    n: Any,
) -> Any:
    """Adds rows of weights to sums, or the sums' gradients to those of rows of weights, for each event.

    With ``back`` None, to the ``n`` vectors from ``dense[to]`` on come, for each p of ``places[low:high]``, those from
    ``rows[at + p * each]`` on, times ``x[p]``. Otherwise these come to those. What is of ``dense`` stays in registers.
    """
    gradient = not isinstance(back, types.NoneType)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        into, table, values, events = (first_of(context, builder, signature.args[k], args[k]) for k in (1, 3, 6, 7))

        def vectors(first: Any, at: Any) -> list[Any]:
            return [
                builder.gep(first, [builder.add(at, ir.Constant(_I64, _LANES * k))]) for k in range(n.literal_value)
            ]

        def plus_product(a: Any, b: Any, c: Any) -> Any:
            return builder.fadd(a, builder.fmul(b, c, flags=("contract",)), flags=("contract",))

        def step(number: Any, before: Sequence[Any]) -> list[Any]:
            place = builder.sext(builder.load(builder.gep(events, [number])), _I64)
            value = builder.load(builder.gep(values, [place]))
            if signature.args[6].dtype == types.uint16:  # of bfloat16
                value = builder.shl(builder.zext(value, _I32), ir.Constant(_I32, 16))
                value = builder.bitcast(value, _VECTOR.element)
            all_alike = splat(builder, value, _VECTOR)
            ends = vectors(table, builder.add(args[4], builder.mul(place, args[5])))
            row = [load_vector(builder, end, _VECTOR) for end in ends]
            if not gradient:
                return [plus_product(a, b, all_alike) for a, b in zip(before, row, strict=True)]
            for end, a, b in zip(ends, row, held, strict=True):
                store_vector(builder, plus_product(a, b, all_alike), end)
            return []

        sums = vectors(into, args[2])
        held = [load_vector(builder, place, _VECTOR) for place in sums]
        found = repeated(builder, args[8], args[9], [] if gradient else held, step)
        for value, place in zip(found, sums, strict=False):
            store_vector(builder, value, place)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(back, dense, whole, rows, whole, whole, x, places, whole, whole, n), generate


@part
def _add_all(
    back: Any, dense: Any, to: Any, rows: Any, at: Any, each: Any, x: Any, places: Any, low: Any, high: Any
) -> None:
    """:func:`_add` for whole rows."""
    done = 0
    while done < each:
        vectors = (each - done) // _LANES
        if vectors >= 8:
            _add(back, dense, to + done, rows, at + done, each, x, places, low, high, 8)
            done += 8 * _LANES
        elif vectors >= 6:
            _add(back, dense, to + done, rows, at + done, each, x, places, low, high, 6)
            done += 6 * _LANES
        elif vectors >= 4:
            _add(back, dense, to + done, rows, at + done, each, x, places, low, high, 4)
            done += 4 * _LANES
        else:
            _add(back, dense, to + done, rows, at + done, each, x, places, low, high, 1)
            done += _LANES


@part
def _go_through(back: Any, dense: Any, rows: Any, each: Any, x: Any, places: Any, first: Any, geometry: Any) -> None:
    """:func:`_add_all` for an image's events; sums of a larger map lie in one that is wide enough for all taps."""
    transposed, channels, neurons, height, width, lines, columns, tall, wide = geometry[:9]
    down, right, above, before, across = geometry[9:14]
    for y in range(height):
        for column in range(width):
            left = column * right - before
            for tap in range(tall):
                line = y * down + tap - above
                if transposed:
                    low = y * width + column
                    high, to = low + 1, (line + above) * across + left + before
                    at = tap - low
                elif 0 <= line < lines:
                    low = line * columns + min(max(left, 0), columns)
                    high, to = line * columns + min(max(left + wide, 0), columns), y * width + column
                    at = tap * wide - line * columns - left
                else:
                    continue
                _add_all(
                    back, dense, to * neurons, rows, at * channels * each, each, x, places, first[low], first[high]
                )


@part
def _aligned(count: Any) -> Any:
    """As many zeros, of which the first begins a line of the cache."""
    room = np.zeros(count + _ALIGNED // 4, np.float32)
    begin = -(room.ctypes.data // 4) % (_ALIGNED // 4)
    return room[begin : begin + count]


@kernel(parallel=True, error_model="numpy")
def _sums(x: Any, rows: Any, table: Any, geometry: Any, window: Any, shares: Any, out: Any) -> None:
    """Sums ``out (N, rows, columns, C)`` of images ``x``, in so many shares; words of bfloat16 where it is."""
    top, left, across, size = window
    images, lines, columns, neurons = out.shape
    pixels, channels = x.shape[1] * x.shape[2], x.shape[3]
    for share in numba.prange(shares):
        dense = _aligned(size)
        places, first = np.empty(pixels * channels + ROOM, np.int32), np.empty(pixels + 1, np.int64)
        for n in range(share * images // shares, (share + 1) * images // shares):
            row = x[n].reshape(pixels * channels)
            list_events(row, channels, 1, table, places, first)
            _go_through(None, dense, rows, rows.shape[1], row, places, first, geometry)
            for y in range(lines):
                start = ((top + y) * across + left) * neurons
                found, into = dense[start : start + columns * neurons], out[n, y].reshape(columns * neurons)
                for c in range(columns * neurons):
                    into[c] = narrowed(found[c], into)
            dense[:] = 0


@kernel(parallel=True, error_model="numpy")
def _gradients(x: Any, grad: Any, table: Any, geometry: Any, window: Any, sums: Any) -> None:
    """Parts of the gradient ``sums (parts, rows, numbers)``, each of which takes an equal share of images."""
    top, left, across, size = window
    images, lines, columns, neurons = grad.shape
    pixels, channels = x.shape[1] * x.shape[2], x.shape[3]
    for share in numba.prange(len(sums)):
        dense = _aligned(size)
        places, first = np.empty(pixels * channels + ROOM, np.int32), np.empty(pixels + 1, np.int64)
        for n in range(share * images // len(sums), (share + 1) * images // len(sums)):
            row = x[n].reshape(pixels * channels)
            list_events(row, channels, 1, table, places, first)
            for y in range(lines):
                start = ((top + y) * across + left) * neurons
                into, come = dense[start : start + columns * neurons], grad[n, y].reshape(columns * neurons)
                for c in range(columns * neurons):
                    into[c] = widened(come[c])
            _go_through(True, dense, sums[share], sums.shape[2], row, places, first, geometry)


class _Plan:
    """How the loops go for maps of these shapes.

    Args:
        before, after: ``(N, C, H, W)`` of what fires and of its sums.
        taps: of the kernel, ``(rows, columns)``.
        settings: see :data:`ConvSettings`.
    """

    def __init__(
        self, before: Sequence[int], after: Sequence[int], taps: Sequence[int], settings: ConvSettings
    ) -> None:
        stride, padding, _, transposed, *_ = settings
        self.transposed, self.taps = transposed, tuple(taps)
        (_, self.channels, *come), (_, self.neurons, *out) = before, after
        small, large = (come, out) if transposed else (out, come)
        lines, across = out
        if transposed:  # all that a kernel reaches, with the border that is cut off
            spans = zip(small, large, taps, stride, padding, strict=True)
            lines, across = (max((m - 1) * s + k, p + size) for m, size, k, s, p in spans)
        self.run = _run(self.neurons, taps, transposed=transposed)
        self.numbers = _padded(self.run)  # of a row of weights, with zeros behind
        self.rows = self.channels * math.prod(taps) * self.neurons // self.run
        corner = padding if transposed else (0, 0)
        self.window = np.array([*corner, across, lines * across * self.neurons + self.numbers])
        maps = (*small, *large, *taps, *stride, *padding)
        self.geometry = np.array([transposed, self.channels, self.neurons, *maps, across])

    def in_rows(self, weight: torch.Tensor) -> torch.Tensor:
        """A kernel as the rows that events add, ``(kernel rows * inputs, numbers)`` or ``(taps * inputs, numbers)``."""
        rows = torch.zeros(self.rows, self.numbers)
        rows[:, : self.run] = weight.permute((2, 0, 3, 1) if self.transposed else (2, 3, 1, 0)).reshape(self.rows, -1)
        return rows

    def kernel(self, rows: torch.Tensor) -> torch.Tensor:
        """The other way round."""
        high, wide = self.taps
        if self.transposed:
            return rows[:, : self.run].reshape(high, self.channels, wide, self.neurons).permute(1, 3, 0, 2)
        return rows[:, : self.run].reshape(high, wide, self.channels, self.neurons).permute(3, 2, 0, 1)


def _run(neurons: int, taps: Sequence[int], *, transposed: bool) -> int:
    """Numbers of a row of weights: those that meet sums which lie side by side."""
    return neurons * (taps[1] if transposed else 1)


def _padded(numbers: int) -> int:
    return -(-numbers // _LANES) * _LANES


@cache
def _table() -> np.ndarray:
    return places_of_bytes(1)


@cache
def _has(instructions: str) -> bool:
    """Whether the processor has them, by LLVM's name."""
    return bool(get_host_cpu_features().get(instructions))


def few_events(
    x: Float[torch.Tensor, "batch before height width"],
    weight: Float[torch.Tensor, "outer inner rows columns"],
    settings: ConvSettings,
) -> tuple[bool, bool]:
    """Whether so few inputs fire that :func:`event_sums`, and :func:`event_gradient`, are faster than other products.

    Tells the same of the same inputs, as nothing is timed. False where they cannot compute it (dilation, groups, other
    numbers than float32 and bfloat16), and beside AMX's products of bfloat16.
    """
    stride, _, dilation, transposed, _, groups = settings
    if x.dtype not in _MOST or set(dilation) != {1} or groups != 1 or (x.dtype == torch.bfloat16 and _has("amx-bf16")):
        return False, False
    taps, neurons = weight.shape[2:], weight.shape[1 if transposed else 0]
    run, some = _run(neurons, taps, transposed=transposed), x[::_SAMPLED]
    share = int(torch.count_nonzero(some)) / max(1, some.numel()) * _padded(run) / run
    reach = x.shape[1] * math.prod(taps) / (math.prod(stride) if transposed else 1)
    sums, gradient = _MOST[x.dtype]
    return share <= sums and (reach >= _REACH or not _has("avx512f")), share <= gradient


def event_sums(
    x: Float[torch.Tensor, "batch before height width"],
    weight: Float[torch.Tensor, "outer inner rows columns"],
    settings: ConvSettings,
) -> Float[torch.Tensor, "batch after height_after width_after"]:
    """A convolution, transposed or not, without bias, of spikes or of anything with many zeros.

    Args:
        x: float32 or bfloat16, channels innermost in memory.
        weight: as torch has it; factors are float32, and so are sums until they are handed on. What is infinite, or
            no number, may spoil sums beside those that it reaches.
        settings: see :data:`ConvSettings`; neither dilation nor groups.

    Returns:
        Sums of the precision of ``x``, channels innermost.
    """
    stride, padding, _, transposed, more, _ = settings
    taps = weight.shape[2:]
    spans = zip(x.shape[2:], taps, stride, padding, more, strict=True)
    if transposed:
        size = [(m - 1) * s - 2 * p + k + o for m, k, s, p, o in spans]
    else:
        size = [(m + 2 * p - k) // s + 1 for m, k, s, p, _ in spans]
    neurons = weight.shape[1 if transposed else 0]
    out = torch.empty(len(x), *size, neurons, dtype=x.dtype)
    plan = _Plan(x.shape, (len(x), neurons, *size), taps, settings)
    rows = plan.in_rows(weight.detach())
    given = (as_array(x.permute(0, 2, 3, 1)), rows.numpy(), _table(), plan.geometry, plan.window)
    _sums(*given, min(len(x), numba.get_num_threads()), as_array(out))
    return out.permute(0, 3, 1, 2)


def event_gradient(
    x: Float[torch.Tensor, "batch before height width"],
    grad: Float[torch.Tensor, "batch after height_after width_after"],
    taps: Sequence[int],
    settings: ConvSettings,
) -> Float[torch.Tensor, "outer inner rows columns"]:
    """The gradient by the kernel of :func:`event_sums`, float32, from that by the sums.

    Args:
        x, settings: as there.
        grad: of the precision of ``x``, channels innermost.
        taps: the kernel's rows and columns.
    """
    plan = _Plan(x.shape, grad.shape, taps, settings)
    parts = min(len(x), _PARTS, max(_FEW_PARTS, _WEIGHTS // (plan.rows * plan.numbers)))
    sums = torch.zeros(parts, plan.rows, plan.numbers)
    given = (as_array(x.permute(0, 2, 3, 1)), as_array(grad.permute(0, 2, 3, 1)), _table(), plan.geometry, plan.window)
    _gradients(*given, sums.numpy())
    return plan.kernel(sums.sum(0))

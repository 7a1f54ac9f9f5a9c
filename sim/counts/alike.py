"""Counting the spikes of maps whose pixels mostly reach alike: bytes are added, and few of their sums multiplied.

A spike's synapses depend on its channel and, at borders and between strides, on its pixel; most pixels of a map reach
as many neurons as others do. So the spikes of such a group of pixels are first added up channel by channel, in bytes,
one instruction for as many neurons as a vector has bytes, and only these sums are multiplied with how many synapses
each channel has. The same bytes are added over images on their way, which are the counts of each neuron.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from esvae.arrays import Int32, Int64, Integer, UInt8
from esvae.machine.jit import kernel, part
from esvae.machine.vectors import first_of, instruction, load_vector, repeated, store_vector

__all__ = ["TOGETHER", "Alike", "Tally", "counting_alike", "counting_narrow"]

#: Pixels, and images, whose spikes a byte holds.
_BYTE = 255
#: Channels that are added at a time, the most that divide a map's.
_WIDTHS = (64, 32, 16)
#: Images that share what is read and written of the neurons.
TOGETHER = 4
#: Groups to a pixel from which on adding their spikes first is not worth it.
_WORTH = 0.5

_I8, _I64 = ir.IntType(8), ir.IntType(64)


@dataclass(frozen=True, eq=False)
class Alike:
    """Pixels in groups whose neurons reach as many synapses, channel by channel.

    Attributes:
        places: of each pixel, group after group, its first neuron, int32 ``(pixels,)``.
        groups: of each group its first pixel among these, and the end of the last, int64 ``(groups + 1,)``.
        reach: synapses that leave a neuron of a group, int32 or int64 ``(groups, channels)``.
        width: channels that are added at a time.
    """

    places: Int32[np.ndarray, " pixels"]
    groups: Int64[np.ndarray, " groups_and_one"]
    reach: Integer[np.ndarray, "groups channels"]
    width: int

    @staticmethod
    def of(reach: Integer[np.ndarray, "pixels channels"]) -> Alike | None:
        """The groups of a map's neurons ``(pixels, channels)``, or None where there are too many, or no width fits.

        Neurons that all reach alike are cut into pixels of any size.
        """
        if reach.size and reach.min() == reach.max():
            width = next((width for width in _WIDTHS if reach.size % width == 0), None)
            if width is None:
                return None
            reach = reach.reshape(-1, width)
            kind = np.zeros(len(reach), np.int64)
        else:
            width = next((width for width in _WIDTHS if reach.shape[1] % width == 0), None)
            if width is None or len(reach) == 1:
                return None
            known: dict[bytes, int] = {}  # which takes a fraction of the time that sorting does
            kind = np.array([known.setdefault(of_pixel.tobytes(), len(known)) for of_pixel in reach])
        members = [np.flatnonzero(kind == k) for k in range(int(kind.max()) + 1)]
        parts = [alike[at : at + _BYTE] for alike in members for at in range(0, len(alike), _BYTE)]
        if len(parts) > _WORTH * len(reach):
            return None
        places = np.concatenate(parts) * reach.shape[1]
        ends = np.cumsum([0, *map(len, parts)])
        return Alike(places.astype(np.int32), ends, reach[[part[0] for part in parts]], width)


@instruction
def _add_pixels(
    _: Any,
    spikes: Any,
    at: Any,
    stride: Any,
    places: Any,
    first: Any,
    last: Any,
    seen: Any,
    to: Any,
    sums: Any,
    images: Any,
    width: Any,
) -> Any:
    """``_add_pixels(spikes, at, stride, places, first, last, seen, to, sums, images, width)``: adds what fired.

    Of each p of ``places[first:last]`` and each image k, the ``width`` bytes from ``spikes[at + k * stride + p]`` on,
    1 for each that is not 0, come to ``sums[k * width : (k + 1) * width]``, which they replace, and to the bytes from
    ``seen[to + p]`` on. ``images`` and ``width`` are constants; the sums stay in registers, modulo 2^8.
    """
    vector, count = ir.VectorType(_I8, width.literal_value), images.literal_value
    zero, one = ir.Constant(vector, None), ir.Constant(vector, [1] * vector.count)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        rows, pixels, seen, into = (first_of(context, builder, signature.args[k], args[k]) for k in (0, 3, 6, 8))
        starts = [builder.add(args[1], builder.mul(args[2], ir.Constant(_I64, k))) for k in range(count)]
        images, neurons = [builder.gep(rows, [start]) for start in starts], builder.gep(seen, [args[7]])

        def step(number: Any, before: Sequence[Any]) -> list[Any]:
            pixel = builder.sext(builder.load(builder.gep(pixels, [number])), _I64)
            given = [load_vector(builder, builder.gep(image, [pixel]), vector) for image in images]
            fired = [builder.select(builder.icmp_unsigned("<", spikes, one), spikes, one) for spikes in given]
            place = builder.gep(neurons, [pixel])
            found = load_vector(builder, place, vector)
            for spikes in fired:
                found = builder.add(found, spikes)
            store_vector(builder, found, place)
            return [builder.add(total, spikes) for total, spikes in zip(before, fired, strict=True)]

        ends = repeated(builder, args[4], args[5], [zero] * count, step)
        for k, end in enumerate(ends):
            store_vector(builder, end, builder.gep(into, [ir.Constant(_I64, k * vector.count)]))
        return context.get_dummy_value()

    whole = types.int64
    return types.void(spikes, whole, whole, places, whole, whole, seen, whole, sums, images, width), generate


def _counting(whole: Any) -> Any:
    """A kernel that sums in a type of integers."""

    @kernel(nogil=True)
    def counting(
        begin: Any,
        end: Any,
        spikes: Any,
        places: Any,
        groups: Any,
        reach: Any,
        width: Any,
        fired: Any,
        operations: Any,
        by_neuron: Any,
        first: Any,
        last: Any,
    ) -> None:
        _, images, neurons = spikes.shape
        rows, seen, sums = spikes.reshape(-1), by_neuron.reshape(-1), np.empty(TOGETHER * width, np.uint8)
        for t in range(begin, end):
            n = first
            while n < last:
                taken = TOGETHER if n + TOGETHER <= last else 1
                at, to = (t * images + n) * neurons, t * neurons
                for k in range(taken):
                    fired[t, n + k] = operations[t, n + k] = 0
                for g in range(len(groups) - 1):
                    low, high = groups[g], groups[g + 1]
                    for c in range(0, reach.shape[1], width):
                        _add_pixels_of(rows, at + c, neurons, places, low, high, seen, to + c, sums, taken, width)
                        of_reach = reach[g, c : c + width]
                        for k in range(taken):
                            of_image = sums[k * width : (k + 1) * width]
                            count, synops = whole(0), whole(0)
                            for lane in range(len(of_reach)):
                                total = whole(of_image[lane])
                                count = whole(count + total)
                                synops = whole(synops + whole(total * of_reach[lane]))
                            fired[t, n + k] += count
                            operations[t, n + k] += synops
                n += taken

    return counting


@part
def _add_pixels_of(
    rows: Any,
    at: Any,
    neurons: Any,
    places: Any,
    low: Any,
    high: Any,
    seen: Any,
    to: Any,
    sums: Any,
    images: Any,
    width: Any,
) -> None:
    """:func:`_add_pixels` of numbers that are no constants: images are one, or those that go together."""
    if images == TOGETHER:
        if width == 64:
            _add_pixels(rows, at, neurons, places, low, high, seen, to, sums, TOGETHER, 64)
        elif width == 32:
            _add_pixels(rows, at, neurons, places, low, high, seen, to, sums, TOGETHER, 32)
        else:
            _add_pixels(rows, at, neurons, places, low, high, seen, to, sums, TOGETHER, 16)
    elif width == 64:
        _add_pixels(rows, at, neurons, places, low, high, seen, to, sums, 1, 64)
    elif width == 32:
        _add_pixels(rows, at, neurons, places, low, high, seen, to, sums, 1, 32)
    else:
        _add_pixels(rows, at, neurons, places, low, high, seen, to, sums, 1, 16)


counting_narrow, _counting_wide = _counting(np.int32), _counting(np.int64)


def counting_alike(alike: Alike) -> Any:
    """The kernel for neurons grouped in this way."""
    return counting_narrow if alike.reach.dtype == np.int32 else _counting_wide


@dataclass(eq=False)
class Tally:
    """Counts of a layer's spikes over some images, taken as the neurons fire them.

    Attributes:
        alike: groups of the neurons, of sums that 32 bit hold.
        fired, operations: of each step and image, int64 ``(steps, images)``.
        by_neuron: bytes to which each neuron's spikes are added, ``(steps, neurons)``.
        taken: whether they were.
    """

    alike: Alike
    fired: Int64[np.ndarray, "steps images"]
    operations: Int64[np.ndarray, "steps images"]
    by_neuron: UInt8[np.ndarray, "steps neurons"]
    taken: bool = False

    @property
    def arguments(self) -> tuple[Any, ...]:
        """What :data:`counting_narrow` takes of it, behind the spikes."""
        alike = self.alike
        return (alike.places, alike.groups, alike.reach, alike.width, self.fired, self.operations, self.by_neuron)

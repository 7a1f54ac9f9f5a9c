"""Which numbers of a row are not zero, as the list of their places: the events of a raster, for kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from esvae.arrays import Integer
from esvae.machine.jit import part
from esvae.machine.vectors import first_of, instruction, load_vector, splat, store_vector

__all__ = ["ROOM", "list_events", "places_of_bytes"]

#: What a list has to have room for behind its last place.
ROOM = 8
_I16, _I32, _I64 = (ir.IntType(bits) for bits in (16, 32, 64))
_LANES, _BYTE, _BYTES = 64, 8, 256
_ONE, _LOW = np.uint64(1), np.uint64(255)


def places_of_bytes(each: int) -> Integer[np.ndarray, " values"]:
    """For each value of a byte the places of its set bits, lowest first, times ``each``, below 2^13; eight a value."""
    places = np.zeros((_BYTES, _BYTE), np.uint16)
    for byte in range(_BYTES):
        set_bits = [bit for bit in range(_BYTE) if byte >> bit & 1]
        places[byte, : len(set_bits)] = np.multiply(set_bits, each)
    return places.reshape(-1)


@instruction
def _events(_: Any, row: Any, at: Any) -> Any:
    """``_events(row, at)``: which of the 64 numbers from ``row[at]`` on have a bit set, the first in the lowest bit."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = ir.VectorType(ir.IntType(signature.args[0].dtype.bitwidth), _LANES)
        place = builder.gep(first_of(context, builder, signature.args[0], args[0]), [args[1]])
        numbers = load_vector(builder, place, vector)
        return builder.bitcast(builder.icmp_unsigned("!=", numbers, ir.Constant(vector, None)), _I64)

    return types.uint64(row, types.int64), generate


@instruction
def _ones(_: Any, mask: Any) -> Any:
    """``_ones(mask)``: how many bits are set."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), generate


@instruction
def _put_places(_: Any, places: Any, at: Any, table: Any, byte: Any, base: Any) -> Any:
    """``_put_places(places, at, table, byte, base)``: eight places, of which as many count as bits are set in a byte.

    ``places[at : at + 8] = base + table[8 * byte : 8 * byte + 8]``; places are int32, the table is uint16.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole = ir.VectorType(_I32, _BYTE)
        into, table = (first_of(context, builder, signature.args[k], args[k]) for k in (0, 2))
        row = builder.gep(table, [builder.shl(args[3], ir.Constant(_I64, 3))])
        steps = builder.zext(load_vector(builder, row, ir.VectorType(_I16, _BYTE)), whole)
        found = builder.add(steps, splat(builder, builder.trunc(args[4], _I32), whole))
        store_vector(builder, found, builder.gep(into, [args[1]]))
        return context.get_dummy_value()

    return types.void(places, types.int64, table, types.int64, types.int64), generate


@part
def list_events(row: Any, channels: Any, each: Any, table: Any, places: Any, first: Any) -> None:
    """In a kernel: where ``row (inputs,)`` is not zero, in order, times ``each``.

    Eight places are written for each byte of events, and what is too many is written over: a branch that depends on
    the number of events costs more.

    Args:
        row: numbers of any type, ``channels`` of them a pixel.
        channels, each: see there.
        table: of :func:`places_of_bytes`, times ``each``.
        places: int32, with room for :data:`ROOM` more than there are inputs.
        first: int64; those of pixel q will stand in ``places[first[q] : first[q + 1]]``.
    """
    inputs, found, pixel = row.shape[0], np.int64(0), 0
    for low in range(0, inputs, _LANES):
        if low + _LANES <= inputs:
            mask = _events(row, low)
        else:
            mask = np.uint64(0)
            for c in range(inputs - low):
                if row[low + c] != 0:
                    mask |= _ONE << np.uint64(c)
        while pixel * channels < low + _LANES and pixel < first.shape[0] - 1:
            before = (_ONE << np.uint64(pixel * channels - low)) - _ONE
            first[pixel] = found + np.int64(_ones(mask & before))
            pixel += 1
        for k in range(_BYTE):
            byte = (mask >> np.uint64(_BYTE * k)) & _LOW
            _put_places(places, found, table, np.int64(byte), (low + _BYTE * k) * each)
            found += np.int64(_ones(byte))
    first[first.shape[0] - 1] = found

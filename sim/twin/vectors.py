"""The instructions by which events are gathered: finding what fired, and adding rows of weights in registers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types

from esvae.machine.vectors import first_of, instruction, load_vector, repeated, splat, store_vector

__all__ = ["add_rows", "fired", "ones", "put_places"]

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_BYTES, _BYTE = 64, 8


@instruction
def fired(_: Any, row: Any, at: Any) -> Any:
    """``fired(row, at)``: which of the 64 bytes from ``row[at]`` on are not zero, the first one in the lowest bit."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = ir.VectorType(_I8, _BYTES)
        place = builder.gep(first_of(context, builder, signature.args[0], args[0]), [args[1]])
        spikes = load_vector(builder, place, vector)
        return builder.bitcast(builder.icmp_unsigned("!=", spikes, ir.Constant(vector, None)), _I64)

    return types.uint64(row, types.int64), generate


@instruction
def ones(_: Any, mask: Any) -> Any:
    """``ones(mask)``: how many bits are set."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), generate


@instruction
def put_places(_: Any, places: Any, at: Any, table: Any, byte: Any, base: Any) -> Any:
    """``put_places(places, at, table, byte, base)``: eight places, of which as many count as bits are set in a byte.

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


@instruction
def add_rows(
    _: Any, sums: Any, to: Any, weight: Any, at: Any, rows: Any, first: Any, last: Any, offset: Any, lanes: Any
) -> Any:
    """``add_rows(sums, to, weight, at, rows, first, last, offset, lanes)``: adds rows of weights to int16 sums.

    To ``sums[to : to + lanes]`` come, for each r of ``rows[first:last]``, the ``lanes`` bytes from ``weight[at + r]``
    on, each with ``offset`` added. Of the bytes, unsigned, even ones belong to the first half of the sums and odd ones
    to the second; ``lanes`` is a constant. The sums stay in registers, modulo 2^16.

    A pair of bytes is a number of 16 bit, low + 256 high. Whole numbers are added, and the high bytes once more beside
    them, which then tell the low ones.
    """
    width = lanes.literal_value
    half = ir.VectorType(_I16, width // 2)
    byte = ir.Constant(half, [8] * half.count)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        places = [first_of(context, builder, signature.args[k], args[k]) for k in (0, 2, 4)]
        table, zero = builder.gep(places[1], [args[3]]), ir.Constant(half, None)

        def step(number: Any, before: Sequence[Any]) -> tuple[Any, Any]:
            row = builder.sext(builder.load(builder.gep(places[2], [number])), _I64)
            pairs = load_vector(builder, builder.gep(table, [row]), half)
            both, high = before
            return builder.add(both, pairs), builder.add(high, builder.lshr(pairs, byte))

        found = repeated(builder, args[5], args[6], [zero, zero], step)
        low = builder.sub(found[0], builder.shl(found[1], byte))
        offsets = builder.mul(builder.sub(args[6], args[5]), args[7])
        beside = splat(builder, builder.trunc(offsets, _I16), half)
        for k, part in enumerate((low, found[1])):
            place = builder.gep(places[0], [builder.add(args[1], ir.Constant(_I64, k * half.count))])
            store_vector(builder, builder.add(builder.add(load_vector(builder, place, half), part), beside), place)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(sums, whole, weight, whole, rows, whole, whole, whole, lanes), generate

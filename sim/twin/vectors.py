"""The instruction by which events are gathered: adding rows of weights in registers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types

from esvae.machine.vectors import first_of, instruction, load_vector, repeated, splat, store_vector

__all__ = ["add_rows"]

_I16, _I64 = ir.IntType(16), ir.IntType(64)


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

"""Vector instructions that numba has no words for, as LLVM's vectors of whatever width the processor has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

__all__ = ["add_rows", "fired", "lowest", "ones"]

_I8, _I16, _I64 = (ir.IntType(bits) for bits in (8, 16, 64))
_BYTES = 64


def _intrinsic(define: Callable[..., Any]) -> Any:
    """numba's, whose arguments are those of ``define`` but the first."""
    return intrinsic(prefer_literal=True)(define)


def _data(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Where an array's first number lies."""
    return context.make_array(kind)(context, builder, value).data


@_intrinsic
def fired(_: Any, row: Any, at: Any) -> Any:
    """``fired(row, at)``: which of the 64 bytes from ``row[at]`` on are not zero, the first one in the lowest bit."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = ir.VectorType(_I8, _BYTES)
        place = builder.gep(_data(context, builder, signature.args[0], args[0]), [args[1]])
        spikes = builder.load(builder.bitcast(place, vector.as_pointer()))
        spikes.align = 1
        return builder.bitcast(builder.icmp_unsigned("!=", spikes, ir.Constant(vector, None)), _I64)

    return types.uint64(row, types.int64), generate


@_intrinsic
def lowest(_: Any, mask: Any) -> Any:
    """``lowest(mask)``: place of the lowest bit that is set, 64 where there is none."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


@_intrinsic
def ones(_: Any, mask: Any) -> Any:
    """``ones(mask)``: how many bits are set."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), generate


@_intrinsic
def add_rows(_: Any, sums: Any, to: Any, weight: Any, at: Any, rows: Any, first: Any, last: Any, lanes: Any) -> Any:
    """``add_rows(sums, to, weight, at, rows, first, last, lanes)``: adds rows of weights, int8 or int16, to int16 sums.

    To ``sums[to : to + lanes]`` come ``weight[at + r * lanes : at + (r + 1) * lanes]`` for each r of
    ``rows[first:last]``; ``lanes`` is a constant. The sums stay in registers.
    """
    width, byte = lanes.literal_value, weight.dtype == types.int8
    total, part = ir.VectorType(_I16, width), ir.VectorType(_I8 if byte else _I16, width)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        places = [_data(context, builder, signature.args[k], args[k]) for k in (0, 2, 4)]
        held = builder.bitcast(builder.gep(places[0], [args[1]]), total.as_pointer())
        table = builder.gep(places[1], [args[3]])
        before = builder.load(held)
        before.align = 2
        entry, loop, done = builder.block, builder.append_basic_block(), builder.append_basic_block()
        builder.cbranch(builder.icmp_signed("<", args[5], args[6]), loop, done)
        builder.position_at_end(loop)
        j, running = builder.phi(_I64), builder.phi(total)
        row = builder.mul(builder.sext(builder.load(builder.gep(places[2], [j])), _I64), ir.Constant(_I64, width))
        sent = builder.load(builder.bitcast(builder.gep(table, [row]), part.as_pointer()))
        sent.align = 1
        after = builder.add(running, builder.sext(sent, total) if byte else sent)
        following = builder.add(j, ir.Constant(_I64, 1))
        builder.cbranch(builder.icmp_signed("<", following, args[6]), loop, done)
        for value, start, step in ((j, args[5], following), (running, before, after)):
            value.add_incoming(start, entry)
            value.add_incoming(step, loop)
        builder.position_at_end(done)
        result = builder.phi(total)
        result.add_incoming(before, entry)
        result.add_incoming(after, loop)
        builder.store(result, held).align = 2
        return context.get_dummy_value()

    whole = types.int64
    return types.void(sums, whole, weight, whole, rows, whole, whole, lanes), generate

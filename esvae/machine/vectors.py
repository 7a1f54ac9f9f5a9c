"""Words for instructions of a kernel that numba has none for: LLVM's vectors, of whatever width the processor has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.extending import intrinsic

__all__ = ["first_of", "instruction", "load_vector", "repeated", "splat", "store_vector"]

_I32, _I64 = ir.IntType(32), ir.IntType(64)


def instruction(define: Callable[..., Any]) -> Any:
    """numba's ``intrinsic``; a kernel gives all arguments of ``define`` but the first, a literal as its type says."""
    return intrinsic(prefer_literal=True)(define)


def first_of(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Where an array's first number lies."""
    return context.make_array(kind)(context, builder, value).data


def load_vector(builder: Any, place: Any, kind: Any) -> Any:
    """A vector from wherever it lies."""
    loaded = builder.load(builder.bitcast(place, kind.as_pointer()))
    loaded.align = 1
    return loaded


def store_vector(builder: Any, value: Any, place: Any) -> None:
    """Writes a vector to wherever it shall lie."""
    builder.store(value, builder.bitcast(place, value.type.as_pointer())).align = 1


def splat(builder: Any, value: Any, kind: Any) -> Any:
    """A vector of one number."""
    nothing = ir.Constant(kind, ir.Undefined)
    one = builder.insert_element(nothing, value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(_I32, kind.count), None))


def repeated(
    builder: Any, first: Any, last: Any, starts: Sequence[Any], step: Callable[[Any, Sequence[Any]], Sequence[Any]]
) -> list[Any]:
    """A loop that keeps values in registers.

    Args:
        builder: of the function.
        first, last: the loop's numbers are those from ``first`` on below ``last``, int64; there may be none.
        starts: the values before it.
        step: builds what is done for a number, and gives the values after it from those before it.

    Returns:
        The values after the last number.
    """
    entry, loop, done = builder.block, builder.append_basic_block(), builder.append_basic_block()
    builder.cbranch(builder.icmp_signed("<", first, last), loop, done)
    builder.position_at_end(loop)
    number, before = builder.phi(_I64), [builder.phi(start.type) for start in starts]
    after = step(number, before)
    following = builder.add(number, ir.Constant(_I64, 1))
    end = builder.block
    builder.cbranch(builder.icmp_signed("<", following, last), loop, done)
    for value, start, then in zip([number, *before], [first, *starts], [following, *after], strict=True):
        value.add_incoming(start, entry)
        value.add_incoming(then, end)
    builder.position_at_end(done)
    found = [builder.phi(start.type) for start in starts]
    for value, start, then in zip(found, starts, after, strict=True):
        value.add_incoming(start, entry)
        value.add_incoming(then, end)
    return found

"""Words for instructions of a kernel that numba has none for: LLVM's vectors, of whatever width the processor has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.extending import intrinsic

__all__ = ["first_of", "instruction", "load_vector", "splat", "store_vector"]

_I32 = ir.IntType(32)


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

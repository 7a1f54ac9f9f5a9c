"""bfloat16 in compiled kernels, which have no such type: the upper 16 bits of a float32, read and written as words."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import types
from numba.extending import intrinsic, overload

from esvae.arrays import Float, Real

__all__ = ["as_array", "narrowed", "widened"]


def as_array(x: Float[torch.Tensor, "*shape"]) -> Real[np.ndarray, "*shape"]:
    """A tensor's memory for a kernel: of bfloat16 its words, uint16, and of others their values."""
    x = x.detach()
    return x.view(torch.int16).numpy().view(np.uint16) if x.dtype == torch.bfloat16 else x.numpy()


def widened(value: Any) -> Any:
    """In a kernel: a word of bfloat16 as float32; another number as it is. Of arrays, outside a kernel, too."""
    if value.dtype != np.uint16:
        return value
    return (value.astype(np.uint32) << np.uint32(16)).view(np.float32)


def narrowed(value: Any, array: Any) -> Any:
    """In a kernel: a number as ``array`` holds it: where that is of words, the nearest bfloat16, the even one of two.

    A NaN stays one.
    """
    raise TypeError("narrowed is for compiled kernels; use torch.Tensor.to elsewhere")


def _to_float(context: Any, bits: Any) -> Any:
    def generate(target: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], target.get_value_type(types.float32))

    return types.float32(types.uint32), generate


def _to_bits(context: Any, value: Any) -> Any:
    def generate(target: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], target.get_value_type(types.uint32))

    return types.uint32(types.float32), generate


_float_of: Any = intrinsic(_to_float)
_bits_of: Any = intrinsic(_to_bits)


@overload(widened, strict=False)  # whose annotations need not be repeated
def _widened(value: Any) -> Any:
    if value == types.uint16:
        return lambda value: _float_of(np.uint32(value) << np.uint32(16))
    return lambda value: value


@overload(narrowed, strict=False)
def _narrowed(value: Any, array: Any) -> Any:
    if array.dtype != types.uint16:
        return lambda value, array: value

    def to_word(value: Any, array: Any) -> Any:
        bits = _bits_of(np.float32(value))
        nearest = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
        is_nan = (bits & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
        return np.uint16(np.uint32(0x7FC0) if is_nan else nearest)

    return to_word

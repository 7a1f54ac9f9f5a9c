"""One step of the integrate-and-fire neurons in ONNX's operators, as :func:`esvae.chip.neuron.lif_step` defines it."""

from __future__ import annotations

from typing import Any

import numpy as np

from esvae.chip.formats import DECAY_SHIFT, DECAY_UNITY, REGISTER_BITS, STATE_LIMIT, STATE_SHIFT, STATE_WRAP
from export.ir import Lif, Shape
from export.onnx.graph import OnnxGraph
from export.onnx.sums import wrapped

__all__ = ["lif_operators"]

#: What an int32 product may reach.
_INT32 = (1 << (REGISTER_BITS - 1)) - 1


def lif_operators(
    body: OnnxGraph, sums: str, u: str, v: str, bias: str | None, neuron: Lif, shape: Shape, kind: np.dtype[Any]
) -> tuple[str, str, str]:
    """One step of the neurons, as the reference defines it.

    Args:
        body: gets the operators.
        sums: ``a << 6``, of type ``kind``.
        u, v: states before; ``v`` is int32.
        bias: ``bias << 6``, of type ``kind``, or None.
        neuron: decays and threshold.
        shape: of the layer.
        kind: int32 where no current comes to 2^23, else int64.

    Returns:
        ``u`` of type ``kind``, ``v`` int32 and what fired, bool.
    """
    wide = kind == np.int64
    across = (1,) * (len(shape) - 1)  # decays that differ count the first axis
    current_keep, keep = (DECAY_UNITY - (lost.reshape(-1, *across) if lost.ndim else lost) for lost in neuron.decays)
    if current_keep.any():
        sums = body.op("Add", _decayed(body, u, current_keep, _INT32 if wide else STATE_LIMIT - 1, kind), sums)
    u = _brought_back(body, wrapped(body, sums, REGISTER_BITS)) if wide else sums
    drive = u
    if keep.any():
        kept = _decayed(body, v, keep, STATE_LIMIT - 1, np.dtype(np.int32))
        drive = body.op("Add", body.cast(kept, kind) if wide else kept, drive)
    if bias is not None:
        drive = body.op("Add", drive, bias)
    if wide:
        drive = body.cast(wrapped(body, drive, REGISTER_BITS), np.int32)
    low, high = (body.constant(sign * (STATE_LIMIT - 1), np.int32) for sign in (-1, 1))
    v = body.op("Clip", drive, low, high)
    fires = body.op("Greater", v, body.constant(neuron.threshold << STATE_SHIFT, np.int32))
    return u, body.op("Where", fires, body.constant(0, np.int32), v), fires


def _decayed(body: OnnxGraph, value: str, keep: np.ndarray, largest: int, kind: np.dtype[Any]) -> str:
    """``sign(x) * (|x| * keep >> 12)`` of numbers at most ``largest`` in magnitude; one at least keeps something."""
    shift = DECAY_SHIFT
    while (keep % 2 == 0).all() and shift:
        keep, shift = keep // 2, shift - 1
    if not shift and (keep == 1).all():
        return value  # nothing is lost
    narrow = kind == np.int32 and largest * int(keep.max()) <= _INT32
    signed, unsigned = (np.int32, np.uint32) if narrow else (np.int64, np.uint64)
    size = body.op("Abs", value)
    if not narrow and kind == np.int32:
        size = body.cast(size, np.int64)
    if (keep != 1).any():
        size = body.op("Mul", size, body.constant(keep, signed))
    shifted = body.op("BitShift", body.cast(size, unsigned), body.constant(shift, unsigned), direction="RIGHT")
    return body.op("Mul", body.cast(shifted, kind), body.op("Sign", value))


def _brought_back(body: OnnxGraph, value: str) -> str:
    """Once by 2^24 when above 2^23 or at or below -2^23."""
    limit, wrap = body.constant(STATE_LIMIT, np.int64), body.constant(STATE_WRAP, np.int64)
    low = body.constant(-STATE_LIMIT, np.int64)
    raised = body.op("Where", body.op("LessOrEqual", value, low), body.op("Add", value, wrap), value)
    return body.op("Where", body.op("Greater", value, limit), body.op("Sub", value, wrap), raised)

"""The integer neuron over all steps of a window in one pass, compiled by numba: 32 bit where that is enough.

Neurons of one image lie one after the other, so that the loop over them becomes vector instructions; the potentials of
a block of neurons stay in the first cache while time runs over them.

Which width is enough follows from ``reach``, the largest sum of weights that can arrive. With ``reach < 2^17`` a
shifted sum stays below 2^23, so that a current is brought back by 2^24 at most once and stays within 2^23; then no
number of a step leaves 32 bit, and ``|v| * keep >> 12`` splits exactly into
``(|v| >> 12) * keep + ((|v| & 4095) * keep >> 12)``. Beyond that, 64 bit are used, and the casts to 32 bit overflow
exactly where Lava's int32 registers do.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from esvae.chip.formats import DECAY_SHIFT, DECAY_UNITY, REGISTER_BITS, STATE_LIMIT, STATE_SHIFT, STATE_WRAP
from esvae.machine.jit import kernel
from export.ir import Lif

__all__ = ["NARROW_REACH", "keeps", "run_lif", "wide_step"]

#: Sums of weights below this leave every number of a step within 32 bit (see above).
NARROW_REACH = STATE_LIMIT >> STATE_SHIFT
#: Neurons to a block: their potentials and biases fill half of a 32 KB first cache.
_BLOCK = 4096

_I32, _I64 = np.int32, np.int64
_LIMIT, _WRAP = _I32(STATE_LIMIT), _I32(STATE_WRAP)
_TOP = _I32(STATE_LIMIT - 1)
_SHIFT, _DECAY_SHIFT, _LOW = _I32(STATE_SHIFT), _I32(DECAY_SHIFT), _I32(DECAY_UNITY - 1)
_WORD = 64


@numba.njit(inline="always")
def _decayed(x: Any, keep: Any) -> Any:
    m = x if x >= 0 else _I32(-x)
    kept = _I32(_I32(_I32(m >> _DECAY_SHIFT) * keep) + _I32(_I32(_I32(m & _LOW) * keep) >> _DECAY_SHIFT))
    return kept if x >= 0 else _I32(-kept)


@numba.njit(inline="always")
def _decayed_wide(x: Any, keep: Any) -> Any:
    product = _I64(x) * _I64(keep)
    return _I64(product >> _DECAY_SHIFT) if product >= 0 else -_I64((-product) >> _DECAY_SHIFT)


@numba.njit(inline="always")
def wide_step(u: Any, v: Any, arrived: Any, drive: Any, keep_u: Any, keep_v: Any) -> Any:
    """The current and the potential, not yet reset, that an int64 sum of weights makes of those before it."""
    current = _I32(_decayed_wide(u, keep_u) + (arrived << _SHIFT))
    if current > _LIMIT:
        current = _I32(current - _WRAP)
    elif current <= -_LIMIT:
        current = _I32(current + _WRAP)
    potential = _I32(_decayed_wide(v, keep_v) + _I64(current) + _I64(drive))
    return current, min(max(potential, _I32(-_TOP)), _TOP)


@kernel(parallel=True)
def _memoryless(a: Any, bias: Any, keep_v: Any, threshold: Any, resets: Any, v_end: Any) -> None:
    """32 bit, and a current that is gone after a step: the neuron of every ESVAE."""
    steps, images, neurons = a.shape
    blocks = (neurons + _BLOCK - 1) // _BLOCK
    for job in numba.prange(images * blocks):
        n, low = job // blocks, (job % blocks) * _BLOCK
        high = min(neurons, low + _BLOCK)
        v = v_end[n, low:high]
        drive = bias[n % bias.shape[0], low:high]
        v[:] = _I32(0)
        for t in range(steps):
            sums = a[t, n, low:high]
            if resets[t]:
                v[:] = _I32(0)
            for c in range(high - low):
                current = _I32(_I32(sums[c]) << _SHIFT)
                potential = _I32(_I32(_decayed(v[c], keep_v) + current) + drive[c])
                potential = min(max(potential, _I32(-_TOP)), _TOP)
                fired = potential > threshold
                v[c] = _I32(0) if fired else potential
                sums[c] = np.float32(1.0) if fired else np.float32(0.0)


@kernel(parallel=True)
def _narrow(
    a: Any, bias: Any, keep_u: Any, keep_v: Any, threshold: Any, resets: Any, v_end: Any, u_trace: Any, v_trace: Any
) -> None:
    """32 bit, with a current that remembers, traced or not."""
    steps, images, neurons = a.shape
    traced = u_trace.shape[0] == steps
    blocks = (neurons + _BLOCK - 1) // _BLOCK
    for job in numba.prange(images * blocks):
        n, low = job // blocks, (job % blocks) * _BLOCK
        high = min(neurons, low + _BLOCK)
        v = v_end[n, low:high]
        u = np.zeros(high - low, np.int32)
        drive = bias[n % bias.shape[0], low:high]
        v[:] = _I32(0)
        for t in range(steps):
            sums = a[t, n, low:high]
            if resets[t]:
                u[:] = _I32(0)
                v[:] = _I32(0)
            for c in range(high - low):
                current = _I32(_decayed(u[c], keep_u) + _I32(_I32(sums[c]) << _SHIFT))
                if current > _LIMIT:
                    current = _I32(current - _WRAP)
                elif current <= -_LIMIT:
                    current = _I32(current + _WRAP)
                u[c] = current
                potential = _I32(_I32(_decayed(v[c], keep_v) + current) + drive[c])
                potential = min(max(potential, _I32(-_TOP)), _TOP)
                fired = potential > threshold
                v[c] = _I32(0) if fired else potential
                sums[c] = np.float32(1.0) if fired else np.float32(0.0)
            if traced:
                u_trace[t, n, low:high] = u
                v_trace[t, n, low:high] = v


@kernel(parallel=True)
def _wide(
    a: Any,
    bias: Any,
    keep_u: Any,
    keep_v: Any,
    threshold: Any,
    resets: Any,
    v_end: Any,
    u_trace: Any,
    v_trace: Any,
    spare: Any,
) -> None:
    """64 bit, for sums that 32 bit might not hold on their way, and for decays that differ between neurons; ``spare``
    bits are cut off the sums from above."""
    steps, images, neurons = a.shape
    traced = u_trace.shape[0] == steps
    for n in numba.prange(images):
        v = v_end[n]
        u = np.zeros(neurons, np.int32)
        drive = bias[n % bias.shape[0]]
        v[:] = _I32(0)
        for t in range(steps):
            sums = a[t, n]
            if resets[t]:
                u[:] = _I32(0)
                v[:] = _I32(0)
            for c in range(neurons):
                arrived = (_I64(sums[c]) << spare) >> spare
                u[c], potential = wide_step(u[c], v[c], arrived, drive[c], keep_u[c], keep_v[c])
                fired = potential > threshold
                v[c] = _I32(0) if fired else potential
                sums[c] = 1.0 if fired else 0.0
            if traced:
                u_trace[t, n] = u
                v_trace[t, n] = v


def keeps(neuron: Lif, neurons: int) -> tuple[np.ndarray, np.ndarray]:
    """Parts of 4096 that each neuron keeps of its current and of its potential: int32 ``(neurons,)``."""
    current, voltage = (np.full(neurons, DECAY_UNITY - lost, np.int32) for lost in neuron.decays)
    return current, voltage


def run_lif(
    a: np.ndarray,
    bias: np.ndarray,
    neuron: Lif,
    *,
    reach: int,
    resets: np.ndarray | None = None,
    bits: int = REGISTER_BITS,
    trace: bool = False,
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Runs the neurons of one layer from rest over a window.

    Args:
        a: sums of weights, whole numbers in float32 or float64, contiguous ``(steps, images, neurons)``;
            **overwritten** with the spikes, 0.0 or 1.0.
        bias: bias mantissas, int32 ``(1 or images, neurons)``.
        neuron: decays and threshold.
        reach: what no ``|a|`` is above, whatever spikes arrive.
        resets: bool ``(steps,)``: where current and potential are set to zero before the update; None for nowhere.
        bits: width to which sums are wrapped.
        trace: also return the states after every step.

    Returns:
        Membrane potential after the last step, int32 ``(images, neurons)``; and, where traced, ``u`` and ``v`` after
        every step, int32 ``(steps, images, neurons)``.
    """
    v_end = np.empty(a.shape[1:], np.int32)
    resets = np.zeros(len(a), bool) if resets is None else resets
    drive = np.ascontiguousarray(bias.astype(np.int32) << _SHIFT)
    threshold = _I32(neuron.threshold << STATE_SHIFT)
    keep_u, keep_v = keeps(neuron, a.shape[2])
    narrow = reach < NARROW_REACH and a.dtype == np.float32 and neuron.uniform
    if narrow and keep_u[0] == 0 and not trace:
        _memoryless(a, drive, keep_v[0], threshold, resets, v_end)
        return v_end, None, None
    kept = a.shape if trace else (0, 0, 0)
    u_trace, v_trace = np.empty(kept, np.int32), np.empty(kept, np.int32)
    if narrow:
        _narrow(a, drive, keep_u[0], keep_v[0], threshold, resets, v_end, u_trace, v_trace)
    else:
        _wide(a, drive, keep_u, keep_v, threshold, resets, v_end, u_trace, v_trace, _I64(_WORD - bits))
    return v_end, *((u_trace, v_trace) if trace else (None, None))

"""The integer neuron over all steps of a window in one pass through memory, compiled by numba.

Channels are innermost, so that the loop over them becomes vector instructions; the state of one row of channels stays
in cache while time runs over it.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from export.formats import DECAY_SHIFT, DECAY_UNITY, STATE_LIMIT, STATE_SHIFT, STATE_WRAP
from export.ir import Lif

__all__ = ["run_lif"]

_LIMIT, _WRAP, _SHIFT, _DECAY_SHIFT = STATE_LIMIT, STATE_WRAP, STATE_SHIFT, DECAY_SHIFT


@numba.njit(inline="always")
def _decayed(x: Any, keep: Any) -> Any:
    product = np.int64(x) * keep
    return np.int64(product >> _DECAY_SHIFT) if product >= 0 else -np.int64((-product) >> _DECAY_SHIFT)


@numba.njit(parallel=True, cache=True)
def _lif_window(
    a: Any, bias: Any, keep_u: Any, keep_v: Any, threshold: Any, v_end: Any, u_trace: Any, v_trace: Any
) -> None:
    steps, rows, channels = a.shape
    traced = u_trace.shape[0] == steps
    bias_rows = bias.shape[0]
    for row in numba.prange(rows):
        u = np.zeros(channels, np.int32)
        v = np.zeros(channels, np.int32)
        drive = bias[row % bias_rows]
        for t in range(steps):
            weights = a[t, row]
            for c in range(channels):
                # The casts to 32 bit overflow exactly where Lava's int32 registers do.
                current = np.int32(_decayed(u[c], keep_u) + (np.int64(weights[c]) << _SHIFT))
                if current > _LIMIT:
                    current = np.int32(current - _WRAP)
                elif current <= -_LIMIT:
                    current = np.int32(current + _WRAP)
                u[c] = current
                potential = np.int32(_decayed(v[c], keep_v) + np.int64(current) + drive[c])
                potential = min(max(potential, np.int32(1 - _LIMIT)), np.int32(_LIMIT - 1))
                fired = potential > threshold
                v[c] = np.int32(0) if fired else potential
                weights[c] = np.float32(1.0) if fired else np.float32(0.0)
            if traced:
                u_trace[t, row] = u
                v_trace[t, row] = v
        v_end[row] = v


def run_lif(
    a: np.ndarray, bias: np.ndarray, neuron: Lif, *, trace: bool
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Runs the neurons of one layer from rest over a window.

    Args:
        a: sums of weights, whole numbers in float32, contiguous ``(steps, rows, channels)``; **overwritten** with the
            spikes, 0.0 or 1.0.
        bias: bias mantissas int64 ``(1 or rows of one image, channels)``.
        neuron: decays and threshold.
        trace: also return the states after every step.

    Returns:
        Membrane potential after the last step, int32 ``(rows, channels)``; and, where traced, ``u`` and ``v`` after
        every step, int32 ``(steps, rows, channels)``.
    """
    v_end = np.empty(a.shape[1:], np.int32)
    kept = a.shape if trace else (0, 0, 0)
    u_trace, v_trace = np.empty(kept, np.int32), np.empty(kept, np.int32)
    keep_u, keep_v = (np.int64(DECAY_UNITY - d) for d in (neuron.current_decay, neuron.voltage_decay))
    threshold = np.int64(neuron.threshold) << STATE_SHIFT
    _lif_window(a, bias << STATE_SHIFT, keep_u, keep_v, threshold, v_end, u_trace, v_trace)
    return v_end, *((u_trace, v_trace) if trace else (None, None))

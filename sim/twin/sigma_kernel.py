"""The sigma-delta neurons over all steps of a window in one pass: numba on the CPU, torch elsewhere.

States are 32 bit and overflow as Lava's int32 registers do. Neurons of one image lie one after the other, so that the
loop over them becomes vector instructions; the states of a block of neurons stay in the first cache while time runs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from esvae.arrays import Float, Int32, Integer, Real
from esvae.chip.formats import MESSAGE_EXP, REGISTER_BITS, SIGMA_EXP
from esvae.machine.jit import kernel, side_by_side
from export.ir import Delta, GradedNeuron, Sigma, SigmaDelta
from sim.twin.lif_kernel import record

__all__ = ["run_graded", "run_graded_torch"]

_I32, _I64 = np.int32, np.int64
_MESSAGE_EXP = _I32(MESSAGE_EXP)
#: Neurons to a block: three states and the bias of each fill half of a 32 KB first cache.
_BLOCK = 1024
_WORD = 64


@kernel(nogil=True)
def _sigma_delta(
    begin: Any,
    end: Any,
    a: Any,
    spare: Any,
    drive: Any,
    threshold: Any,
    rectified: Any,
    message: Any,
    states: Any,
    act_end: Any,
    u_trace: Any,
    v_trace: Any,
) -> None:
    """``spare`` bits of 64 are cut off the sums from above; without sums, ``a`` has no steps; drives may be one.
    ``states`` are sums and residues, ``(2, images, neurons)``, zero at first."""
    steps, _, neurons = message.shape
    arrives, traced = a.shape[0] == steps, v_trace.shape[0] == steps
    blocks = (neurons + _BLOCK - 1) // _BLOCK
    for job in range(begin, end):
        n, low = job // blocks, (job % blocks) * _BLOCK
        high = min(neurons, low + _BLOCK)
        sigma, residue, act = states[0, n, low:high], states[1, n, low:high], act_end[n, low:high]
        for t in range(steps):
            level = drive[t % drive.shape[0], n % drive.shape[1], low:high]
            out = message[t, n, low:high]
            if arrives:
                sums = a[t, n, low:high]
                for c in range(high - low):
                    sigma[c] = _I32(sigma[c] + _I32((_I64(sums[c]) << spare) >> spare))
            for c in range(high - low):
                new = _I32(sigma[c] + level[c])
                if rectified and new < 0:
                    new = _I32(0)
                delta = _I32(_I32(new - act[c]) + residue[c])
                size = delta if delta >= 0 else _I32(-delta)
                act[c] = new
                sends = size >= threshold
                out[c] = _I32(delta >> _MESSAGE_EXP) if sends else _I32(0)
                residue[c] = _I32(0) if sends else delta
            if traced:
                record(sigma, 0, high - low, u_trace[t, n, low:high])
                record(act, 0, high - low, v_trace[t, n, low:high])


@kernel(nogil=True)
def _sigma(begin: Any, end: Any, a: Any, spare: Any, sums_of: Any, message: Any) -> None:
    steps, _, neurons = message.shape
    for n in range(begin, end):
        sigma = sums_of[n]
        for t in range(steps):
            sums, out = a[t, n], message[t, n]
            for c in range(neurons):
                sigma[c] = _I32(sigma[c] + _I32((_I64(sums[c]) << spare) >> spare))
                out[c] = sigma[c]


def run_graded(
    a: Real[np.ndarray, "steps images neurons"] | None,
    bias: Int32[np.ndarray, "_steps _images neurons"],
    neuron: GradedNeuron,
    shape: tuple[int, int, int],
    *,
    bits: int = REGISTER_BITS,
    trace: bool = False,
) -> tuple[
    Int32[np.ndarray, "steps images neurons"],
    Int32[np.ndarray, "images neurons"],
    Int32[np.ndarray, "steps images neurons"] | None,
    Int32[np.ndarray, "steps images neurons"] | None,
]:
    """Runs the neurons of one layer from rest over a window.

    Args:
        a: sums of products of weights and messages, whole numbers in int16, float32 or float64, contiguous ``(steps,
            images, neurons)``; None where nothing arrives over synapses.
        bias: int32 ``(1 or steps, 1 or images, neurons)``: bias mantissas, or the frames that are encoded.
        neuron: which, and its threshold.
        shape: ``(steps, images, neurons)``.
        bits: width to which sums are wrapped.
        trace: also return the states after every step.

    Returns:
        Messages, int32 of ``shape``; ``act`` after the last step, int32 ``(images, neurons)``; and, where traced,
        ``sigma`` and ``act`` after every step, int32 of ``shape``.
    """
    message = np.empty(shape, np.int32)
    spare = _I64(_WORD - bits)
    if isinstance(neuron, Sigma):
        assert a is not None
        side_by_side(_sigma, shape[1], a, spare, np.zeros(shape[1:], np.int32), message)
        return message, message[-1].copy(), *((message, message) if trace else (None, None))
    drive = np.ascontiguousarray(bias.astype(np.int32) << _I32(SIGMA_EXP))
    states, end = np.zeros((2, *shape[1:]), np.int32), np.zeros(shape[1:], np.int32)
    kept = shape if trace else (0, 0, 0)
    u_trace, v_trace = np.empty(kept, np.int32), np.empty(kept, np.int32)
    sums = np.empty((0, 0, 0), np.float32) if a is None else a
    threshold = _I32(neuron.threshold << SIGMA_EXP)
    given = (sums, spare, drive, threshold, isinstance(neuron, SigmaDelta), message, states, end, u_trace, v_trace)
    side_by_side(_sigma_delta, shape[1] * -(-shape[2] // _BLOCK), *given)
    return message, end, *((u_trace, v_trace) if trace else (None, None))


def run_graded_torch(
    a: Float[torch.Tensor, "steps images neurons"] | None,
    bias: Integer[torch.Tensor, "_steps _images neurons"],
    neuron: GradedNeuron,
    shape: tuple[int, int, int],
    *,
    bits: int = REGISTER_BITS,
    trace: bool = False,
) -> tuple[
    Int32[torch.Tensor, "steps images neurons"],
    Int32[torch.Tensor, "images neurons"],
    Int32[torch.Tensor, "steps images neurons"] | None,
    Int32[torch.Tensor, "steps images neurons"] | None,
]:
    """As :func:`run_graded`, on whatever device ``bias`` lies, in 64 bit throughout."""
    steps = shape[0]
    sigma, act, residue = (torch.zeros(shape[1:], dtype=torch.int64, device=bias.device) for _ in range(3))
    kept: tuple[list[torch.Tensor], ...] = ([], [], [])
    for t in range(steps):
        if a is not None:
            sigma = _wrapped(sigma + _wrapped(a[t].to(torch.int64), bits), REGISTER_BITS)
        if isinstance(neuron, Sigma):
            act = message = sigma
        else:
            level = bias[t % len(bias)].to(torch.int64) << SIGMA_EXP
            new = _wrapped(sigma + level, REGISTER_BITS)
            if not isinstance(neuron, Delta):
                new = new.clamp(min=0)
            delta = _wrapped(new - act + residue, REGISTER_BITS)
            sent = delta * (_wrapped(delta.abs(), REGISTER_BITS) >= neuron.threshold << SIGMA_EXP)
            act, residue, message = new, delta - sent, sent >> MESSAGE_EXP
        for states, state in zip(kept, (message, sigma, act), strict=True):
            if trace or states is kept[0]:
                states.append(state.to(torch.int32))
    messages = torch.stack(kept[0])
    traces = (torch.stack(kept[1]), torch.stack(kept[2])) if trace else (None, None)
    return messages, act.to(torch.int32), *traces


def _wrapped(x: torch.Tensor, bits: int) -> torch.Tensor:
    half = 1 << (bits - 1)
    return (x + half).remainder(1 << bits) - half

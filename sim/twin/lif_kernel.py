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

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numba
import numpy as np
import torch

from esvae.arrays import Bool, Int32, Int64, Integer, Real, UInt8
from esvae.chip.formats import DECAY_SHIFT, DECAY_UNITY, REGISTER_BITS, STATE_LIMIT, STATE_SHIFT, STATE_WRAP
from esvae.machine.jit import hands, kernel, part, side_by_side
from export.ir import Lif
from sim.counts.alike import TOGETHER, Tally, counting_narrow

__all__ = [
    "NARROW_REACH",
    "Memoryless",
    "Places",
    "at_rest",
    "keeps",
    "memoryless_step",
    "record",
    "run_lif",
    "run_memoryless",
    "wide_step",
]

#: Sums of weights below this leave every number of a step within 32 bit (see above).
NARROW_REACH = STATE_LIMIT >> STATE_SHIFT
#: Neurons to a block: their potentials and biases fill half of a 32 KB first cache.
_BLOCK = 4096
#: Updates of neurons to a nanosecond, about, in 32 bit and in 64 bit.
_PER_NANOSECOND, _WIDE_PER_NANOSECOND = 2, 1 / 8

_I32, _I64 = np.int32, np.int64
_LIMIT, _WRAP = _I32(STATE_LIMIT), _I32(STATE_WRAP)
_TOP = _I32(STATE_LIMIT - 1)
_SHIFT, _DECAY_SHIFT, _LOW = _I32(STATE_SHIFT), _I32(DECAY_SHIFT), _I32(DECAY_UNITY - 1)
_WORD = 64
_FIRED, _SILENT = np.uint8(1), np.uint8(0)


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


@part
def at_rest(states: Any, first: Any, last: Any) -> None:
    """Sets the states of some neurons to zero."""
    for c in range(first, last):
        states[c] = _I32(0)


@part
def record(states: Any, first: Any, last: Any, trace: Any) -> None:
    """Writes the states of some neurons into a trace; a slice's assignment takes numba seconds to compile."""
    for c in range(first, last):
        trace[c] = states[c]


@numba.njit(inline="always")
def memoryless_step(sums: Any, shift: Any, drive: Any, law: Any, v: Any, out: Any) -> None:
    """One step of neurons without current: potentials ``v`` and spikes ``out`` from sums, which count 2^shift each.

    ``law``: parts of 4096 that a potential keeps, and the threshold.
    """
    keep, threshold = law
    for c in range(len(out)):
        potential = _I32(_I32(_decayed(v[c], keep) + _I32(_I32(sums[c]) << shift)) + drive[c])
        potential = min(max(potential, _I32(-_TOP)), _TOP)
        fired = potential > threshold
        v[c] = _I32(0) if fired else potential
        out[c] = _FIRED if fired else _SILENT


@kernel(nogil=True)
def _memoryless(
    begin: Any,
    end: Any,
    a: Any,
    source: Any,
    run: Any,
    per: Any,
    bias: Any,
    law: Any,
    resets: Any,
    v_end: Any,
    spikes: Any,
) -> None:
    """32 bit, and a current that is gone after a step: the neuron of every ESVAE."""
    steps, _, neurons = a.shape
    blocks = (len(source) + per - 1) // per
    for job in range(begin, end):
        n, first = job // blocks, (job % blocks) * per
        last = min(len(source), first + per)
        for t in range(steps):
            if t == 0 or resets[t]:
                at_rest(v_end[n], first * run, min(neurons, last * run))
            for k in range(first, last):
                low = k * run
                length = min(neurons, low + run) - low
                sums = a[t, n, source[k] : source[k] + length]
                drive = bias[n % bias.shape[0], low : low + length]
                v = v_end[n, low : low + length]
                memoryless_step(sums, _SHIFT, drive, law, v, spikes[t, n, low : low + length])


@kernel(nogil=True)
def _memoryless_tallied(images: Any, blocks: Any, neurons: Any, tally: Any) -> None:
    """:func:`_memoryless` of whole images, whose spikes are counted while they lie in a cache."""
    spikes = neurons[-1]
    for n in range(0, images, TOGETHER):
        behind = min(images, n + TOGETHER)
        _memoryless(n * blocks, behind * blocks, *neurons)
        counting_narrow(0, len(spikes), spikes, *tally, n, behind)


@kernel(nogil=True)
def _narrow(
    begin: Any,
    end: Any,
    a: Any,
    source: Any,
    run: Any,
    per: Any,
    bias: Any,
    keep_u: Any,
    keep_v: Any,
    threshold: Any,
    resets: Any,
    u_end: Any,
    v_end: Any,
    spikes: Any,
    u_trace: Any,
    v_trace: Any,
) -> None:
    """32 bit, with a current that remembers, traced or not."""
    steps, _, neurons = a.shape
    traced = u_trace.shape[0] == steps
    blocks = (len(source) + per - 1) // per
    for job in range(begin, end):
        n, first = job // blocks, (job % blocks) * per
        last = min(len(source), first + per)
        start, stop = first * run, min(neurons, last * run)
        for t in range(steps):
            if resets[t]:
                at_rest(u_end[n], start, stop)
                at_rest(v_end[n], start, stop)
            for k in range(first, last):
                low = k * run
                length = min(neurons, low + run) - low
                sums = a[t, n, source[k] : source[k] + length]
                drive = bias[n % bias.shape[0], low : low + length]
                u = u_end[n, low : low + length]
                v = v_end[n, low : low + length]
                out = spikes[t, n, low : low + length]
                for c in range(length):
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
                    out[c] = _FIRED if fired else _SILENT
            if traced:
                record(u_end[n], start, stop, u_trace[t, n])
                record(v_end[n], start, stop, v_trace[t, n])


@kernel(nogil=True)
def _wide(
    begin: Any,
    end: Any,
    a: Any,
    source: Any,
    run: Any,
    bias: Any,
    keep_u: Any,
    keep_v: Any,
    threshold: Any,
    resets: Any,
    u_end: Any,
    v_end: Any,
    spikes: Any,
    u_trace: Any,
    v_trace: Any,
    spare: Any,
) -> None:
    """64 bit, for sums that 32 bit might not hold on their way, and for decays that differ between neurons; ``spare``
    bits are cut off the sums from above."""
    steps, _, neurons = a.shape
    traced = u_trace.shape[0] == steps
    for n in range(begin, end):
        u, v = u_end[n], v_end[n]
        drive = bias[n % bias.shape[0]]
        for t in range(steps):
            out = spikes[t, n]
            if resets[t]:
                at_rest(u, 0, neurons)
                at_rest(v, 0, neurons)
            for k in range(len(source)):
                ahead = source[k] - k * run
                for c in range(k * run, min(neurons, (k + 1) * run)):
                    arrived = (_I64(a[t, n, ahead + c]) << spare) >> spare
                    u[c], potential = wide_step(u[c], v[c], arrived, drive[c], keep_u[c], keep_v[c])
                    fired = potential > threshold
                    v[c] = _I32(0) if fired else potential
                    out[c] = _FIRED if fired else _SILENT
            if traced:
                record(u, 0, neurons, u_trace[t, n])
                record(v, 0, neurons, v_trace[t, n])


def keeps(neuron: Lif, neurons: int) -> tuple[Int32[np.ndarray, " neurons"], Int32[np.ndarray, " neurons"]]:
    """Parts of 4096 that each neuron keeps of its current and of its potential: int32 ``(neurons,)``."""
    current, voltage = (np.full(neurons, DECAY_UNITY - lost, np.int32) for lost in neuron.decays)
    return current, voltage


@dataclass(frozen=True, eq=False)
class Memoryless:
    """Neurons whose current is gone after a step, as kernels take them.

    Attributes:
        drive: what enters each at every step, in the potential's unit: int32 ``(1 or images, neurons)``.
        law: as of :func:`memoryless_step`.
    """

    drive: Int32[np.ndarray, "images neurons"]
    law: tuple[np.int32, np.int32]

    @staticmethod
    def of(neuron: Lif, bias: Integer[np.ndarray, "images neurons"], reach: int) -> Memoryless | None:
        """The form of neurons with biases int32 ``(1 or images, neurons)``, or None where it is another: a current
        that remembers, decays that differ, sums that 32 bit may not hold."""
        if reach >= NARROW_REACH or not neuron.uniform:
            return None
        keep_u, keep_v = (int(kept[0]) for kept in keeps(neuron, 1))
        if keep_u != 0:
            return None
        law = _I32(keep_v), _I32(neuron.threshold << STATE_SHIFT)
        return Memoryless(np.ascontiguousarray(bias.astype(np.int32) << _SHIFT), law)


@dataclass(frozen=True, eq=False)
class Places:
    """Where sums lie that are not in the order of the neurons: pieces of them are, one after the other.

    Attributes:
        source: of each piece of the neurons, the place of its first sum, int64.
        run: neurons to a piece; the last may have fewer.
    """

    source: Int64[np.ndarray, " pieces"]
    run: int

    @staticmethod
    @lru_cache(maxsize=64)
    def in_order(neurons: int) -> Places:
        """Sums in the order of the neurons, in pieces that stay in the first cache."""
        return Places(np.arange(0, neurons, _BLOCK), _BLOCK)

    def in_order_of_neurons(self, sums: Real[torch.Tensor, "*lead places"]) -> Real[torch.Tensor, "*lead neurons"]:
        """Sums ``(..., neurons)`` that lie at these places, in the order of the neurons."""
        places = (self.source[:, None] + np.arange(self.run)).reshape(-1)
        return sums[..., torch.from_numpy(places[: sums.shape[-1]])]


def run_memoryless(
    a: Real[np.ndarray, "steps images places"],
    neuron: Memoryless,
    resets: Bool[np.ndarray, " steps"],
    places: Places | None = None,
    tally: Tally | None = None,
) -> tuple[UInt8[np.ndarray, "steps images places"], Int32[np.ndarray, "images places"]]:
    """Runs neurons that hold no current from rest over a window, as :func:`run_lif` does.

    Args:
        a, resets, places: see there; not in float64.
        neuron: which.
        tally: counts the spikes on their way, where one thread computes.

    Returns:
        Spikes, and the potential after the last step.
    """
    places = places or Places.in_order(a.shape[2])
    images, per, jobs, job = _jobs(a, places)
    spikes, v_end = np.empty(a.shape, np.uint8), np.empty(a.shape[1:], np.int32)
    neurons = (a, places.source, places.run, per, neuron.drive, neuron.law, resets, v_end, spikes)
    if tally is not None and hands(jobs, job) == 1:
        tally.taken = True
        _memoryless_tallied(images, jobs // images, neurons, tally.arguments)
    else:
        side_by_side(_memoryless, jobs, *neurons, nanoseconds=job)
    return spikes, v_end


def _jobs(a: np.ndarray, places: Places) -> tuple[int, int, int, float]:
    """Images, pieces of neurons to a job, jobs, and the nanoseconds that one takes, about."""
    images, per = a.shape[1], max(1, _BLOCK // places.run)
    job = len(a) * min(per * places.run, a.shape[2]) / _PER_NANOSECOND
    return images, per, images * -(-len(places.source) // per), job


def run_lif(
    a: Real[np.ndarray, "steps images neurons"],
    bias: Integer[np.ndarray, "_images neurons"],
    neuron: Lif,
    *,
    reach: int,
    resets: Bool[np.ndarray, " steps"] | None = None,
    bits: int = REGISTER_BITS,
    trace: bool = False,
    places: Places | None = None,
) -> tuple[
    UInt8[np.ndarray, "steps images neurons"],
    Int32[np.ndarray, "images neurons"],
    Int32[np.ndarray, "steps images neurons"] | None,
    Int32[np.ndarray, "steps images neurons"] | None,
]:
    """Runs the neurons of one layer from rest over a window.

    Args:
        a: sums of weights, whole numbers in int16, float32 or float64, contiguous ``(steps, images, neurons)``.
        bias: bias mantissas, int32 ``(1 or images, neurons)``.
        neuron: decays and threshold.
        reach: what no ``|a|`` is above, whatever spikes arrive.
        resets: bool ``(steps,)``: where current and potential are set to zero before the update; None for nowhere.
        bits: width to which sums are wrapped.
        trace: also return the states after every step.
        places: where the neurons' sums lie among ``a``; None for the neurons' order.

    Returns:
        Spikes, uint8 0 or 1 ``(steps, images, neurons)``; membrane potential after the last step, int32 ``(images,
        neurons)``; and, where traced, ``u`` and ``v`` after every step, int32 ``(steps, images, neurons)``.
    """
    resets = np.zeros(len(a), bool) if resets is None else resets
    memoryless = None if trace or a.dtype == np.float64 else Memoryless.of(neuron, bias, reach)
    if memoryless is not None:
        return *run_memoryless(a, memoryless, resets, places), None, None
    places = places or Places.in_order(a.shape[2])
    given, (images, per, jobs, job) = (a, places.source, places.run), _jobs(a, places)
    spikes, v_end = np.empty(a.shape, np.uint8), np.zeros(a.shape[1:], np.int32)
    drive = np.ascontiguousarray(bias.astype(np.int32) << _SHIFT)
    threshold = _I32(neuron.threshold << STATE_SHIFT)
    keep_u, keep_v = keeps(neuron, a.shape[2])
    narrow = reach < NARROW_REACH and a.dtype != np.float64 and neuron.uniform
    shape = a.shape if trace else (0, 0, 0)
    u_trace, v_trace = np.empty(shape, np.int32), np.empty(shape, np.int32)
    rest = (threshold, resets, np.zeros_like(v_end), v_end, spikes, u_trace, v_trace)
    if narrow:
        side_by_side(_narrow, jobs, *given, per, drive, keep_u[0], keep_v[0], *rest, nanoseconds=job)
    else:
        each = a[:, 0].size / _WIDE_PER_NANOSECOND
        side_by_side(_wide, images, *given, drive, keep_u, keep_v, *rest, _I64(_WORD - bits), nanoseconds=each)
    return spikes, v_end, *((u_trace, v_trace) if trace else (None, None))

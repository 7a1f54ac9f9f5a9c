"""Neurons that feed back into their own layer: step after step, each spike adding the weights that leave it.

A feed-forward layer takes the sums of its whole window at once. Here the sums of a step need the spikes of the step
before, so neurons and synapses take turns; only the weights that exist are touched, and only those of neurons that
fired. Images run side by side.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from esvae.arrays import Bool, Int32, Integer, Real, Shaped, UInt8
from esvae.chip.formats import STATE_SHIFT
from esvae.machine.jit import kernel, side_by_side
from export.ir import Lif
from sim.twin.lif_kernel import at_rest, keeps, record, wide_step

__all__ = ["Loop"]

_I32, _I64 = np.int32, np.int64


@kernel(nogil=True)
def _run(
    begin: Any,
    end: Any,
    a: Any,
    bias: Any,
    first: Any,
    targets: Any,
    weight: Any,
    keep_u: Any,
    keep_v: Any,
    threshold: Any,
    resets: Any,
    u_end: Any,
    v_end: Any,
    sent_by: Any,
    spikes: Any,
    u_trace: Any,
    v_trace: Any,
) -> None:
    """``targets[first[j]:first[j + 1]]`` are the neurons that neuron j reaches, ``weight`` with what."""
    steps, _, neurons = a.shape
    traced = u_trace.shape[0] == steps
    for n in range(begin, end):
        u, v, sent = u_end[n], v_end[n], sent_by[n]
        drive = bias[n % bias.shape[0]]
        for t in range(steps):
            sums, out = a[t, n], spikes[t, n]
            if resets[t]:
                at_rest(u, 0, neurons)
                at_rest(v, 0, neurons)
            for c in range(neurons):
                u[c], potential = wide_step(u[c], v[c], _I64(sums[c]) + sent[c], drive[c], keep_u[c], keep_v[c])
                fired = potential > threshold
                v[c] = _I32(0) if fired else potential
                out[c] = np.uint8(1) if fired else np.uint8(0)
            for j in range(neurons):
                sent[j] = _I64(0)
            for j in range(neurons):
                if out[j] != 0:
                    for k in range(first[j], first[j + 1]):
                        sent[targets[k]] += weight[k]
            if traced:
                record(u, 0, neurons, u_trace[t, n])
                record(v, 0, neurons, v_trace[t, n])


class Loop:
    """The synapses from a layer's neurons to themselves, ready to run.

    Args:
        recurrent: ``(to, from)``.
    """

    def __init__(self, recurrent: Integer[np.ndarray, "neurons neurons"]) -> None:
        self._recurrent = recurrent
        sources, self._targets = np.nonzero(recurrent.T)
        self._weight = recurrent[self._targets, sources].astype(np.int32)
        self._first = np.searchsorted(sources, np.arange(len(recurrent) + 1))

    def matrix(self, like: torch.Tensor) -> Shaped[torch.Tensor, "neurons neurons"]:
        """The weights ``(from, to)``, of the type and on the device of a tensor."""
        return torch.from_numpy(np.ascontiguousarray(self._recurrent.T)).to(like.device, like.dtype)

    def run(
        self,
        a: Real[np.ndarray, "steps images neurons"],
        bias: Integer[np.ndarray, "_images neurons"],
        neuron: Lif,
        *,
        resets: Bool[np.ndarray, " steps"],
        trace: bool,
    ) -> tuple[
        UInt8[np.ndarray, "steps images neurons"],
        Int32[np.ndarray, "images neurons"],
        Int32[np.ndarray, "steps images neurons"] | None,
        Int32[np.ndarray, "steps images neurons"] | None,
    ]:
        """As :func:`sim.twin.lif_kernel.run_lif`; ``a`` holds what comes from the layer before."""
        spikes, v_end = np.empty(a.shape, np.uint8), np.zeros(a.shape[1:], np.int32)
        shape = a.shape if trace else (0, 0, 0)
        u_trace, v_trace = np.empty(shape, np.int32), np.empty(shape, np.int32)
        side_by_side(
            _run,
            a.shape[1],
            a,
            np.ascontiguousarray(bias.astype(np.int32) << STATE_SHIFT),
            self._first,
            self._targets,
            self._weight,
            *keeps(neuron, a.shape[2]),
            _I32(neuron.threshold << STATE_SHIFT),
            resets,
            np.zeros_like(v_end),
            v_end,
            np.zeros(v_end.shape, np.int64),
            spikes,
            u_trace,
            v_trace,
        )
        return spikes, v_end, *((u_trace, v_trace) if trace else (None, None))

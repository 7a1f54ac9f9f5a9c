"""The integer neuron in torch's own operations, for devices that numba does not serve; slower, and equal."""

from __future__ import annotations

import numpy as np
import torch

from esvae.arrays import Bool, Float, Int32, Integer, UInt8
from esvae.chip.formats import DECAY_SHIFT, DECAY_UNITY, REGISTER_BITS, STATE_LIMIT, STATE_SHIFT, STATE_WRAP
from export.ir import Lif

__all__ = ["run_lif_torch"]


def _wrapped(x: torch.Tensor, bits: int) -> torch.Tensor:
    half = 1 << (bits - 1)
    return (x + half).remainder_(1 << bits).sub_(half)


def _decayed(x: torch.Tensor, keep: torch.Tensor, forgets: bool) -> torch.Tensor:
    return torch.zeros_like(x) if forgets else x.sign() * ((x.abs() * keep) >> DECAY_SHIFT)


def run_lif_torch(
    a: Float[torch.Tensor, "steps images neurons"],
    bias: Integer[torch.Tensor, "_images neurons"],
    neuron: Lif,
    *,
    resets: Bool[np.ndarray, " steps"],
    bits: int = REGISTER_BITS,
    trace: bool = False,
    recurrent: Float[torch.Tensor, "neurons neurons"] | None = None,
) -> tuple[
    UInt8[torch.Tensor, "steps images neurons"],
    Int32[torch.Tensor, "images neurons"],
    Int32[torch.Tensor, "steps images neurons"] | None,
    Int32[torch.Tensor, "steps images neurons"] | None,
]:
    """As :func:`sim.twin.lif_kernel.run_lif`, on whatever device ``a`` lies, in 64 bit throughout.

    Args:
        a: sums of weights, whole numbers in a float type, ``(steps, images, neurons)``; **overwritten**.
        bias: bias mantissas, int32 or int64, ``(1 or images, neurons)``.
        neuron, resets, bits, trace: as there.
        recurrent: weights from the layer's neurons of the step before, ``(from, to)``, of a's type, or None.
    """
    u = torch.zeros(a.shape[1:], dtype=torch.int64, device=a.device)
    v = torch.zeros_like(u)
    drive = bias << STATE_SHIFT
    forget_u, forget_v = (bool((lost == DECAY_UNITY).all()) for lost in neuron.decays)
    keep_u, keep_v = (torch.as_tensor(DECAY_UNITY - lost, device=a.device) for lost in neuron.decays)
    kept: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
    for t in range(len(a)):
        if resets[t]:
            u, v = torch.zeros_like(u), torch.zeros_like(v)
        if recurrent is not None and t:
            a[t] += a[t - 1] @ recurrent
        sums = _wrapped(a[t].to(torch.int64), bits)
        u = _wrapped(_decayed(u, keep_u, forget_u) + (sums << STATE_SHIFT), REGISTER_BITS)
        u = torch.where(u > STATE_LIMIT, u - STATE_WRAP, torch.where(u <= -STATE_LIMIT, u + STATE_WRAP, u))
        v = _wrapped(_decayed(v, keep_v, forget_v) + u + drive, REGISTER_BITS)
        v = v.clamp_(1 - STATE_LIMIT, STATE_LIMIT - 1)
        fired = v > neuron.threshold << STATE_SHIFT
        v = v.masked_fill(fired, 0)
        a[t] = fired.to(a.dtype)
        if trace:
            kept[0].append(u.to(torch.int32))
            kept[1].append(v.to(torch.int32))
    traces = tuple(torch.stack(states) for states in kept) if trace else (None, None)
    return a.to(torch.uint8), v.to(torch.int32), traces[0], traces[1]

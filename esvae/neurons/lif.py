"""The float leaky integrate-and-fire neuron over a whole window, with its surrogate gradient.

::

    u_t = keep * u_{t-1} * (1 - o_{t-1}) + x_t
    o_t = u_t > threshold
    do/du = 1 / (2 * width) where |u| < width, else 0

(ESVAE, eq. 1 to 3; the surrogate is centred on zero, as in the official code.) ``keep`` and ``threshold`` have a
gradient too where they are tensors; a spike's by the threshold is that by ``u``, negative. Forward and backward each
walk through time once. On the CPU numba compiles them; elsewhere they are torch operations step by step. Both give the
same values.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch

from esvae.arrays import Float
from esvae.chip.lif import Scalar, number_gradients
from esvae.machine.jit import kernel

__all__ = ["lif"]

_BLOCK = 2048  # neurons that one thread works on at a time


@kernel(parallel=True, error_model="numpy")
def _forward(x: Any, keep: Any, threshold: Any, u: Any, o: Any) -> None:
    drives = x.shape[0]
    steps, size = u.shape
    for number in numba.prange((size + _BLOCK - 1) // _BLOCK):
        low, high = number * _BLOCK, min((number + 1) * _BLOCK, size)
        for t in range(steps):
            drive = x[min(t, drives - 1)]
            for i in range(low, high):
                value = drive[i]
                if t > 0:
                    value += keep * u[t - 1, i] * (1 - o[t - 1, i])
                u[t, i] = value
                o[t, i] = 1 if value > threshold else 0


@kernel(parallel=True, error_model="numpy")
def _backward(grad: Any, u: Any, keep: Any, threshold: Any, width: Any, gx: Any, numbers: Any) -> None:
    """Gradient ``gx (drives, size)``; where wanted, ``numbers (blocks, 2)``, those of ``keep`` and ``threshold``."""
    drives = gx.shape[0]
    steps, size = u.shape
    slope = 1 / (2 * width)
    for number in numba.prange((size + _BLOCK - 1) // _BLOCK):
        low, high = number * _BLOCK, min((number + 1) * _BLOCK, size)
        carry = np.zeros(high - low, gx.dtype)
        for step in range(steps):
            t = steps - 1 - step
            into = gx[min(t, drives - 1)]
            if len(numbers):
                for i in range(low, high):
                    later = carry[i - low]
                    inside = slope if abs(u[t, i]) < width else 0.0
                    silent = 0.0 if u[t, i] > threshold else 1.0
                    numbers[number, 0] += silent * u[t, i] * later
                    numbers[number, 1] -= inside * (grad[t, i] - keep * u[t, i] * later)
            for i in range(low, high):
                later = carry[i - low]
                inside = slope if abs(u[t, i]) < width else 0.0
                silent = 0.0 if u[t, i] > threshold else 1.0
                here = inside * (grad[t, i] - keep * u[t, i] * later) + keep * silent * later
                carry[i - low] = here
                into[i] += here


class _Lif(torch.autograd.Function):
    """Works on ``(drives, size)`` to ``(steps, size)``, both contiguous."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, steps: int, keep: Scalar, threshold: Scalar, width: float) -> torch.Tensor:
        keep, threshold = float(keep), float(threshold)
        u = x.new_empty(steps, x.shape[1])
        o = torch.empty_like(u)
        if x.device.type == "cpu":
            kind = u.numpy().dtype.type
            _forward(x.detach().numpy(), kind(keep), kind(threshold), u.numpy(), o.numpy())
        else:
            for t in range(steps):
                u[t] = x[min(t, len(x) - 1)]
                if t > 0:
                    u[t] += keep * u[t - 1] * (1 - o[t - 1])
                o[t] = u[t] > threshold
        ctx.save_for_backward(u)
        ctx.drives, ctx.keep, ctx.threshold, ctx.width = len(x), keep, threshold, width
        return o

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (u,) = ctx.saved_tensors
        grad = grads[0].contiguous()
        gx = u.new_zeros(ctx.drives, u.shape[1])
        learns = any(ctx.needs_input_grad[2:4])
        numbers = torch.zeros(-(-u.shape[1] // _BLOCK) if learns else 0, 2, dtype=torch.float64, device=u.device)
        if u.device.type == "cpu":
            kind = u.numpy().dtype.type
            law = (kind(ctx.keep), kind(ctx.threshold), kind(ctx.width))
            _backward(grad.numpy(), u.numpy(), *law, gx.numpy(), numbers.numpy())
        else:
            carry = torch.zeros_like(u[0])
            for t in reversed(range(len(u))):
                inside = (u[t].abs() < ctx.width).to(u.dtype) / (2 * ctx.width)
                silent = (u[t] <= ctx.threshold).to(u.dtype)
                if learns:
                    by_spike = inside * (grad[t] - ctx.keep * u[t] * carry)
                    numbers[0] += torch.stack([(silent * u[t] * carry).sum(), -by_spike.sum()]).double()
                carry = inside * (grad[t] - ctx.keep * u[t] * carry) + ctx.keep * silent * carry
                gx[min(t, ctx.drives - 1)] += carry
        return gx, None, *number_gradients(numbers, ctx.needs_input_grad[2:4]), None


def lif(
    x: Float[torch.Tensor, " drives *neurons"],
    steps: int,
    *,
    keep: Scalar,
    threshold: Scalar,
    width: float,
    constant: bool = False,
) -> Float[torch.Tensor, " rows *neurons"]:
    """Spikes of LIF neurons that are at rest before the first step.

    Args:
        x: input current ``(steps * N, ...)``, time folded into the batch, outermost.
        steps: length of the window.
        keep: share of the membrane potential that survives a step; it and the next may be tensors ``()``.
        threshold: fires strictly above it.
        width: half-width of the rectangular surrogate gradient.
        constant: ``x`` is ``(N, ...)`` instead, the same current at every step (direct coding).

    Returns:
        0.0 or 1.0, ``(steps * N, ...)``, in the memory format of ``x``.
    """
    if x.dtype in (torch.float16, torch.bfloat16):
        x = x.float()  # mixed precision ends at the membrane
    channels_last = x.ndim == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    rows = x.permute(0, 2, 3, 1) if channels_last else x.contiguous()
    drives = 1 if constant else steps
    flat: torch.Tensor = _Lif.apply(rows.reshape(drives, -1), steps, keep, threshold, width)
    spikes = flat.reshape(steps * (len(rows) // drives), *rows.shape[1:])
    return spikes.permute(0, 3, 1, 2) if channels_last else spikes

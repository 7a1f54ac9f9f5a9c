"""The chip's integer LIF neuron over a whole window, with the float neuron's surrogate gradient.

Each step is :func:`esvae.chip.neuron.lif_step`. Every number in it is a whole number below 2^36, which float64 holds
exactly, so it computes in float64: the processor has vector instructions for that, and for none of the integer shifts.
Gradients are those of the float neuron in :mod:`esvae.neurons.lif`, in integer units: truncation, wrap and saturation
pass them on as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numba
import numpy as np
import torch

from esvae.arrays import Float, Real
from esvae.chip.formats import DECAY_UNITY, STATE_LIMIT, STATE_SHIFT, STATE_WRAP
from esvae.chip.neuron import Lif
from esvae.machine.jit import kernel

__all__ = ["Scalar", "integer_lif", "integer_readout", "number_gradients"]

#: A number of all neurons of a layer: a float, or a tensor ``()`` that is learned.
Scalar: TypeAlias = float | torch.Tensor

_ALIGN = float(1 << STATE_SHIFT)
_LIMIT, _WRAP, _UNITY = float(STATE_LIMIT), float(STATE_WRAP), float(DECAY_UNITY)


@kernel(parallel=True, error_model="numpy")
def _forward(a: Any, bias: Any, keep_u: float, keep_v: float, threshold: float, before: Any, o: Any, end: Any) -> None:
    """Potentials before the reset, spikes, and potentials at the end; ``before`` may have no steps."""
    steps, images, neurons = a.shape
    kept = before.shape[0] == steps
    fires = o.shape[0] == steps
    for n in numba.prange(images):
        u, v = np.zeros(neurons), np.zeros(neurons)
        for t in range(steps):
            for i in range(neurons):
                current = np.trunc(u[i] * keep_u / _UNITY) + np.rint(a[t, n, i]) * _ALIGN
                if current > _LIMIT:
                    current -= _WRAP
                elif current <= -_LIMIT:
                    current += _WRAP
                u[i] = current
                potential = np.trunc(v[i] * keep_v / _UNITY) + current + bias[i] * _ALIGN
                v[i] = min(max(potential, 1 - _LIMIT), _LIMIT - 1)
            if kept:
                for i in range(neurons):
                    before[t, n, i] = v[i]
            if fires:
                for i in range(neurons):
                    fired = v[i] > threshold
                    o[t, n, i] = 1.0 if fired else 0.0
                    v[i] = 0.0 if fired else v[i]
        for i in range(neurons):
            end[n, i] = v[i]


@kernel(parallel=True, error_model="numpy")
def _backward(
    grad: Any, before: Any, keep_u: float, keep_v: float, threshold: float, width: float, gv: Any, numbers: Any
) -> None:
    """Gradient of the potential's drive at every step; where wanted, ``numbers (images, 2)``, those of the share that
    the potential keeps and of the threshold."""
    steps, images, neurons = before.shape
    slope = 1 / (2 * width)
    for n in numba.prange(images):
        carry = np.zeros(neurons)
        for step in range(steps):
            t = steps - 1 - step
            if len(numbers):
                for i in range(neurons):
                    v, later = before[t, n, i], carry[i]
                    numbers[n, 0] += 0.0 if v > threshold else v * later
                    numbers[n, 1] -= (slope if abs(v) < width else 0.0) * (grad[t, n, i] - keep_v * v * later)
            for i in range(neurons):
                v, later = before[t, n, i], carry[i]
                inside = slope if abs(v) < width else 0.0
                silent = 0.0 if v > threshold else 1.0
                here = inside * (grad[t, n, i] - keep_v * v * later) + keep_v * silent * later
                carry[i] = here
                gv[t, n, i] = here


def _states(
    a: torch.Tensor, bias: torch.Tensor, neuron: Lif, *, fires: bool, keep: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Potentials before the reset ``(T or 0, N, P)``, spikes ``(T or 0, N, P)``, potentials at the end ``(N, P)``."""
    steps, shape = len(a), a.shape[1:]
    before, o = a.new_empty(steps if keep else 0, *shape), a.new_empty(steps if fires else 0, *shape)
    end = a.new_empty(shape)
    keep_u, keep_v = (float(DECAY_UNITY - lost) for lost in neuron.decays)
    threshold = _ALIGN * neuron.threshold
    if a.device.type == "cpu":
        _forward(a.numpy(), bias.double().numpy(), keep_u, keep_v, threshold, before.numpy(), o.numpy(), end.numpy())
        return before, o, end
    u = torch.zeros(shape, dtype=torch.float64, device=a.device)
    v = torch.zeros_like(u)
    for t in range(steps):
        u = (u * keep_u / _UNITY).trunc() + a[t].double().round() * _ALIGN
        u = torch.where(u > _LIMIT, u - _WRAP, torch.where(u <= -_LIMIT, u + _WRAP, u))
        v = ((v * keep_v / _UNITY).trunc() + u + bias.double() * _ALIGN).clamp(1 - _LIMIT, _LIMIT - 1)
        if keep:
            before[t] = v
        if fires:
            o[t] = v > threshold
            v = torch.where(v > threshold, 0.0, v)
    end.copy_(v)
    return before, o, end


class _IntegerLif(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, a: torch.Tensor, bias: torch.Tensor, keep: Scalar, threshold: Scalar, neuron: Lif, width: float
    ) -> torch.Tensor:
        before, o, _ = _states(a.detach(), bias.detach(), neuron, fires=True, keep=any(ctx.needs_input_grad))
        ctx.save_for_backward(before)
        ctx.neuron, ctx.width = neuron, width
        return o

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (before,) = ctx.saved_tensors
        neuron: Lif = ctx.neuron
        keep_u, keep_v, width = neuron.current_keep, neuron.keep, ctx.width
        threshold, gv = _ALIGN * neuron.threshold, torch.empty_like(before)
        grad, learns = grads[0].contiguous(), ctx.needs_input_grad[2:4]
        numbers = before.new_zeros(before.shape[1] if any(learns) else 0, 2, dtype=torch.float64)
        if before.device.type == "cpu":
            law = (keep_u, keep_v, threshold, width)
            _backward(grad.numpy(), before.numpy(), *law, gv.numpy(), numbers.numpy())
        else:
            carry = torch.zeros_like(before[0])
            for t in reversed(range(len(before))):
                inside = (before[t].abs() < width).to(before.dtype) / (2 * width)
                silent = (before[t] <= threshold).to(before.dtype)
                by_spike = inside * (grad[t] - keep_v * before[t] * carry)
                if any(learns):
                    numbers += torch.stack([(silent * before[t] * carry).sum(1), -by_spike.sum(1)], 1)
                carry = by_spike + keep_v * silent * carry
                gv[t] = carry
        by_law = number_gradients(numbers, learns)
        return _through_current(gv, keep_u) * _ALIGN, gv.sum((0, 1)) * _ALIGN, *by_law, None, None


class _IntegerReadout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: torch.Tensor, bias: torch.Tensor, keep: Scalar, neuron: Lif) -> torch.Tensor:
        before, _, end = _states(a.detach(), bias.detach(), neuron, fires=False, keep=ctx.needs_input_grad[2])
        ctx.save_for_backward(before)
        ctx.neuron, ctx.steps = neuron, len(a)
        return end

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        neuron: Lif = ctx.neuron
        keep_u, keep_v = neuron.current_keep, neuron.keep
        left = keep_v ** torch.arange(ctx.steps - 1, -1, -1, device=grads[0].device, dtype=grads[0].dtype)
        gv, (before,) = left[:, None, None] * grads[0], ctx.saved_tensors
        by_keep = (gv[1:].double() * before[:-1].double()).sum() if ctx.needs_input_grad[2] else None
        return _through_current(gv, keep_u) * _ALIGN, gv.sum((0, 1)) * _ALIGN, by_keep, None


def _through_current(gv: torch.Tensor, keep_u: float) -> torch.Tensor:
    """Gradient of the sums, from that of the potential's drive: the current hands on what it keeps."""
    if keep_u == 0:
        return gv
    ga = gv.clone()
    for t in reversed(range(len(ga) - 1)):
        ga[t] += keep_u * ga[t + 1]
    return ga


def number_gradients(
    parts: Float[torch.Tensor, "parts numbers"], wanted: Sequence[bool]
) -> tuple[Float[torch.Tensor, ""] | None, ...]:
    """Gradients of numbers of a layer, each the sum of its parts; None of those that are not wanted."""
    return tuple(parts[:, k].sum() if each else None for k, each in enumerate(wanted))


def integer_lif(
    a: Float[torch.Tensor, "steps images neurons"],
    bias: Real[torch.Tensor, " neurons"],
    neuron: Lif,
    width: float = math.inf,
    *,
    keep: Scalar = 0.0,
    threshold: Scalar = 0.0,
) -> Float[torch.Tensor, "steps images neurons"]:
    """Spikes of integer neurons that are at rest before the first step.

    Args:
        a: sums of integer weights, float32 or float64; what is off a whole number by less than a half, as products in
            float32 may be, is rounded to it.
        bias: whole numbers.
        neuron: parameters.
        width: half-width of the rectangular surrogate gradient around v = 0, in units of the potential.
        keep, threshold: tensors ``()`` that the neuron's were rounded from, the latter in units of the potential, which
            get the gradients of these; their values are not looked at.

    Returns:
        0.0 or 1.0.
    """
    spikes: torch.Tensor = _IntegerLif.apply(a.contiguous(), bias, keep, threshold, neuron, width)
    return spikes


def integer_readout(
    a: Float[torch.Tensor, "steps images neurons"],
    bias: Real[torch.Tensor, " neurons"],
    neuron: Lif,
    *,
    keep: Scalar = 0.0,
) -> Float[torch.Tensor, "images neurons"]:
    """Potentials after the last step, whole numbers, of neurons that do not fire; as :func:`integer_lif`."""
    potentials: torch.Tensor = _IntegerReadout.apply(a.contiguous(), bias, keep, neuron)
    return potentials

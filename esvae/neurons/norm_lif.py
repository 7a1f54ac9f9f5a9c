"""Batch norm and LIF in one pass over memory, forward and backward, for the CPU.

Computes what :class:`~esvae.model.threshold_norm.ThresholdNorm` followed by :func:`~esvae.neurons.lif.lif` computes.
Between the two lies no tensor: the membrane potential lives in a block that fits the cache, and the backward pass
computes it again from the input, so that a layer keeps its input and its spikes alone. What is left is memory traffic:
forward reads the input twice (statistics, then spikes) and writes the spikes; backward reads input and gradient and
writes one gradient twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numba
import numpy as np
import torch

from esvae.arrays import Float
from esvae.chip.lif import Scalar, number_gradients
from esvae.machine.jit import kernel
from esvae.neurons.bfloat16 import as_array, narrowed, widened

__all__ = ["DrivingNorm", "norm_lif"]

_BLOCK = 2048  # neurons whose potentials over the window are worked on at a time
_PARTS = 64  # of the rows, each summed by one thread: the same for any number of threads, and so is the sum
_ROWS = 128  # rows whose sums are taken in the tensor's own precision, before they go on in float64


@kernel(parallel=True, error_model="numpy")
def _moments(x: Any, origin: Any, sums: Any) -> None:
    """Per part of the rows of ``x (rows, C)``: sums ``(parts, 2, C)`` of ``x - origin`` and of its square."""
    parts = sums.shape[0]
    rows, channels = x.shape
    for part in numba.prange(parts):
        low, high = part * rows // parts, (part + 1) * rows // parts
        first = np.zeros(channels, origin.dtype)
        second = np.zeros(channels, origin.dtype)
        for start in range(low, high, _ROWS):
            first[:] = 0
            second[:] = 0
            for r in range(start, min(start + _ROWS, high)):
                for c in range(channels):
                    value = widened(x[r, c]) - origin[c]
                    first[c] += value
                    second[c] += value * value
            for c in range(channels):
                sums[part, 0, c] += first[c]
                sums[part, 1, c] += second[c]


@kernel(parallel=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _plane_moments(x: Any, origin: Any, sums: Any) -> None:
    """As :func:`_moments`, for ``x (images, C, plane)``."""
    parts = sums.shape[0]
    images, channels, plane = x.shape
    for part in numba.prange(parts):
        for n in range(part * images // parts, (part + 1) * images // parts):
            for c in range(channels):
                first = origin.dtype.type(0)
                second = origin.dtype.type(0)
                for i in range(plane):
                    value = widened(x[n, c, i]) - origin[c]
                    first += value
                    second += value * value
                sums[part, 0, c] += first
                sums[part, 1, c] += second


@kernel(parallel=True, error_model="numpy")
def _forward(x: Any, scale: Any, shift: Any, keep: Any, threshold: Any, steps: int, shares: Any, o: Any) -> None:
    """Spikes ``o (steps, size)`` of ``x (drives, size)``, or their sum ``(1, size)`` over time, weighted by ``shares``.

    ``scale`` and ``shift`` are laid out over a period, which begins anew after its last element.
    """
    drives = x.shape[0]
    size = x.shape[1]
    period = scale.shape[0]
    pieces = (period + _BLOCK - 1) // _BLOCK
    for number in numba.prange((size + period - 1) // period * pieces):
        offset = number % pieces * _BLOCK
        low = number // pieces * period + offset
        width = max(0, min(_BLOCK, period - offset, size - low))
        by, plus = scale[offset : offset + width], shift[offset : offset + width]
        kept = np.zeros(width, scale.dtype)
        for t in range(steps):
            drive = x[min(t, drives - 1), low : low + width]
            if len(shares) == 0:
                out = o[t, low : low + width]
                for i in range(width):
                    u = widened(drive[i]) * by[i] + plus[i] + kept[i]
                    fired = u > threshold
                    out[i] = narrowed(1 if fired else 0, out)
                    kept[i] = 0 if fired else keep * u
            else:
                out = o[0, low : low + width]
                share = shares[t]
                for i in range(width):
                    u = widened(drive[i]) * by[i] + plus[i] + kept[i]
                    fired = u > threshold
                    out[i] += share if fired else 0
                    kept[i] = 0 if fired else keep * u


@kernel(parallel=True, error_model="numpy")
def _backward(
    grad: Any,
    x: Any,
    scale: Any,
    shift: Any,
    keep: Any,
    threshold: Any,
    half: Any,
    weights: Any,
    channel: Any,
    mean: Any,
    gy: Any,
    sums: Any,
    numbers: Any,
) -> None:
    """Gradient ``gy (drives, size)`` at the norm's output, as precise as ``x``; sums ``(blocks, 2, C)`` of it, and of
    it times x - mean, before it is rounded to that.

    ``grad`` is ``(steps, size)``, or ``(1, size)``, the same at every step but for its ``weights (steps,)``. Where
    wanted, ``numbers (blocks, 2)`` gets the gradients of ``keep`` and ``threshold``.
    """
    drives = x.shape[0]
    steps, size = len(weights), x.shape[1]
    channels = mean.shape[0]
    slope = 1 / (2 * half)
    period = scale.shape[0]
    pieces = (period + _BLOCK - 1) // _BLOCK
    for number in numba.prange((size + period - 1) // period * pieces):
        offset = number % pieces * _BLOCK
        low = number // pieces * period + offset
        width = max(0, min(_BLOCK, period - offset, size - low))
        by, plus = scale[offset : offset + width], shift[offset : offset + width]
        u = np.empty((steps, width), scale.dtype)
        kept = np.zeros(width, scale.dtype)
        for t in range(steps):
            drive = x[min(t, drives - 1), low : low + width]
            for i in range(width):
                value = widened(drive[i]) * by[i] + plus[i] + kept[i]
                u[t, i] = value
                kept[i] = 0 if value > threshold else keep * value
        later = np.zeros(width, scale.dtype)
        by_law = np.zeros((2, width if len(numbers) else 0), scale.dtype)
        total = np.zeros(width, scale.dtype)
        part = np.zeros(width, scale.dtype)
        for step in range(steps):
            t = steps - 1 - step
            come = grad[min(t, grad.shape[0] - 1), low : low + width]
            weight = weights[t]
            if len(numbers):
                for i in range(width):
                    value = u[t, i]
                    inside = slope if abs(value) < half else 0
                    by_law[1, i] -= inside * (weight * widened(come[i]) - keep * value * later[i])
                    by_law[0, i] += 0 if value > threshold else value * later[i]
            for i in range(width):
                value = u[t, i]
                inside = slope if abs(value) < half else 0
                silent = 0 if value > threshold else keep
                later[i] = inside * (weight * widened(come[i]) - keep * value * later[i]) + silent * later[i]
                total[i] += later[i]
            if drives > 1:
                drive, into = x[t, low : low + width], gy[t, low : low + width]
                for i in range(width):
                    part[i] += later[i] * widened(drive[i])
                    into[i] = narrowed(later[i], into)
        if drives == 1:
            drive, into = x[0, low : low + width], gy[0, low : low + width]
            for i in range(width):
                part[i] = total[i] * widened(drive[i])
                into[i] = narrowed(total[i], into)
        of = channel[offset : offset + width]
        first = np.zeros(channels, np.float64)
        second = np.zeros(channels, np.float64)
        for i in range(width):
            first[of[i]] += total[i]
            second[of[i]] += part[i]
        for c in range(channels):
            sums[number, 0, c] = first[c]
            sums[number, 1, c] = second[c] - mean[c] * first[c]
        for i in range(by_law.shape[1]):
            numbers[number, 0] += by_law[0, i]
            numbers[number, 1] += by_law[1, i]


@kernel(parallel=True, error_model="numpy")
def _through_norm(gy: Any, x: Any, scale: Any, by_x: Any, constant: Any) -> None:
    """``gy * scale + x * by_x + constant``, in place; all three are laid out over a period."""
    drives, size = gy.shape
    period = scale.shape[0]
    pieces = (period + _BLOCK - 1) // _BLOCK
    for number in numba.prange((size + period - 1) // period * pieces):
        offset = number % pieces * _BLOCK
        low = number // pieces * period + offset
        width = max(0, min(_BLOCK, period - offset, size - low))
        times, more, plus = (
            scale[offset : offset + width],
            by_x[offset : offset + width],
            constant[offset : offset + width],
        )
        for d in range(drives):
            into = gy[d, low : low + width]
            drive = x[d, low : low + width]
            for i in range(width):
                by_norm = widened(into[i]) * times[i] + widened(drive[i]) * more[i] + plus[i]
                into[i] = narrowed(by_norm, into)


@dataclass(frozen=True)
class _Layout:
    """Where the channels of an image lie in memory.

    Attributes:
        channels: how many.
        plane: elements of one channel that lie beside each other: 1 where channels are innermost, else H * W.
    """

    channels: int
    plane: int

    def over_period(self, values: np.ndarray, kind: Any) -> np.ndarray:
        """Values by channel for every element of a whole number of images (or pixels), about ``_BLOCK`` or more."""
        repeats = max(1, _BLOCK // (self.channels * self.plane))
        with np.errstate(over="ignore"):  # of a training that diverges, which its loss tells
            return np.tile(np.repeat(values.astype(kind), self.plane), repeats)

    def moments(self, x: np.ndarray, kind: Any) -> tuple[np.ndarray, np.ndarray]:
        """Mean and biased variance ``(C,)``, float64, of ``x (drives, size)``, summed as ``kind``."""
        sums = np.zeros((_PARTS, 2, self.channels))
        planes = x.reshape(-1, self.channels, self.plane)
        origin = widened(planes[0, :, 0]).astype(kind)  # near the mean, against cancellation
        if self.plane == 1:
            _moments(planes[:, :, 0], origin, sums)
        else:
            _plane_moments(planes, origin, sums)
        first, second = sums.sum(0) / (x.size // self.channels)
        return origin + first, np.maximum(second - first * first, 0)


class _NormLif(torch.autograd.Function):
    """Works on ``(drives, size)``."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        offset: torch.Tensor | None,
        keep: Scalar,
        threshold: Scalar,
        mean: np.ndarray,
        variance: np.ndarray,
        layout: _Layout,
        shares: np.ndarray | None,
        settings: tuple[int, float, float, bool, torch.dtype],
    ) -> torch.Tensor:
        steps, _, eps, _, kept_as = settings
        deviation = np.sqrt(variance + eps)
        scale = weight.detach().double().numpy() / deviation
        shift = bias.detach().double().numpy() - scale * mean
        o = torch.empty(steps, x.shape[1], dtype=kept_as) if shares is None else weight.new_zeros(1, x.shape[1])
        kind = as_array(weight).dtype.type
        weights = np.empty(0, kind) if shares is None else shares.astype(kind)
        blocks = (layout.over_period(scale, kind), layout.over_period(shift, kind))
        ctx.law = law = (kind(float(keep)), kind(float(threshold)))
        _forward(as_array(x), *blocks, *law, steps, weights, as_array(o))
        ctx.save_for_backward(x)
        ctx.weights = np.ones(steps, kind) if shares is None else weights
        ctx.layout, ctx.settings, ctx.dtype, ctx.blocks = layout, settings, weight.dtype, blocks
        ctx.mean, ctx.deviation, ctx.scale = mean, deviation, scale
        return o

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        _, half, _, batch_statistics, _ = ctx.settings
        drive, layout = as_array(x), ctx.layout
        scale, shift = ctx.blocks
        channels, kind = layout.channels, scale.dtype.type
        by_drive = torch.empty_like(x)
        gy = as_array(by_drive)
        blocks = -(-drive.shape[1] // len(scale)) * -(-len(scale) // _BLOCK)
        sums, learns = np.empty((blocks, 2, channels)), ctx.needs_input_grad[4:6]
        numbers = np.zeros((blocks if any(learns) else 0, 2))
        channel = layout.over_period(np.arange(channels), np.int64)
        grad = as_array(grads[0].contiguous())
        law = (*ctx.law, kind(half))
        _backward(grad, drive, scale, shift, *law, ctx.weights, channel, ctx.mean, gy, sums, numbers)
        by_bias, by_centred = sums.sum(0)
        by_x = constant = np.zeros(channels)
        if batch_statistics:  # which depend on x too
            count = drive.size // channels
            by_x = -ctx.scale * by_centred / (ctx.deviation**2 * count)
            constant = -ctx.scale * by_bias / count - by_x * ctx.mean
        _through_norm(gy, drive, scale, layout.over_period(by_x, kind), layout.over_period(constant, kind))
        by_weight = torch.from_numpy(by_centred / ctx.deviation).to(ctx.dtype)
        by_offset = None
        if ctx.needs_input_grad[3]:  # which batch statistics take away again
            by_offset = torch.from_numpy(by_bias * (0 if batch_statistics else ctx.scale)).to(ctx.dtype)
        shift = torch.from_numpy(by_bias).to(ctx.dtype)
        by_law = number_gradients(torch.from_numpy(numbers), learns)
        return by_drive, by_weight, shift, by_offset, *by_law, None, None, None, None, None


class DrivingNorm(NamedTuple):
    """A batch norm ``weight * (x - mean) / sqrt(variance + eps) + bias``.

    Attributes:
        weight, bias: ``(channels,)``.
        mean, variance: ``(channels,)``, running; used in evaluation, updated in place in training by ``momentum``.
        training: takes the statistics of what it is given, over all but the channels.
    """

    weight: Float[torch.Tensor, " channels"]
    bias: Float[torch.Tensor, " channels"]
    mean: Float[torch.Tensor, " channels"]
    variance: Float[torch.Tensor, " channels"]
    momentum: float
    eps: float
    training: bool

    @classmethod
    def of(cls, norm: Any) -> DrivingNorm:
        """A :class:`~esvae.model.threshold_norm.ThresholdNorm`, its threshold taken into the weight."""
        scale = norm.weight * norm.threshold
        return cls(scale, norm.bias, norm.running_mean, norm.running_var, norm.momentum, norm.eps, norm.training)


def norm_lif(
    x: Float[torch.Tensor, "drives channels *map"],
    steps: int,
    norm: DrivingNorm,
    neuron: tuple[Scalar, Scalar, float],
    *,
    constant: bool = False,
    shares: Float[torch.Tensor, " steps"] | None = None,
    offset: Float[torch.Tensor, " channels"] | None = None,
    kept_as: torch.dtype | None = None,
) -> Float[torch.Tensor, "rows channels *map"]:
    """Spikes of LIF neurons that are driven by a batch norm.

    Args:
        x: on the CPU, ``(steps * N, C, ...)``, or ``(N, C, ...)``, the same at every step, where ``constant``; of the
            norm's precision, in which all is computed, or bfloat16 beside a norm in float32. So is its gradient.
        steps: length of the window.
        norm: what drives the neurons.
        neuron: ``keep``, ``threshold`` and ``width``, see :func:`~esvae.neurons.lif.lif`.
        constant: see above.
        shares: gives the sum of the spikes over time, weighted by them, instead of the spikes.
        offset: to be thought of as added to ``x``.
        kept_as: the spikes' precision, which their gradient has too: that of ``x`` unless given.

    Returns:
        0.0 or 1.0, ``(steps * N, C, ...)``, or, with ``shares``, ``(N, C, ...)``; in the memory format of ``x``.
    """
    channels, drives = x.shape[1], 1 if constant else steps
    innermost = x.ndim == 4 and not x.is_contiguous()
    rows = x.permute(0, 2, 3, 1) if innermost else x
    layout = _Layout(channels, 1 if innermost else math.prod(x.shape[2:]))
    flat = rows.contiguous().reshape(drives, -1)
    added = 0.0 if offset is None else offset.detach().double().numpy()
    if norm.training:
        mean, variance = layout.moments(as_array(flat), as_array(norm.weight).dtype)
        # Shown at every step or not, the window has this many values.
        count = x.numel() // channels * (steps if constant else 1)
        unbiased = variance * (count / (count - 1)) if count > 1 else variance
        for kept, new in ((norm.mean, mean + added), (norm.variance, unbiased)):
            kept.lerp_(torch.from_numpy(new).to(kept.dtype), norm.momentum)
    else:
        mean, variance = (value.double().numpy() for value in (norm.mean, norm.variance))
        mean = mean - added
    keep, threshold, width = neuron
    settings = (steps, width, norm.eps, norm.training, kept_as or x.dtype)
    over_time = None if shares is None else shares.numpy()
    spikes: torch.Tensor = _NormLif.apply(
        flat, norm.weight, norm.bias, offset, keep, threshold, mean, variance, layout, over_time, settings
    )
    shaped = spikes.reshape(len(rows) // drives * len(spikes), *rows.shape[1:])
    return shaped.permute(0, 3, 1, 2) if innermost else shaped

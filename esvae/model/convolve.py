"""The sums of spiking layers on the CPU: convolutions in float32 or bfloat16, forward and backward, each by the fastest
product there is.

- While training, sums of few spikes, and the gradient by their kernel, cost what fires (:mod:`esvae.model.event_sums`).
- A transposed convolution is the input gradient of a convolution with the same kernel; its own input gradient is that
  convolution, and its kernel's gradient that convolution's. In float32 all three are fast, with channels innermost,
  while torch's transposed convolution takes four times as long forward and converts layouts backward.
- Processors that multiply bfloat16 (AVX512-BF16, AMX) do so twice as fast as float32, or more. A spike, 0 or 1, is
  exact in it. torch's autocast takes norm and neurons into it too, which loses more than the products gain: here both
  stay in float32, in their one pass.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from esvae.arrays import Float
from esvae.model.event_sums import ConvSettings, event_gradient, event_sums, few_events
from esvae.model.expand import Expand

__all__ = ["has_sums", "sums_without_bias"]

#: Places of a map, below which there are more weights than images make up for.
_SMALL = 16


class _Sums(torch.autograd.Function):
    """A convolution of ``x (N, Cin, H, W)``, transposed or not, ``x`` and its sums of one precision.

    So are weights, but for sums by events, which take them as they are.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, settings: ConvSettings, kind: torch.dtype, events: bool
    ) -> torch.Tensor:
        ctx.settings, ctx.kinds = settings, (x.dtype, weight.dtype)
        factors = _innermost(x, kind), _innermost(weight, kind)
        ctx.save_for_backward(*factors)
        few, ctx.few = few_events(factors[0], weight, settings) if events else (False, False)
        return event_sums(factors[0], weight, settings) if few else _innermost(_dense(*factors, settings), kind)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (x, weight), settings = ctx.saved_tensors, ctx.settings
        grad, (by_x, by_weight) = _innermost(grads[0], x.dtype), ctx.needs_input_grad[:2]
        apart = event_gradient if ctx.few else _matrix_gradient if _by_matrix(grad, x, settings) else None
        gradients = _dense_gradients(grad, x, weight, settings, (by_x, by_weight and apart is None))
        if by_weight and apart is not None:
            gradients = gradients[0], apart(x, grad, weight.shape[2:], settings)
        turned = (None if one is None else one.to(kind) for one, kind in zip(gradients, ctx.kinds, strict=True))
        return *turned, None, None, None


def _innermost(x: torch.Tensor, kind: torch.dtype) -> torch.Tensor:
    """Channels innermost, which is how all of it is fast."""
    return x.to(kind).contiguous(memory_format=torch.channels_last)


def _turned(x: torch.Tensor, settings: ConvSettings) -> bool:
    """Whether a transposed convolution is computed by the one whose input gradient it is, where there is one."""
    stride, _, _, transposed, more, _ = settings
    return transposed and x.dtype != torch.bfloat16 and all(o < s for o, s in zip(more, stride, strict=True))


def _dense(x: torch.Tensor, weight: torch.Tensor, settings: ConvSettings) -> torch.Tensor:
    if not _turned(x, settings):
        sums: torch.Tensor = torch.ops.aten.convolution(x, weight, None, *settings)
        return sums
    stride, padding, dilation, _, more, groups = settings
    spans = zip(x.shape[2:], weight.shape[2:], stride, padding, dilation, more, strict=True)
    size = [(m - 1) * s - 2 * p + d * (k - 1) + 1 + o for m, k, s, p, d, o in spans]
    like = torch.empty(
        len(x), groups * weight.shape[1], *size, dtype=x.dtype, memory_format=torch.channels_last
    )  # not its values, which are not read
    return _gradients(x, like, weight, (*settings[:3], False, (0, 0), groups), (True, False))[0]


def _dense_gradients(
    grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, settings: ConvSettings, wanted: tuple[bool, bool]
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Gradients by either factor, those that are wanted."""
    if not _turned(x, settings):
        return _gradients(grad, x, weight, settings, wanted)
    stride, padding, dilation, _, _, groups = settings
    by_x = functional.conv2d(grad, weight, None, stride, padding, dilation, groups) if wanted[0] else None
    straight = (stride, padding, dilation, False, (0, 0), groups)
    return by_x, _gradients(x, grad, weight, straight, (False, True))[1] if wanted[1] else None


def _gradients(
    grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, settings: ConvSettings, wanted: tuple[bool, bool]
) -> tuple[torch.Tensor, torch.Tensor]:
    found = torch.ops.aten.convolution_backward(grad, x, weight, None, *settings, [*wanted, False])
    return found[0], found[1]


def _by_matrix(grad: torch.Tensor, x: torch.Tensor, settings: ConvSettings) -> bool:
    """Whether the weight's gradient is faster as a product of matrices: in bfloat16 of many weights on small maps.

    Measured with AMX and with AVX512-BF16: 22 ms become 2.5, and 20 become 12, for 256 to 128 channels from 2x2 to
    4x4; 64 to 32 from 8x8 to 16x16 take twice as long.
    """
    *_, transposed, _, groups = settings
    small = x if transposed else grad
    return bool(x.dtype == torch.bfloat16 and groups == 1 and math.prod(small.shape[2:]) <= _SMALL)


def _matrix_gradient(x: torch.Tensor, grad: torch.Tensor, taps: torch.Size, settings: ConvSettings) -> torch.Tensor:
    """By the kernel: what each tap saw of the larger map, times the smaller one, summed over all places."""
    stride, padding, dilation, transposed, _, _ = settings
    large, small = (grad, x) if transposed else (x, grad)
    rows, columns = taps
    padded = functional.pad(large.permute(0, 2, 3, 1), (0, 0, padding[1], padding[1], padding[0], padding[0]))
    count, _, _, channels = padded.shape
    by_image, by_row, by_column, _ = padded.stride()
    seen = padded.as_strided(
        (count, *small.shape[2:], rows, columns, channels),
        (by_image, by_row * stride[0], by_column * stride[1], by_row * dilation[0], by_column * dilation[1], 1),
    )
    places = small.permute(0, 2, 3, 1).flatten(0, 2)
    summed = places.t() @ seen.reshape(len(places), -1)
    return summed.unflatten(1, (rows, columns, channels)).permute(0, 3, 1, 2)


def has_sums(synapse: nn.Module) -> bool:
    """Whether :func:`sums_without_bias` computes what this module does."""
    if not isinstance(synapse, nn.Conv2d | nn.ConvTranspose2d) or isinstance(synapse, Expand):
        return False
    return synapse.padding_mode == "zeros" and not isinstance(synapse.padding, str)


def sums_without_bias(
    synapse: nn.Conv2d | nn.ConvTranspose2d,
    x: Float[torch.Tensor, "batch before height width"],
    *,
    kind: torch.dtype | None = None,
    events: bool = False,
) -> Float[torch.Tensor, "batch after rows columns"]:
    """What a convolution gives without its bias.

    Args:
        synapse: the convolution.
        x: spikes, as a rule.
        kind: the precision of spikes and sums, and of their gradients: that of ``x`` unless given. Weights are rounded
            to it, but for sums by events.
        events: may compute what fires alone, where that is faster; sums then differ in how they are rounded.
    """
    transposed = isinstance(synapse, nn.ConvTranspose2d)
    settings = (
        synapse.stride,
        synapse.padding,
        synapse.dilation,
        transposed,
        synapse.output_padding if transposed else (0, 0),
        synapse.groups,
    )
    sums: torch.Tensor = _Sums.apply(x, synapse.weight, settings, kind or x.dtype, events)
    return sums

"""The decoder's stride-2 transposed convolution, fast on the CPU.

A transposed convolution is the input gradient of a convolution with the same kernel; its own input gradient is that
convolution, and its kernel's gradient that convolution's. All three exist as fast kernels with channels innermost,
while torch's transposed convolution takes four times as long forward and converts layouts backward.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from esvae.arrays import Float

__all__ = ["Upsample"]


class _Transposed(torch.autograd.Function):
    """Of ``x (N, Cin, H, W)`` and a kernel ``(Cin, Cout, k, k)``, to ``(N, Cout, stride * H, stride * W)``."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, stride: int, padding: int) -> torch.Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        weight = weight.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        shape = (len(x), weight.shape[1], stride * x.shape[2], stride * x.shape[3])
        like = torch.empty(
            shape, dtype=x.dtype, memory_format=torch.channels_last
        )  # not its values, which are not read
        return _gradients(x, like, weight, stride, padding, (True, False))[0]

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad = grads[0].contiguous(memory_format=torch.channels_last)
        by_x = by_weight = None
        if ctx.needs_input_grad[0]:
            by_x = functional.conv2d(grad, weight, None, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[1]:
            by_weight = _gradients(x, grad, weight, ctx.stride, ctx.padding, (False, True))[1]
        return by_x, by_weight, None, None


def _gradients(
    grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, stride: int, padding: int, wanted: tuple[bool, bool]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of a convolution of ``x`` with ``weight``: gradients by either, those that are wanted."""
    found = torch.ops.aten.convolution_backward(
        grad, x, weight, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1, [*wanted, False]
    )
    return found[0], found[1]


class Upsample(nn.ConvTranspose2d):
    """A 3x3 transposed convolution that doubles height and width.

    Takes ``(N, before, H, W)``, gives ``(N, after, 2 * H, 2 * W)``.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, 3, stride=2, padding=1, output_padding=1)

    def sums(
        self, x: Float[torch.Tensor, "batch before height width"]
    ) -> Float[torch.Tensor, "batch after rows columns"]:
        """What :meth:`forward` gives without the bias; on the CPU, in the precision of ``x``."""
        out: torch.Tensor = _Transposed.apply(x, self.weight, 2, 1)
        return out

"""Convolutions whose factors have bfloat16's 8 bits, forward and backward, for training on the CPU.

Processors that multiply bfloat16 do so twice as fast as float32, or more (AVX512-BF16, AMX). A spike, 0 or 1, is exact
in it. torch's autocast takes norm and neurons into it too, which loses more than the products gain: here both stay in
float32, in their one pass.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from esvae.arrays import Float
from esvae.model.expand import Expand

__all__ = ["half_sums", "has_half_sums"]


class _Half(torch.autograd.Function):
    """A convolution of ``x (N, Cin, H, W)``, transposed or not: sums in bfloat16, given in the precision of ``x``."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, settings: tuple[Any, ...]) -> torch.Tensor:
        ctx.settings, ctx.kind = settings, x.dtype
        factors = [
            tensor.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)  # which is how backward is fast
            for tensor in (x, weight)
        ]
        ctx.save_for_backward(*factors)
        sums: torch.Tensor = torch.ops.aten.convolution(*factors, None, *settings)
        return sums.to(x.dtype, memory_format=torch.channels_last)  # where x has one channel, they lie otherwise

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        grad = grads[0].to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
        wanted = [*ctx.needs_input_grad[:2], False]
        found = torch.ops.aten.convolution_backward(grad, *ctx.saved_tensors, None, *ctx.settings, wanted)
        return *(None if one is None else one.to(ctx.kind) for one in found[:2]), None


def has_half_sums(synapse: nn.Module) -> bool:
    """Whether :func:`half_sums` computes what this module does."""
    return isinstance(synapse, nn.Conv2d | nn.ConvTranspose2d) and not isinstance(synapse, Expand)


def half_sums(
    synapse: nn.Conv2d | nn.ConvTranspose2d, x: Float[torch.Tensor, "batch before height width"]
) -> Float[torch.Tensor, "batch after rows columns"]:
    """What a convolution gives without its bias, from factors in bfloat16; so are its gradients."""
    transposed = isinstance(synapse, nn.ConvTranspose2d)
    settings = (
        synapse.stride,
        synapse.padding,
        synapse.dilation,
        transposed,
        synapse.output_padding if transposed else (0, 0),
        synapse.groups,
    )
    sums: torch.Tensor = _Half.apply(x, synapse.weight, settings)
    return sums

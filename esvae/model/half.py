"""Convolutions whose factors have bfloat16's 8 bits, forward and backward, for training on the CPU.

Processors that multiply bfloat16 do so twice as fast as float32, or more (AVX512-BF16, AMX). A spike, 0 or 1, is exact
in it. torch's autocast takes norm and neurons into it too, which loses more than the products gain: here both stay in
float32, in their one pass.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from esvae.arrays import Float
from esvae.model.expand import Expand

__all__ = ["half_sums", "has_half_sums"]

#: Places of a map, below which there are more weights than images make up for.
_SMALL = 16


class _Half(torch.autograd.Function):
    """A convolution of ``x (N, Cin, H, W)``, transposed or not, factors and sums in bfloat16."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, settings: tuple[Any, ...]) -> torch.Tensor:
        ctx.settings, ctx.kinds = settings, (x.dtype, weight.dtype)
        factors = _innermost(x), _innermost(weight)
        ctx.save_for_backward(*factors)
        sums: torch.Tensor = torch.ops.aten.convolution(*factors, None, *settings)
        return _innermost(sums)  # where x has one channel, they lie otherwise

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        grad, (x, weight) = _innermost(grads[0]), ctx.saved_tensors
        by_x, by_weight = ctx.needs_input_grad[:2]
        product = by_weight and _by_product(grad, x, ctx.settings)
        found = torch.ops.aten.convolution_backward(
            grad, x, weight, None, *ctx.settings, [by_x, by_weight and not product, False]
        )
        gradients = found[0], _weight_gradient(grad, x, weight, ctx.settings) if product else found[1]
        return *(None if one is None else one.to(kind) for one, kind in zip(gradients, ctx.kinds, strict=True)), None


def _innermost(x: torch.Tensor) -> torch.Tensor:
    """In bfloat16, channels innermost, which is how all of it is fast."""
    return x.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)


def _by_product(grad: torch.Tensor, x: torch.Tensor, settings: tuple[Any, ...]) -> bool:
    """Whether the weight's gradient is faster as a product of matrices: of many weights on small maps.

    Measured with AMX and with AVX512-BF16: 22 ms become 2.5, and 20 become 12, for 256 to 128 channels from 2x2 to
    4x4; 64 to 32 from 8x8 to 16x16 take twice as long.
    """
    *_, transposed, _, groups = settings
    small = x if transposed else grad
    return bool(groups == 1 and small[0, 0].numel() <= _SMALL)


def _weight_gradient(
    grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, settings: tuple[Any, ...]
) -> torch.Tensor:
    """Of the weight's shape: what each tap saw of the larger map, times the smaller one, summed over all places."""
    stride, padding, dilation, transposed, _, _ = settings
    large, small = (grad, x) if transposed else (x, grad)
    _, _, rows, columns = weight.shape
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


def has_half_sums(synapse: nn.Module) -> bool:
    """Whether :func:`half_sums` computes what this module does."""
    return isinstance(synapse, nn.Conv2d | nn.ConvTranspose2d) and not isinstance(synapse, Expand)


def half_sums(
    synapse: nn.Conv2d | nn.ConvTranspose2d, x: Float[torch.Tensor, "batch before height width"]
) -> Float[torch.Tensor, "batch after rows columns"]:
    """What a convolution gives without its bias, in bfloat16, from factors in it; so are its gradients."""
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

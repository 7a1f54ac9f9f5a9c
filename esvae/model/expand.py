"""The decoder's first layer: a convolution on a 1x1 map, which is a matrix.

The same law on the side of the integer network is :func:`export.ir.geometry.matrix`; a test holds the two together.
"""

from __future__ import annotations

import torch
from torch import nn

from esvae.arrays import Float

__all__ = ["Expand", "expanded"]


def expanded(
    x: Float[torch.Tensor, "images inputs"] | Float[torch.Tensor, "images inputs 1 1"],
    weight: Float[torch.Tensor, "outputs inputs size size"],
) -> Float[torch.Tensor, "images outputs size size"]:
    """What a fully padded convolution makes of a 1x1 map, as the matrix product that it is.

    Args:
        x: ``(N, I)`` or ``(N, I, 1, 1)``.
        weight: ``(O, I, size, size)``, of a convolution padded by ``size - 1``.

    Returns:
        ``(N, O, size, size)``, channels innermost in memory.
    """
    matrix = weight.flip(2, 3).permute(1, 2, 3, 0)  # in, y, x, out
    sums = x.reshape(len(x), -1) @ matrix.reshape(len(matrix), -1)
    return sums.unflatten(1, matrix.shape[1:]).permute(0, 3, 1, 2)


class Expand(nn.Conv2d):
    """A full-padding convolution on a 1x1 map: a dense layer that yields a map and that netx loads as ``conv``.

    Takes ``(N, in_channels)`` or ``(N, in_channels, 1, 1)``, gives ``(N, out_channels, size, size)``.
    """

    def __init__(self, in_channels: int, out_channels: int, size: int) -> None:
        super().__init__(in_channels, out_channels, size, padding=size - 1)
        # Of the size^2 taps one is active for each output, so the fan-in is the channels alone.
        nn.init.uniform_(self.weight, -(in_channels**-0.5), in_channels**-0.5)

    def forward(
        self, x: Float[torch.Tensor, "images inputs"] | Float[torch.Tensor, "images inputs 1 1"]
    ) -> Float[torch.Tensor, "images outputs size size"]:
        assert self.bias is not None
        return expanded(x, self.weight) + self.bias[:, None, None]

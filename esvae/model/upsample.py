"""The decoder's stride-2 transposed convolution."""

from __future__ import annotations

from torch import nn

__all__ = ["Upsample"]


class Upsample(nn.ConvTranspose2d):
    """A 3x3 transposed convolution that doubles height and width.

    Takes ``(N, before, H, W)``, gives ``(N, after, 2 * H, 2 * W)``.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, 3, stride=2, padding=1, output_padding=1)

"""Weights of the sub-pixel readout that begin without a seam between cells."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["interpolate_pixels"]


@torch.no_grad()
def interpolate_pixels(readout: nn.Conv2d, upscale: int) -> None:
    """Sets a readout's weights so that its picture is the bilinear interpolation of one with a pixel a cell.

    Of each image channel the kernel of the first pixel of a cell is kept as torch drew it; those of all pixels are made
    of it (ICNR, Aitken et al., arXiv 1707.02937, has copies in their place). The interpolation reaches one cell further
    than the kernel, where it is cut off; the weights keep their standard deviation.

    Args:
        readout: to ``image channels * upscale^2`` maps, as ``pixel_shuffle`` orders them.
        upscale: pixels to a side of a cell.
    """
    weight, bias = readout.weight, readout.bias
    assert bias is not None
    deviation = weight.std()
    kept = weight.unflatten(0, (-1, upscale**2))[:, 0]  # (image channels, in, k, k)
    offsets = (torch.arange(upscale).to(weight) + 0.5) / upscale - 0.5  # of pixels from their cell's centre, in cells
    cells = torch.arange(weight.shape[-1]).to(weight)
    # What the tap of cell d gives to pixel p through the tap of cell c.
    share = (1 - (cells[:, None] - cells - offsets[:, None, None]).abs()).clamp_min(0)
    weight.copy_(torch.einsum("pyd,qxe,oide->opqiyx", share, share, kept).flatten(0, 2))
    weight.mul_(deviation / weight.std())
    bias.copy_(bias.unflatten(0, (-1, upscale**2))[:, :1].expand(-1, upscale**2).flatten())

"""What a picture can be asked for beside its mean squared error, so that edges and coarse shapes weigh more."""

from __future__ import annotations

import torch
from torch.nn import functional

from esvae.config import TrainConfig

__all__ = ["texture_error"]

_SCALES = (2, 4)  # that pictures are shrunk by


def texture_error(drawn: torch.Tensor, wanted: torch.Tensor, settings: TrainConfig) -> torch.Tensor:
    """The weighted sum of what ``train.edge_weight`` and ``train.coarse_weight`` ask for.

    Edges are the mean absolute error of the differences of neighbours, down and across (the gradient difference loss of
    Mathieu et al., ICLR 2016, with signs); coarse, the mean squared error after averaging over 2x2 and 4x4 pixels.

    Args:
        drawn, wanted: ``(N, C, H, W)``.

    Returns:
        Scalar; zero where neither has a weight.
    """
    error = drawn - wanted
    total = error.new_zeros(())
    if settings.edge_weight:
        total = total + settings.edge_weight * (error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean())
    if settings.coarse_weight:
        coarse = sum(functional.avg_pool2d(error, scale).square().mean() for scale in _SCALES)
        total = total + settings.coarse_weight * coarse
    return total

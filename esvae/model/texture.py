"""What a picture can be asked for beside its mean squared error, so that edges and coarse shapes weigh more."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch.nn import functional

from esvae.arrays import Float
from esvae.config import TrainConfig
from esvae.errors import ConfigError

__all__ = ["Encode", "texture_error"]

#: Codes ``(N, code)`` of images ``(N, C, H, W)``, with a gradient.
Encode: TypeAlias = Callable[[torch.Tensor], torch.Tensor]

_SCALES = (2, 4)  # that pictures are shrunk by


def texture_error(
    drawn: Float[torch.Tensor, "images channels height width"],
    wanted: Float[torch.Tensor, "images channels height width"],
    settings: TrainConfig,
    encode: Encode | None = None,
) -> Float[torch.Tensor, ""]:
    """The weighted sum of what ``train.edge_weight``, ``train.coarse_weight`` and ``train.feature_weight`` ask for.

    Edges are the mean absolute error of the differences of neighbours, down and across (the gradient difference loss of
    Mathieu et al., ICLR 2016, with signs); coarse, the mean squared error after averaging over 2x2 and 4x4 pixels;
    features, that of the codes (a perceptual loss, Johnson et al., ECCV 2016, in an autoencoder of the data set).

    Args:
        drawn, wanted: ``(N, C, H, W)``.
        settings: the weights.
        encode: for ``feature_weight``, see :func:`esvae.metrics.features.frozen`.

    Returns:
        Scalar; zero where none has a weight.

    Raises:
        ConfigError: ``feature_weight`` without ``encode``.
    """
    error = drawn - wanted
    total = error.new_zeros(())
    if settings.edge_weight:
        total = total + settings.edge_weight * (error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean())
    if settings.coarse_weight:
        coarse = sum(functional.avg_pool2d(error, scale).square().mean() for scale in _SCALES)
        total = total + settings.coarse_weight * coarse
    if settings.feature_weight:
        if encode is None:
            raise ConfigError("train.feature_weight: no autoencoder was given; esvae fad train CONFIG makes one")
        with torch.no_grad():
            codes = encode(wanted)
        total = total + settings.feature_weight * functional.mse_loss(encode(drawn), codes)
    return total

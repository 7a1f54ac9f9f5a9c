"""A layer's decay and threshold: numbers of the config, or learned ones that begin there, as ``model.learned`` says.

A learned share is a multiple of 1/4096 whenever it is used, as the chip's decay is a whole number of 4096ths, so that
nothing is lost where it is exported; rounding passes its gradient on as it is (straight-through). A threshold has the
grid of its layer's weights: in integers it is rounded with them, by :func:`esvae.chip.rounding.round_layer`, which
exporting calls too, and the gradient passes that likewise. Its logarithm is learned, as it must stay above zero.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import torch
from torch import nn

from esvae.chip.formats import DECAY_UNITY
from esvae.chip.lif import Scalar
from esvae.chip.neuron import FloatLif

__all__ = ["LEARNED_NUMBERS", "LearnedLif"]

#: Ends of the names of these parameters.
LEARNED_NUMBERS = (".raw_keep", ".log_threshold")


class _Share(torch.autograd.Function):
    """A number as the nearest share that the chip holds, 0 to 1."""

    @staticmethod
    def forward(ctx: Any, raw: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(raw)
        return (raw * DECAY_UNITY).round().clamp(0, DECAY_UNITY) / DECAY_UNITY

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        (raw,) = ctx.saved_tensors
        # A step goes against the gradient; one that would lead further out is not taken.
        outwards = ((raw < 0) & (grads[0] > 0)) | ((raw > 1) & (grads[0] < 0))
        return torch.where(outwards, 0.0, grads[0])


class LearnedLif(nn.Module):
    """What the neurons of one layer keep, and what they fire above.

    Args:
        start: of the config.
        learned: of ``keep`` and ``threshold``, what is learned.

    Attributes:
        raw_keep: float64 ``()``, before it is rounded; None where it is not learned.
        log_threshold: natural logarithm, likewise.
    """

    raw_keep: nn.Parameter | None
    log_threshold: nn.Parameter | None

    def __init__(self, start: FloatLif, learned: Collection[str]) -> None:
        super().__init__()
        self.start = start
        first = {"raw_keep": start.keep if "keep" in learned else None}
        first["log_threshold"] = math.log(start.threshold) if "threshold" in learned else None
        for name, value in first.items():
            parameter = None if value is None else nn.Parameter(torch.tensor(value, dtype=torch.float64))
            self.register_parameter(name, parameter)

    @property
    def keep(self) -> Scalar:
        """Share of the potential that survives a step: the config's, or on the chip's grid with a gradient."""
        if self.raw_keep is None:
            return self.start.keep
        share: torch.Tensor = _Share.apply(self.raw_keep)
        return share

    @property
    def threshold(self) -> Scalar:
        """In the units of the float layer."""
        return self.start.threshold if self.log_threshold is None else self.log_threshold.exp()

    @property
    def floats(self) -> FloatLif:
        """Both as plain numbers."""
        with torch.no_grad():
            return FloatLif(float(self.keep), float(self.threshold), self.start.current_keep)

    @property
    def learned(self) -> dict[str, float]:
        """What is learned, by name."""
        parameters, floats = {"keep": self.raw_keep, "threshold": self.log_threshold}, self.floats
        return {name: getattr(floats, name) for name, parameter in parameters.items() if parameter is not None}

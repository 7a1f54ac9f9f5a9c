"""The norm before the neurons, by which training keeps their inputs near the threshold."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from esvae.arrays import Float, Float64
from esvae.machine.distributed import all_sum, processes

__all__ = ["ThresholdNorm"]


class ThresholdNorm(nn.Module):
    """tdBN: batch norm over batch, time and space whose output is scaled by the threshold (Zheng et al., AAAI 2021).

    ``y = threshold * weight * (x - mean) / sqrt(var + eps) + bias``, for ``(T * N, C)`` or ``(T * N, C, H, W)``.
    """

    running_mean: Float[torch.Tensor, " channels"]
    running_var: Float[torch.Tensor, " channels"]

    def __init__(self, channels: int, threshold: float, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.threshold, self.eps, self.momentum = threshold, eps, momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(
        self, x: Float[torch.Tensor, "rows channels *map"], copies: int = 1
    ) -> Float[torch.Tensor, "rows channels *map"]:
        """The norm of ``x``, which stands for ``copies`` equal steps where it is constant over the window."""
        if self.training and processes() > 1:
            return self._over_processes(x, copies)
        scale = self.weight * self.threshold
        if not self.training:
            return functional.batch_norm(x, self.running_mean, self.running_var, scale, self.bias, eps=self.eps)
        mean, var = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var)
        y = functional.batch_norm(x, mean, var, scale, self.bias, True, 1.0, self.eps)
        count = x.numel() // x.shape[1]  # torch has divided by one less than that
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * (copies * (count - 1) / (copies * count - 1)), self.momentum)
        return y

    def _over_processes(self, x: torch.Tensor, copies: int) -> torch.Tensor:
        """With the statistics of all processes' parts of the batch."""
        axes = [axis for axis in range(x.ndim) if axis != 1]
        count = processes() * x.numel() // x.shape[1]
        mean = all_sum(x.sum(axes)) / count
        centred = x - mean.view(1, -1, *[1] * (x.ndim - 2))
        variance = all_sum(centred.square().sum(axes)) / count
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (copies * count / (copies * count - 1)), self.momentum)
        scale = self.weight * self.threshold / torch.sqrt(variance + self.eps)
        shape = (1, -1, *[1] * (x.ndim - 2))
        return centred * scale.view(shape) + self.bias.view(shape)

    def scale_and_shift(self) -> tuple[Float64[torch.Tensor, " channels"], Float64[torch.Tensor, " channels"]]:
        """What the layer computes in evaluation, ``y = scale * x + shift``: both ``(C,)`` float64, with gradients."""
        scale = self.threshold * self.weight.double() / torch.sqrt(self.running_var.double() + self.eps)
        return scale, self.bias.double() - scale * self.running_mean.double()

"""The equations of ESVAE written down plainly, to hold the fast model against: eager, time last, 3-D convolutions.

Tensors are ``(N, C, H, W, T)`` or ``(N, features, T)``, and kernels have depth 1 in time, as in the paper's reference
implementation. Nothing is folded, fused or computed once instead of T times; gradients are autograd's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from esvae.config import Config, NeuronConfig
from esvae.model import ESVAE

__all__ = ["TimeLast"]


class Spike(torch.autograd.Function):
    """1 where x > threshold; the gradient is 1 / (2 width) where |x| < width."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, threshold: float | torch.Tensor, width: float) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.width = width
        return (x > threshold).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        by_x = grads[0] * (x.abs() < ctx.width) / (2 * ctx.width)
        return by_x, -by_x.sum() if ctx.needs_input_grad[1] else None, None


def lif(
    x: torch.Tensor,
    neuron: NeuronConfig,
    keep: float | torch.Tensor,
    threshold: float | torch.Tensor,
    *,
    in_place: bool = False,
) -> torch.Tensor:
    """u_t = keep u_{t-1} (1 - o_{t-1}) + x_t, o_t = u_t > threshold."""
    u, o, seen = torch.zeros_like(x[..., 0]), torch.zeros_like(x[..., 0]), []
    spikes = torch.zeros_like(x)
    for t in range(x.shape[-1]):
        u = keep * u * (1 - o) + x[..., t]
        o = Spike.apply(u, threshold, neuron.surrogate_width)
        if in_place:
            spikes[..., t] = o
        else:
            seen.append(o)
    return spikes if in_place else torch.stack(seen, dim=-1)


class TimeLast(nn.Module):
    """The same model with the same parameters (copies of them, under the same names).

    Args:
        model: whose parameters are copied.
        in_place: write the spikes of a window into one tensor step by step, as the reference implementation does,
            instead of stacking them at the end; the same values and gradients.

    Attributes:
        parameters_by_name, buffers_by_name: names as in ``ESVAE.state_dict()``.
    """

    def __init__(self, model: ESVAE, *, in_place: bool = False) -> None:
        super().__init__()
        self.in_place = in_place
        self.config: Config = model.config
        self.neuron = model.config.model.neuron
        self.parameters_by_name = {name: nn.Parameter(p.detach().clone()) for name, p in model.named_parameters()}
        self.buffers_by_name = {name: b.detach().clone() for name, b in model.named_buffers()}
        self.list = nn.ParameterList(self.parameters_by_name.values())

    def norm(self, x: torch.Tensor, name: str, eps: float = 1e-5, momentum: float = 0.1) -> torch.Tensor:
        """tdBN: statistics over batch, space and time of each channel."""
        axes = [axis for axis in range(x.ndim) if axis != 1]
        shape = (1, -1, *[1] * (x.ndim - 2))
        mean, var = self.buffers_by_name[f"{name}.running_mean"], self.buffers_by_name[f"{name}.running_var"]
        if self.training:
            batch_mean, batch_var = x.mean(axes), x.var(axes, unbiased=False)
            count = x.numel() // x.shape[1]
            with torch.no_grad():
                mean.copy_((1 - momentum) * mean + momentum * batch_mean)
                var.copy_((1 - momentum) * var + momentum * batch_var * count / (count - 1))
            mean, var = batch_mean, batch_var
        weight, bias = (self.parameters_by_name[f"{name}.{key}"] for key in ("weight", "bias"))
        threshold = self.neuron.threshold
        normed = (x - mean.view(shape)) / torch.sqrt(var.view(shape) + eps)
        return threshold * normed * weight.view(shape) + bias.view(shape)

    def synapse(self, x: torch.Tensor, name: str, stride: int, kind: str = "conv") -> torch.Tensor:
        weight, bias = (self.parameters_by_name[f"{name}.{key}"] for key in ("weight", "bias"))
        if kind == "linear":
            return torch.einsum("of,nft->not", weight, x) + bias[:, None]
        kernel = weight.unsqueeze(-1)
        if kind == "transposed":
            return functional.conv_transpose3d(x, kernel, bias, (2, 2, 1), (1, 1, 0), (1, 1, 0))
        padding = (weight.shape[-1] - 1 if kind == "expand" else 1,) * 2
        return functional.conv3d(x, kernel, bias, (stride, stride, 1), (*padding, 0))

    def spiking(self, x: torch.Tensor, name: str, stride: int = 1, kind: str = "conv") -> torch.Tensor:
        current, neuron = self.norm(self.synapse(x, f"{name}.synapse", stride, kind), f"{name}.norm"), self.neuron
        keep = self.parameters_by_name.get(f"{name}.lif.raw_keep", neuron.keep)  # on the chip's grid already
        logarithm = self.parameters_by_name.get(f"{name}.lif.log_threshold")
        threshold = neuron.threshold if logarithm is None else logarithm.exp()
        return lif(current, neuron, keep, threshold, in_place=self.in_place)

    def posterior_rates(self, images: torch.Tensor) -> torch.Tensor:
        x = images.unsqueeze(-1).expand(*images.shape, self.config.model.time_steps)
        for index in range(len(self.config.model.encoder_channels)):
            x = self.spiking(x, f"encoder.layers.{index}", stride=2)
        return self.spiking(x.flatten(1, 3), "encoder.latent", kind="linear").mean(-1)

    def sample(self, rates: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        steps = self.config.model.time_steps
        uniform = torch.rand(steps, *rates.shape, generator=generator, dtype=rates.dtype).permute(1, 2, 0)
        gap = rates.unsqueeze(-1) - uniform
        if self.config.model.sampling_gradient == "rectangular":
            return Spike.apply(gap, 0.0, 0.5)
        return (gap > 0).to(rates.dtype) + (rates - rates.detach()).unsqueeze(-1)

    def decoder(self, spikes: torch.Tensor) -> torch.Tensor:
        decoder = self.config.model.decoder
        transposed = decoder.kind == "transposed"
        if transposed:
            x = self.spiking(spikes, "decoder.layers.0", kind="linear")
            x = x.unflatten(1, (-1, decoder.base_size, decoder.base_size))
        else:
            x = self.spiking(spikes[:, :, None, None], "decoder.layers.0", kind="expand")
        for index in range(1, len(decoder.channels)):
            x = self.spiking(x, f"decoder.layers.{index}", kind="transposed" if transposed else "conv")
        x = self.synapse(x, "decoder.readout", 1)
        steps = x.shape[-1]
        kept = self.parameters_by_name.get("decoder.readout_lif.raw_keep", self.config.model.readout_keep)
        shares = torch.stack([torch.as_tensor(kept ** (steps - 1 - t), dtype=x.dtype) for t in range(steps)])
        potential = (x * shares).sum(-1)
        if not transposed:
            potential = functional.pixel_shuffle(potential, self.config.data.image_size // decoder.base_size)
        return torch.tanh(potential)

    def losses(
        self, images: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Total, reconstruction, MMD."""
        posterior = self.posterior_rates(images)
        reconstruction = (self.decoder(self.sample(posterior, generator)) - images).square().mean()
        weight, bias = (self.parameters_by_name[f"prior.bottleneck.{key}"] for key in ("weight", "bias"))
        noise = torch.randn(len(images), weight.shape[1], generator=generator, dtype=weight.dtype)
        prior = torch.sigmoid(noise @ weight.T + bias)
        distance = mmd(posterior, prior)
        return reconstruction + self.config.train.mmd_weight * distance, reconstruction, distance


def mmd(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Five Gaussian kernels around the mean squared distance of all pairs."""
    points = torch.cat([x, y])
    squared = (points.unsqueeze(0) - points.unsqueeze(1)).square().sum(-1)
    n = len(x)
    bandwidth = squared.detach().sum() / (len(points) * (len(points) - 1))
    kernel = sum(torch.exp(-squared / (bandwidth * factor)) for factor in (0.25, 0.5, 1, 2, 4))
    return (kernel[:n, :n] + kernel[n:, n:] - kernel[:n, n:] - kernel[n:, :n]).mean()  # type: ignore[index]

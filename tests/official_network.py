"""A network with the reference implementation's parameter names and layout, to import from: eager, time last."""

from __future__ import annotations

import itertools

import torch
from torch import nn

__all__ = ["Official", "official"]


class Norm(nn.BatchNorm2d):
    """tdBN in evaluation, over ``(N, C, ..., T)``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shape = (1, -1, *[1] * (x.ndim - 2))
        y = 0.2 * (x - self.running_mean.view(shape)) / torch.sqrt(self.running_var.view(shape) + self.eps)  # type: ignore[union-attr]
        return y * self.weight.view(shape) + self.bias.view(shape)


def fire(x: torch.Tensor) -> torch.Tensor:
    u, o, seen = torch.zeros_like(x[..., 0]), torch.zeros_like(x[..., 0]), []
    for t in range(x.shape[-1]):
        u = 0.25 * u * (1 - o) + x[..., t]
        o = (u > 0.2).to(x.dtype)
        seen.append(o)
    return torch.stack(seen, -1)


def conv(before: int, after: int) -> nn.Module:
    layer = nn.Conv3d(before, after, (3, 3, 1), (2, 2, 1), (1, 1, 0))
    layer.bn = Norm(after)
    return layer


def up(before: int, after: int, *, spiking: bool = True) -> nn.Module:
    if not spiking:
        return nn.ConvTranspose3d(before, after, (3, 3, 1), 1, (1, 1, 0))
    layer = nn.ConvTranspose3d(before, after, (3, 3, 1), (2, 2, 1), (1, 1, 0), (1, 1, 0))
    layer.bn = Norm(after)
    return layer


def linear(before: int, after: int) -> nn.Module:
    layer = nn.Linear(before, after)
    layer.bn = Norm(after)
    return layer


class Coefficients(nn.Module):
    def __init__(self, steps: int) -> None:
        super().__init__()
        self.register_buffer("coef", 0.8 ** torch.arange(steps - 1, -1, -1)[None, None, None, None])


class Official(nn.Module):
    """A network with the reference implementation's parameter names, in its layout: time last, depth-1 kernels."""

    def __init__(self, channels: list[int], image_channels: int, latent: int, steps: int) -> None:
        super().__init__()
        self.steps, self.widest = steps, channels[-1]
        self.encoder = nn.Sequential(*(conv(a, b) for a, b in itertools.pairwise([image_channels, *channels])))
        self.before_latent_layer = linear(4 * channels[-1], latent)
        self.prior, self.posterior = nn.Linear(3, 3), nn.Linear(2, 2)  # not used
        self.decoder_input = linear(latent, 4 * channels[-1])
        self.decoder = nn.Sequential(*(up(a, b) for a, b in itertools.pairwise(channels[::-1])))
        self.final_layer = nn.Sequential(up(channels[0], channels[0]), up(channels[0], image_channels, spiking=False))
        self.membrane_output_layer = Coefficients(steps)
        self.sample_layer = nn.Sequential(nn.Linear(latent, latent), nn.Sigmoid())

    def rates(self, images: torch.Tensor) -> torch.Tensor:
        x = images.unsqueeze(-1).repeat(1, 1, 1, 1, self.steps)
        for layer in self.encoder:
            x = fire(layer.bn(layer(x)))
        return fire(self._dense(self.before_latent_layer, x)).mean(-1)

    def _dense(self, layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
        flat = x.flatten(1, -2)
        return layer.bn(layer(flat.transpose(1, 2)).transpose(1, 2))  # type: ignore[operator,no-any-return]

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        x = fire(self._dense(self.decoder_input, z)).view(len(z), self.widest, 2, 2, self.steps)
        for layer in [*self.decoder, self.final_layer[0]]:
            x = fire(layer.bn(layer(x)))
        return torch.tanh((self.final_layer[1](x) * self.membrane_output_layer.coef).sum(-1))


def official(large: bool) -> Official:
    torch.manual_seed(0)
    channels = [4, 6, 8, 10, 12][: 5 if large else 4]
    network = Official(channels, 3 if large else 1, 7, 5)
    for module in network.modules():
        if isinstance(module, Norm):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -0.1, 0.3)
            nn.init.uniform_(module.running_mean, -0.2, 0.2)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.05, 0.5)  # type: ignore[arg-type]
    return network.double().eval()

"""ESVAE: a spiking variational autoencoder whose latent spikes are Poisson with learned rates (arXiv 2310.14839)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import nn

from esvae.arrays import Float
from esvae.config import Config
from esvae.machine.distributed import all_rows, draw_rows
from esvae.model.activity import recording
from esvae.model.decoder import Decoder
from esvae.model.layers import SpikingLayer, SpikingLayers
from esvae.model.prior import LearnedPrior
from esvae.model.texture import Encode, texture_error

__all__ = ["ESVAE", "Encoder", "Losses", "mmd"]


@dataclass(frozen=True)
class Losses:
    """Parts of the loss, each a scalar tensor; ``total``, their weighted sum, is what is minimized.

    Attributes:
        reconstruction: mean squared error of the pixels.
        mmd: between posterior and prior rates.
        activity: share of the decoder's synaptic operations that take place; zero where it has no weight.
        texture: what else is asked of the picture, weighted; zero where nothing is.
    """

    total: Float[torch.Tensor, ""]
    reconstruction: Float[torch.Tensor, ""]
    mmd: Float[torch.Tensor, ""]
    activity: Float[torch.Tensor, ""]
    texture: Float[torch.Tensor, ""]

    def parts(self) -> dict[str, Float[torch.Tensor, ""]]:
        """All of them by name."""
        return dict(vars(self))


class Encoder(nn.Module):
    """Images to latent spikes: stride-2 3x3 convolutions, then a linear layer, each with tdBN and LIF."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        model = config.model
        channels = [config.data.image_channels, *model.encoder_channels]
        self.time_steps = model.time_steps
        self.layers = SpikingLayers(
            SpikingLayer(nn.Conv2d(before, after, 3, stride=2, padding=1), after, model.neuron, learned=model.learned)
            for before, after in itertools.pairwise(channels)
        )
        size = config.data.image_size
        for _ in model.encoder_channels:
            size = (size + 1) // 2
        last = nn.Linear(channels[-1] * size**2, model.latent)
        self.latent = SpikingLayer(last, model.latent, model.neuron, learned=model.learned)

    def forward(
        self, images: Float[torch.Tensor, "images channels height width"]
    ) -> Float[torch.Tensor, "steps images latents"]:
        """Latent spikes ``(T, N, latent)`` from images ``(N, C, H, W)``, shown at every step (direct coding)."""
        x = images.contiguous(memory_format=torch.channels_last)
        for index, layer in enumerate(self.layers):
            x = layer(x, self.time_steps, constant=index == 0)
        return self.latent(x.flatten(1), self.time_steps).unflatten(0, (self.time_steps, -1))


class ESVAE(nn.Module):
    """Encoder, Poisson posterior, learned prior, decoder.

    Args:
        config: a checked config.

    Attributes:
        encode: what ``train.feature_weight`` compares pictures by; set by whoever trains.
    """

    encode: Encode | None = None

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.prior = LearnedPrior(config.model)
        self.decoder = Decoder(config)

    def arrange(self) -> ESVAE:
        """Lays the weights out as the machine computes fastest with them, channels innermost. No value changes."""
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self

    def begin_step(self, step: int, total: int) -> None:
        """Called before every training step: at its share of the steps, the decoder turns to the chip's integers."""
        quantization = self.config.model.quantization
        if quantization is not None and not self.decoder.in_integers and step >= quantization.start * total:
            self.decoder.start_rounding()

    def posterior_rates(
        self, images: Float[torch.Tensor, "images channels height width"]
    ) -> Float[torch.Tensor, "images latents"]:
        """Firing rates ``(N, latent)`` in [0, 1]: the share of steps at which each latent neuron fired."""
        return self.encoder(images).mean(0)

    def sample(
        self, rates: Float[torch.Tensor, "images latents"], generator: torch.Generator | None = None
    ) -> Float[torch.Tensor, "steps images latents"]:
        """Spikes ``(T, N, latent)`` of rates ``(N, latent)``, as ``model.sampler`` draws them;
        ``model.sampling_gradient`` says what of the gradient passes through."""
        model, drawn = self.config.model, rates.detach()
        systematic = model.sampler == "systematic"
        shape = (1 if systematic else model.time_steps, *rates.shape)
        uniform = draw_rows(torch.rand, shape, rates, generator, axis=1, shared=self.training)
        if systematic or self.decoder.in_integers:  # the chip's sampler computes with whole numbers of so many bits
            unit = 1 << model.rate_bits
            drawn, uniform = (drawn * unit).round() / unit, (uniform * unit).floor() / unit
        if systematic:  # a membrane that starts anywhere, keeps all and gives off 1 with each spike
            before = torch.arange(model.time_steps, device=rates.device, dtype=rates.dtype)[:, None, None]
            uniform = 1 - (uniform + before * drawn) % 1
        spikes = ((drawn >= uniform) if systematic else (drawn > uniform)).to(rates.dtype)
        through = rates - rates.detach()  # zero, with the gradient of the rates
        if model.sampling_gradient == "rectangular":
            through = ((drawn - uniform).abs() < 0.5) * through
        return spikes + through

    def forward(
        self, images: Float[torch.Tensor, "images channels height width"], generator: torch.Generator | None = None
    ) -> Float[torch.Tensor, "images channels height width"]:
        """Reconstructions ``(N, C, H, W)`` through sampled posterior spikes."""
        return self.reconstruction(self.posterior_rates(images), generator)

    def reconstruction(
        self, rates: Float[torch.Tensor, "images latents"], generator: torch.Generator | None = None
    ) -> Float[torch.Tensor, "images channels height width"]:
        """Images ``(N, C, H, W)`` of posterior rates ``(N, latent)``, without the gain of drawn ones."""
        return torch.tanh(self.decoder.potentials(self.sample(rates, generator)))

    @torch.no_grad()
    def generate(
        self, count: int, generator: torch.Generator | None = None
    ) -> Float[torch.Tensor, "{count} channels height width"]:
        """New images ``(count, C, H, W)`` in [-1, 1], from rates of the prior."""
        images: torch.Tensor = self.decoder(self.sample(self.prior.draw(count, generator), generator))
        return images

    def losses(
        self, images: Float[torch.Tensor, "images channels height width"], generator: torch.Generator | None = None
    ) -> Losses:
        """MSE of the reconstruction plus weighted MMD between posterior and prior rates (ESVAE, eq. 14).

        Where several processes train together, ``images`` are this one's share of the batch, and ``generator`` is in
        the same state in all of them.
        """
        settings = self.config.train
        posterior = self.posterior_rates(images)
        if settings.activity_weight:
            with recording(self.decoder) as record:
                spikes = self.decoder.hidden(self.sample(posterior, generator))[-1]
            output, activity = torch.tanh(self.decoder.integrated(spikes)), record.used()
        else:
            output, activity = self.reconstruction(posterior, generator), posterior.new_zeros(())
        reconstruction = torch.nn.functional.mse_loss(output, images)
        distance = mmd(all_rows(posterior), all_rows(self.prior(len(images), generator)))
        texture = texture_error(output, images, settings, self.encode)
        total = reconstruction + settings.mmd_weight * distance + settings.activity_weight * activity + texture
        if self.config.model.quantization is not None and not self.decoder.in_integers:
            # Several processes wait for the gradient of every parameter, of the scales too.
            scales: list[torch.Tensor] = [
                p for name, p in self.decoder.named_parameters() if name.endswith(".log_scale")
            ]
            total = total + 0.0 * torch.stack(scales).sum().to(total.dtype)
        return Losses(total, reconstruction, distance, activity, texture)


def mmd(
    x: Float[torch.Tensor, "n features"], y: Float[torch.Tensor, "n features"], kernels: int = 5
) -> Float[torch.Tensor, ""]:
    """Squared maximum mean discrepancy between two sets of vectors, with a sum of Gaussian kernels.

    The bandwidths are the mean squared distance of all pairs times 1/4, 1/2, 1, 2, 4 (for five kernels).

    Args:
        x, y: ``(N, features)``, the same N.
        kernels: how many bandwidths.

    Returns:
        Scalar, the biased (V-statistic) estimate, at least 0 up to rounding.
    """
    both = torch.cat([x, y])
    squared = (both[:, None] - both[None]).square().sum(-1)
    count = len(both)
    bandwidth = squared.detach().sum() / (count * (count - 1))
    factors = [2.0 ** (k - kernels // 2) for k in range(kernels)]
    kernel = sum(torch.exp(-squared / (bandwidth * factor).clamp_min(1e-12)) for factor in factors)
    n = len(x)
    assert isinstance(kernel, torch.Tensor)
    return kernel[:n, :n].mean() + kernel[n:, n:].mean() - kernel[:n, n:].mean() - kernel[n:, :n].mean()

"""What is computed from a trained model and images, without gradients."""

from __future__ import annotations

import torch

from esvae.arrays import Float
from esvae.data import ImageSet
from esvae.model import ESVAE

__all__ = ["evaluate_mse", "fit_prior", "posterior_rates"]

Images = torch.Tensor | ImageSet


@torch.no_grad()
def posterior_rates(model: ESVAE, images: Images, *, batch: int = 256) -> Float[torch.Tensor, "images latents"]:
    """Rates ``(N, latent)`` that the encoder gives, in evaluation mode, of images ``(N, C, H, W)``."""
    was_training = model.training
    model.eval()
    rates = torch.cat([model.posterior_rates(part) for part in images.split(batch)])
    model.train(was_training)
    return rates


def fit_prior(model: ESVAE, images: Images) -> None:
    """Fits the model's mixture to the posterior rates of training images ``(N, C, H, W)``."""
    model.prior.fit(posterior_rates(model, images), model.config.train.seed)


@torch.no_grad()
def evaluate_mse(model: ESVAE, images: Images, *, seed: int = 0, batch: int = 256) -> float:
    """Mean squared error per pixel of reconstructions, pixels in [-1, 1].

    Args:
        model: judged in evaluation mode, left in the one in which it is.
        images: ``(N, C, H, W)``, moved to the model's device.
        seed: of the posterior's spikes.
        batch: images to a pass.
    """
    draws = torch.Generator().manual_seed(seed)
    parameter = next(model.parameters())
    was_training = model.training
    model.eval()
    total = 0.0
    for part in images.split(batch):
        part = part.to(parameter.device, parameter.dtype)
        total += float((model(part, draws) - part).square().mean()) * len(part)
    model.train(was_training)
    return total / len(images)

"""A run whose decoder is small and fires well, untrained as it is."""

from __future__ import annotations

import torch

from esvae.config import config_from_dict
from esvae.model import ESVAE
from esvae.run import Run

__all__ = ["LATENT", "STEPS", "firing_run"]

STEPS, LATENT = 5, 6


def firing_run(kind: str, **neuron: float) -> Run:
    torch.manual_seed(3)
    content = {
        "name": "tiny",
        "data": {"image_size": 16},
        "model": {
            "latent": LATENT,
            "time_steps": STEPS,
            "encoder_channels": [4, 8],
            "decoder": {"kind": kind, "base_size": 4, "channels": [6, 5] if kind == "subpixel" else [6, 5, 4]},
            "neuron": neuron,
        },
    }
    model = ESVAE(config_from_dict(content, "test")).train()
    with torch.no_grad():
        for layer in model.decoder.layers:
            layer.norm.weight.fill_(3.0)  # type: ignore[union-attr,operator]
            layer.norm.bias.fill_(0.1)  # type: ignore[union-attr,operator]
        for _ in range(20):  # the norms learn their statistics
            model.encoder(torch.rand(16, 1, 16, 16) * 2 - 1)
            model.decoder((torch.rand(STEPS, 32, LATENT) < 0.5).float())
    return Run(model.eval(), {}, "a" * 64)

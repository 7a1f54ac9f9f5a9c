"""What the spiking layers do: firing rates, neurons that never fire, and the share of synaptic operations used."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from esvae.model.layers import SpikingLayer

__all__ = ["LayerFiringRate", "Recording", "layer_activity", "recording"]


@dataclass(frozen=True)
class LayerFiringRate:
    """Of one spiking layer over some images.

    Attributes:
        name: as in the model's ``state_dict``, ``decoder.layers.0``.
        rate: mean spikes of a neuron in one step.
        dead: share of neurons that never fired.
    """

    name: str
    rate: float
    dead: float


class Recording:
    """The spikes that each spiking layer gave in its last pass, and what a spike of it sets off."""

    def __init__(self) -> None:
        self.spikes: dict[str, torch.Tensor] = {}
        self.fan_out: dict[str, float] = {}

    def used(self) -> torch.Tensor:
        """Share of the synaptic operations that take place, of those that there would be if every neuron fired at
        every step; a scalar with a gradient. Borders are not counted apart."""
        done = torch.stack([x.mean() * x[0].numel() * self.fan_out[name] for name, x in self.spikes.items()]).sum()
        most = sum(x[0].numel() * self.fan_out[name] for name, x in self.spikes.items())
        share: torch.Tensor = done / most
        return share


@contextmanager
def recording(model: nn.Module) -> Iterator[Recording]:
    """Records every :class:`~esvae.model.layers.SpikingLayer` below ``model`` while the context lasts."""
    record = Recording()
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, SpikingLayer)}
    synapses = [layer.synapse for layer in layers.values()]
    if isinstance(readout := getattr(model, "readout", None), nn.Module):
        synapses.append(readout)
    for index, name in enumerate(layers):
        record.fan_out[name] = _fan_out(synapses[index + 1]) if index + 1 < len(synapses) else 1.0

    def keep(name: str) -> object:
        def hook(layer: nn.Module, arguments: object, spikes: torch.Tensor) -> None:
            record.spikes[name] = spikes

        return hook

    handles = [layer.register_forward_hook(keep(name)) for name, layer in layers.items()]  # type: ignore[arg-type]
    try:
        yield record
    finally:
        for handle in handles:
            handle.remove()


def _fan_out(synapse: nn.Module) -> float:
    """Synapses that leave one input, away from the borders."""
    weight = synapse.weight
    assert isinstance(weight, torch.Tensor)
    if isinstance(synapse, nn.Conv2d):
        return weight[:, 0].numel() / math.prod(synapse.stride)
    return float(weight[0].numel() if isinstance(synapse, nn.ConvTranspose2d) else len(weight))


@torch.no_grad()
def layer_activity(model: Any, images: torch.Tensor, generator: torch.Generator) -> list[LayerFiringRate]:
    """Rates and dead neurons of every spiking layer, encoder first, for reconstructions of ``images``.

    Args:
        model: left in the mode in which it is; judged in evaluation mode.
        images: ``(N, C, H, W)``, on the model's device.
        generator: of the posterior's spikes.
    """
    was_training = model.training
    model.eval()
    with recording(model) as record:
        model.decoder.hidden(model.sample(model.posterior_rates(images), generator))
    model.train(was_training)
    return [
        LayerFiringRate(name, float(x.float().mean()), float((x.float().amax(0) == 0).float().mean()))
        for name, x in record.spikes.items()
    ]

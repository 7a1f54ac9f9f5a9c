"""What the spiking layers do: firing rates, neurons that never fire, synaptic operations and the share of them used."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from esvae.arrays import Float
from esvae.model.layers import SpikingLayer

__all__ = ["LayerFiringRate", "ModelActivity", "Recording", "model_activity", "recording"]


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


@dataclass(frozen=True)
class ModelActivity:
    """Of a model over some images.

    Attributes:
        layers: of every spiking layer, encoder first.
        synops: synaptic operations an image by layer of the decoder at which they arrive, the readout last: spikes
            times the synapses that each reaches, those beyond a border not counted.
    """

    layers: tuple[LayerFiringRate, ...]
    synops: dict[str, float]


class Recording:
    """The spikes that each spiking layer gave in its last pass, and what a spike of it sets off."""

    def __init__(self) -> None:
        self.spikes: dict[str, torch.Tensor] = {}
        self.fan_out: dict[str, float] = {}

    def used(self) -> Float[torch.Tensor, ""]:
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
def model_activity(
    model: Any, images: Float[torch.Tensor, "images channels height width"], generator: torch.Generator
) -> ModelActivity:
    """Rates, dead neurons and synaptic operations of reconstructions of ``images``.

    Args:
        model: left in the mode in which it is; judged in evaluation mode.
        images: ``(N, C, H, W)``, on the model's device.
        generator: of the posterior's spikes.
    """
    was_training = model.training
    model.eval()
    with recording(model) as record:
        latents = model.sample(model.posterior_rates(images), generator)
        spikes = [latents.flatten(0, 1), *model.decoder.hidden(latents)]
    model.train(was_training)
    synapses = {f"decoder.layers.{k}": layer.synapse for k, layer in enumerate(model.decoder.layers)}
    synapses["decoder.readout"] = model.decoder.readout
    layers = tuple(
        LayerFiringRate(name, float(x.float().mean()), float((x.float().amax(0) == 0).float().mean()))
        for name, x in record.spikes.items()
    )
    arriving = zip(synapses.items(), spikes, strict=True)
    return ModelActivity(layers, {name: _operations(synapse, x) / len(images) for (name, synapse), x in arriving})


def _operations(synapse: nn.Module, spikes: torch.Tensor) -> float:
    """Spikes ``(T * N, ...)`` times the synapses that each reaches."""
    probe = copy.deepcopy(synapse)
    for name, values in probe.named_parameters():
        values.data.fill_(0.0 if name.endswith("bias") else 1.0)
    with torch.enable_grad():
        one = torch.zeros_like(spikes[:1], requires_grad=True)
        (reached,) = torch.autograd.grad(probe(one).sum(), one)
    return float((spikes.sum(0).double() * reached[0]).sum())  # whole numbers, of which float32 holds 2^24

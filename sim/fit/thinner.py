"""The same network with fewer channels in its hidden layers, made to be mapped: how many cores would it take?"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from export.ir import ConvTranspose, Dense, Flatten, Layer, Lif, Network, Neuron, RecurrentDense, Synapse

__all__ = ["thinner"]


def thinner(network: Network, share: float) -> Network | None:
    """The network with so much of the channels of its hidden layers; None where groups tie channels together.

    Only good to be mapped: which channels go is no matter of what they do.
    """
    layers: list[Layer] = []
    last = max(index for index, layer in enumerate(network.layers) if not isinstance(layer, Flatten))
    kept = np.arange(math.prod(network.input_shape)).reshape(network.input_shape)
    for index, (layer, shape) in enumerate(zip(network.layers, network.shapes, strict=True)):
        if isinstance(layer, Flatten):
            layers.append(layer)
            kept = kept.reshape(-1)
            continue
        if layer.groups > 1:
            return None
        channels = shape[0] if index == last else max(1, math.floor(shape[0] * share))
        layers.append(_thin(layer, kept, channels))
        kept = np.arange(math.prod(shape)).reshape(shape)[:channels]
    return Network(network.input_shape, tuple(layers), network.time_steps)


def _thin(layer: Synapse, kept: np.ndarray, channels: int) -> Layer:
    """The layer with its first channels, fed by the neurons of the layer before that were kept."""
    bias, neuron = None if layer.bias is None else layer.bias[:channels], _first(layer.neuron, channels)
    if isinstance(layer, Dense):
        delay = None if layer.delay is None else layer.delay[:channels][:, kept.reshape(-1)]
        return replace(
            layer, weight=layer.weight[:channels][:, kept.reshape(-1)], bias=bias, neuron=neuron, delay=delay
        )
    if isinstance(layer, RecurrentDense):
        entering, recurrent = layer.weight[:channels][:, kept.reshape(-1)], layer.recurrent[:channels, :channels]
        return replace(layer, weight=entering, recurrent=recurrent, bias=bias, neuron=neuron)
    inputs = len(kept)
    weight = layer.weight[:inputs, :channels] if isinstance(layer, ConvTranspose) else layer.weight[:channels, :inputs]
    return replace(layer, weight=weight, bias=bias, neuron=neuron)


def _first(neuron: Neuron, channels: int) -> Neuron:
    """The neurons of the first channels, where they have decays of their own."""
    if not isinstance(neuron, Lif) or neuron.uniform:
        return neuron
    current, voltage = (tuple(each[:channels].tolist()) if each.ndim else int(each) for each in neuron.decays)
    return Lif(current, voltage, neuron.threshold)

"""Pass: folds norms into weights and biases, and makes dense layers whose features form a map convolutions.

1. ``norm(W x + b) = (scale * W) x + (scale * b + shift)``, by output channel or feature.
2. A dense layer that yields a ``(C, H, W)`` map becomes a full-padding convolution on a 1x1 map, because netx cannot
   connect a convolution behind a dense layer.

Not touched: layers without a norm and without a map shape.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from export.ir import Conv, ConvTranspose, Dense, Flatten, Shape, Synapse
from export.ir.floats import FloatLayer, FloatNetwork
from export.ir.geometry import point_kernel

__all__ = ["fold_norm"]


def fold_norm(network: FloatNetwork) -> FloatNetwork:
    """Returns the network with every norm folded and every map shape resolved."""
    layers: list[FloatLayer | Flatten] = []
    input_shape = network.input_shape
    for index, layer in enumerate(network.layers):
        if isinstance(layer, Flatten):
            layers.append(layer)
            continue
        synapse = _folded(layer)
        if layer.map_shape is not None:
            assert isinstance(synapse, Dense)
            synapse = _expanded(synapse, layer.map_shape)
            if index == 0:
                input_shape = (synapse.weight.shape[1], 1, 1)
        layers.append(FloatLayer(synapse, scale=layer.scale))
    return replace(network, input_shape=input_shape, layers=tuple(layers))


def _folded(layer: FloatLayer) -> Synapse:
    synapse, norm = layer.synapse, layer.norm
    if norm is None:
        return synapse
    axis = 1 if isinstance(synapse, ConvTranspose) else 0
    if isinstance(synapse, ConvTranspose):
        # The kernel's axis 1 counts the outputs of one group; its axis 0 runs through the groups' inputs.
        inputs, per_group = synapse.weight.shape[:2]
        scale = norm.scale.reshape(synapse.groups, 1, per_group, 1, 1)
        grouped = synapse.weight.reshape(synapse.groups, inputs // synapse.groups, *synapse.weight.shape[1:])
        weight = (grouped * scale).reshape(synapse.weight.shape)
    else:
        weight = synapse.weight * norm.scale.reshape(-1, *[1] * (synapse.weight.ndim - 1 - axis))
    bias = norm.shift if synapse.bias is None else norm.scale * synapse.bias + norm.shift
    return replace(synapse, weight=weight, bias=bias)


def _expanded(dense: Dense, shape: Shape) -> Conv:
    """``(C*H*W, inputs)`` as a convolution whose kernel, flipped, is the map that one input draws."""
    _, height, width = shape
    bias = None if dense.bias is None else dense.bias.reshape(shape)
    weight = np.ascontiguousarray(point_kernel(dense.weight, shape))
    return Conv(weight, bias, dense.neuron, padding=(height - 1, width - 1))

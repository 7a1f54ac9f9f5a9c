"""Pass: folds norms into weights and biases, and makes dense layers whose features form a map convolutions.

1. ``norm(W x + b)`` becomes synapses without a norm (:func:`esvae.chip.fold.fold`), by output channel or feature.
2. A dense layer that yields a ``(C, H, W)`` map becomes a full-padding convolution on a 1x1 map, because netx cannot
   connect a convolution behind a dense layer.

Not touched: layers without a norm and without a map shape.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar, cast

import numpy as np

from esvae.chip.fold import fold
from export.ir import Conv, ConvTranspose, Dense, Flatten, FloatLif, Shape, Synapse, all_weights, with_values
from export.ir.floats import FloatLayer, FloatNetwork, Norm
from export.ir.geometry import point_kernel

__all__ = ["fold_norm", "with_norm_folded"]

S = TypeVar("S", bound=Synapse[FloatLif])


def fold_norm(network: FloatNetwork) -> FloatNetwork:
    """Returns the network with every norm folded and every map shape resolved."""
    layers: list[FloatLayer | Flatten] = []
    input_shape = network.input_shape
    for layer in network.layers:
        if isinstance(layer, Flatten):
            layers.append(layer)
            continue
        synapse = layer.synapse if layer.norm is None else with_norm_folded(layer.synapse, layer.norm)
        if layer.map_shape is not None and isinstance(synapse, Dense):
            synapse = _expanded(synapse, layer.map_shape)
            input_shape = (synapse.inputs, 1, 1)  # such a layer comes first
        layers.append(FloatLayer(synapse, scale=layer.scale))
    return replace(network, input_shape=input_shape, layers=tuple(layers))


def with_norm_folded(synapse: S, norm: Norm) -> S:
    """Synapses with the norm behind them in their weights and bias."""
    transposed = isinstance(synapse, ConvTranspose)
    weight, bias = fold(
        all_weights(synapse), synapse.bias, norm.scale, norm.shift, transposed=transposed, groups=synapse.groups
    )
    return cast(S, with_values(synapse, weight, bias, synapse.neuron))


def _expanded(dense: Dense[FloatLif], shape: Shape) -> Conv[FloatLif]:
    """``(C*H*W, inputs)`` as a convolution whose kernel, flipped, is the map that one input draws."""
    _, height, width = shape
    bias = None if dense.bias is None else dense.bias.reshape(shape)
    weight = np.ascontiguousarray(point_kernel(dense.weight, shape))
    return Conv(weight, bias, dense.neuron, padding=(height - 1, width - 1))

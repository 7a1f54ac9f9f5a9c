"""Pass: unrolls every layer into a dense one, which stock netx loads where it refuses transposed convolutions.

1. A (transposed) convolution becomes the matrix of what each input neuron sends to each output neuron; borders, strides
   and groups are in it as zeros.
2. A bias by channel becomes one by neuron.
3. Flatten layers go away: the order of neurons is theirs already, channels outermost.

Every integer that a neuron sees is the same as before. Not touched: dense layers.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from esvae.errors import HardwareRangeError
from export.ir import Conv, ConvTranspose, Dense, Layer, Network, Neuron, RecurrentDense, Shape
from export.ir.geometry import matrix
from export.ir.labels import FIRST_GROUP
from export.ir.limits import ELEMENTS
from export.ir.nodes import N, spread

__all__ = ["MAX_ELEMENTS", "lower_dense", "unrolled_layer"]

#: Matrices above this many elements are not made: 2 bytes each.
MAX_ELEMENTS = ELEMENTS


def lower_dense(network: Network) -> Network:
    """Returns the network with dense layers only, recurrent ones among them, ``(features,)`` in and out.

    Raises:
        HardwareRangeError: a layer is too large to unroll.
    """
    layers: list[Layer[Neuron]] = []
    for where, (layer, before, after) in zip(network.labels, network.synapses(), strict=True):
        if isinstance(layer, Dense | RecurrentDense):
            layers.append(layer)
            continue
        layers.append(unrolled_layer(layer, before, after, where))
    return replace(
        network, input_shape=(math.prod(network.input_shape),), layers=tuple(layers), first_group=FIRST_GROUP
    )


def unrolled_layer(layer: Conv[N] | ConvTranspose[N], before: Shape, after: Shape, where: str) -> Dense[N]:
    """The dense layer, of integers or floats.

    Args:
        layer: a (transposed) convolution.
        before, after: its input and output shape.
        where: goes into errors.

    Raises:
        HardwareRangeError: it is too large.
    """
    inputs, outputs = math.prod(before), math.prod(after)
    if inputs * outputs > MAX_ELEMENTS:
        raise HardwareRangeError(
            f"{where}: unrolled it has {outputs} x {inputs} elements, above "
            f"{MAX_ELEMENTS}; use --lowering native, fewer channels, a smaller image, or the subpixel decoder"
        )
    bias = layer.bias
    if bias is not None:
        bias = np.broadcast_to(bias if bias.ndim == 3 else bias[:, None, None], after).reshape(-1).copy()
    return Dense(matrix(layer, before), bias, spread(layer.neuron, after))

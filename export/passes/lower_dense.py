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
from export.ir import Conv, ConvTranspose, Dense, Layer, Lif, Network, Shape
from export.ir.labels import FIRST_GROUP
from export.ir.limits import ELEMENTS
from export.ir.nodes import N

__all__ = ["MAX_ELEMENTS", "lower_dense", "unrolled"]

#: Matrices above this many elements are not made: 2 bytes each.
MAX_ELEMENTS = ELEMENTS


def lower_dense(network: Network) -> Network:
    """Returns the network with dense layers only, ``(features,)`` in and out.

    Raises:
        HardwareRangeError: a layer is too large to unroll.
    """
    layers: list[Layer[Lif]] = []
    for where, (layer, before, after) in zip(network.labels, network.synapses(), strict=True):
        if isinstance(layer, Dense):
            layers.append(layer)
            continue
        layers.append(unrolled(layer, before, after, where))
    return replace(
        network, input_shape=(math.prod(network.input_shape),), layers=tuple(layers), first_group=FIRST_GROUP
    )


def unrolled(layer: Conv[N] | ConvTranspose[N], before: Shape, after: Shape, where: str) -> Dense[N]:
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
    return Dense(_matrix(layer, before, after), bias, layer.neuron)


def _matrix(layer: Conv | ConvTranspose, before: Shape, after: Shape) -> np.ndarray:
    """What each input neuron alone sends, ``(outputs, inputs)``: int16, or the weights' float.

    A pair of neurons is connected by one tap of the kernel at most, so each tap is written where it leads.
    """
    kind = layer.weight.dtype if layer.weight.dtype.kind == "f" else np.dtype(np.int16)
    matrix = np.zeros((*after, *before), kind)
    outputs, inputs = after[0] // layer.groups, before[0] // layer.groups
    taps = [
        (_ends(layer, before, after, 0, y), _ends(layer, before, after, 1, x), y, x)
        for y in range(layer.weight.shape[2])
        for x in range(layer.weight.shape[3])
    ]
    for group in range(layer.groups):
        to, of = slice(group * outputs, (group + 1) * outputs), slice(group * inputs, (group + 1) * inputs)
        kernel = layer.weight[of].swapaxes(0, 1) if isinstance(layer, ConvTranspose) else layer.weight[to]
        for (to_y, of_y), (to_x, of_x), y, x in taps:
            matrix[to, to_y[:, None], to_x, of, of_y[:, None], of_x] = kernel[:, :, y, x]
    return matrix.reshape(math.prod(after), math.prod(before))


def _ends(
    layer: Conv | ConvTranspose, before: Shape, after: Shape, axis: int, tap: int
) -> tuple[np.ndarray, np.ndarray]:
    """Along one axis, the outputs and inputs that a tap connects."""
    shift = tap * layer.dilation[axis] - layer.padding[axis]
    transposed = isinstance(layer, ConvTranspose)
    walked = np.arange((before if transposed else after)[1 + axis])
    reached = walked * layer.stride[axis] + shift
    inside = (reached >= 0) & (reached < (after if transposed else before)[1 + axis])
    ends = walked[inside], reached[inside]
    return ends[::-1] if transposed else ends

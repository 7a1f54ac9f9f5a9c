"""A bias that enters a current which lasts, as the chip has none: a synapse from a neuron that fires at every step.

A frontend that finds ``i <- current_keep i + (W s + b)`` gives ``b`` beside the layer. It becomes the weights from one more
neuron, or channel, of the layer before, which nothing reaches and whose own bias lies above its threshold; before a
network's first layer, neurons that relay the input are put, with one more of that kind. Exact, from the first step on.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TypeVar

import numpy as np

from esvae.errors import UnsupportedLayerError
from export.ir import Conv, Dense, FloatLif, Shape

__all__ = ["RELAY", "firing_beside", "relay_of", "with_input"]

#: Fires in the step in which a spike of weight 1 arrives, and at no other.
RELAY = FloatLif(0.0, 0.5)
#: How far above its threshold a neuron that always fires is driven, so that rounding both leaves it there.
_ABOVE = 1.5

Plain = TypeVar("Plain", "Dense[FloatLif]", "Conv[FloatLif]")


def relay_of(shape: Shape) -> Dense[FloatLif] | Conv[FloatLif]:
    """Neurons that pass on what enters, channel by channel, and one more channel that always fires."""
    count = shape[0]
    copies = np.eye(count + 1, count)
    bias = np.eye(count + 1)[-1]
    return Dense(copies, bias, RELAY) if len(shape) == 1 else Conv(copies[:, :, None, None], bias, RELAY)


def firing_beside(layer: Plain, where: str) -> Plain:
    """The layer, with one more neuron, or channel, that fires at every step.

    Raises:
        UnsupportedLayerError: its neurons cannot fire, its channels are grouped, or its bias differs by pixel.
    """
    threshold = layer.neuron.threshold
    if math.isinf(threshold) or layer.groups != 1 or (layer.bias is not None and layer.bias.ndim != 1):
        raise UnsupportedLayerError(f"{where}: no neuron that always fires can be added to it; {_REMEDY}")
    own = np.zeros(len(layer.weight)) if layer.bias is None else layer.bias
    weight = np.concatenate([layer.weight, np.zeros_like(layer.weight[:1])])
    if isinstance(layer, Dense) and layer.delay is not None:
        layer = replace(layer, delay=np.concatenate([layer.delay, np.zeros_like(layer.delay[:1])]))
    return replace(layer, weight=weight, bias=np.append(own, _ABOVE * threshold or 1.0))


_REMEDY = "train without a bias before neurons whose current lasts (bias=False)"


def with_input(layer: Plain, bias: np.ndarray, before: Shape, where: str) -> Plain:
    """The layer, with one more input, that always fires: its weights are ``bias``, one number an output.

    Args:
        layer: that takes ``before``.
        bias: ``(outputs,)``.
        before: its input shape, without the new input; of maps that are flattened, the map.
        where: goes into errors.

    Raises:
        UnsupportedLayerError: channels are grouped, or no tap of the kernel lies on the map everywhere.
    """
    if isinstance(layer, Dense):
        pixels = math.prod(before[1:])  # the new channel has as many, one of which is read
        column = np.zeros((len(bias), pixels))
        column[:, 0] = bias
        delay = layer.delay
        if delay is not None:
            layer = replace(layer, delay=np.concatenate([delay, np.zeros(column.shape, delay.dtype)], axis=1))
        return replace(layer, weight=np.concatenate([layer.weight, column], axis=1))
    if layer.groups != 1:
        raise UnsupportedLayerError(f"{where}: a bias into a current that lasts, of grouped channels; {_REMEDY}")
    kernel = np.zeros((len(bias), 1, *layer.weight.shape[2:]))
    kernel[(slice(None), 0, *_inner_tap(layer, before, where))] = bias
    return replace(layer, weight=np.concatenate([layer.weight, kernel], axis=1))


def _inner_tap(layer: Conv[FloatLif], before: Shape, where: str) -> tuple[int, ...]:
    """A tap that never lies on the padding."""
    found: list[int] = []
    after = layer.output_shape(before)
    for axis in (0, 1):
        size, last = before[axis + 1], (after[axis + 1] - 1) * layer.stride[axis]
        taps = [tap * layer.dilation[axis] - layer.padding[axis] for tap in range(layer.weight.shape[axis + 2])]
        inside = [tap for tap, place in enumerate(taps) if place >= 0 and last + place < size]
        if not inside:
            raise UnsupportedLayerError(
                f"{where}: a bias into a current that lasts, and a padding that no tap avoids; {_REMEDY}"
            )
        found.append(inside[len(inside) // 2])
    return tuple(found)

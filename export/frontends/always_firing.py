"""A bias that enters a current which lasts, as the chip has none: a synapse from a neuron that fires at every step.

A frontend that finds ``i <- current_keep i + (W s + b)`` gives ``b`` beside the layer. It becomes the weights from one
more neuron, or channel, of the layer before, which nothing reaches and whose own bias lies above its threshold; before
a network's first layer, neurons that relay the input are put, with one more of that kind. Exact from the first step on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from esvae.arrays import Float
from esvae.errors import UnsupportedLayerError
from export.ir import Conv, ConvTranspose, Dense, FloatLif, Pair, RecurrentDense, Shape, Synapse
from export.ir.geometry import grouped, reads, ungrouped

__all__ = ["RELAY", "Drawn", "firing_beside", "relay_of", "with_firing", "with_input"]

#: Fires in the step in which a spike of weight 1 arrives, and at no other.
RELAY = FloatLif(0.0, 0.5)
#: How far above its threshold a neuron that always fires is driven, so that rounding both leaves it there.
_ABOVE = 1.5


@dataclass(frozen=True, eq=False)
class Drawn:
    """A layer as a frontend found it, before its connections onto itself, with what the chip's neurons cannot have.

    Attributes:
        synapse: with its neurons.
        before, after: its shapes; of a flattened map, ``before`` is the map.
        where: what errors call it.
        current_bias: ``(outputs,)``, added to the current at every step, or None.
        recurrent: ``(neurons, neurons)`` or None.
    """

    synapse: Dense[FloatLif] | Conv[FloatLif] | ConvTranspose[FloatLif]
    before: Shape
    after: Shape
    where: str
    current_bias: Float[np.ndarray, " outputs"] | None = None
    recurrent: Float[np.ndarray, "neurons neurons"] | None = None

    def connected(self) -> Synapse[FloatLif]:
        """The node with its connections onto itself; raises UnsupportedLayerError where netx has none for them."""
        synapse = self.synapse
        if self.recurrent is None:
            return synapse
        if not isinstance(synapse, Dense) or synapse.delay is not None:
            raise UnsupportedLayerError(
                f"{self.where}: a convolution or delays beside synapses onto itself, which netx's dense_rec lacks"
            )
        return RecurrentDense(synapse.weight, self.recurrent, synapse.bias, synapse.neuron)


_Plain: TypeAlias = "Dense[FloatLif] | Conv[FloatLif]"


def with_firing(layers: Sequence[Drawn], notes: list[str]) -> list[Drawn]:
    """The layers with every ``current_bias`` as synapses from a neuron that always fires, in the layer before.

    Args:
        layers: in order.
        notes: takes what was added to the network, a line each.

    Raises:
        UnsupportedLayerError: no such neuron, or no synapse from it, can be added; says where.
    """
    found = list(layers)
    relayed = found[0].current_bias is not None
    if relayed:
        shape = found[0].before
        found.insert(0, Drawn(relay_of(shape), shape, _more(shape), "the input's relay"))
        notes.append(
            f"{found[1].where}: neurons that relay the input were put before it, and one that always fires, as its "
            "bias enters a current that lasts"
        )
    for index in range(1, len(found)):
        layer, source = found[index], found[index - 1]
        if layer.current_bias is None:
            continue
        if not (relayed and index == 1):
            more = math.prod(source.after[1:])  # a channel has as many neurons
            recurrent = None if source.recurrent is None else np.pad(source.recurrent, (0, more))
            synapse = firing_beside(_plain(source), source.where)
            found[index - 1] = replace(source, synapse=synapse, after=_more(source.after), recurrent=recurrent)
            notes.append(f"{source.where}: one more neuron, that always fires, for the bias of {layer.where}")
        synapse = with_input(_plain(layer), layer.current_bias, layer.before, layer.where)
        found[index] = replace(layer, synapse=synapse, before=_more(layer.before), current_bias=None)
    return found


def _more(shape: Shape) -> Shape:
    return (shape[0] + 1, *shape[1:])


def _plain(layer: Drawn) -> _Plain:
    """Its synapses, every output channel with every input channel."""
    synapse = layer.synapse
    if isinstance(synapse, ConvTranspose):
        raise UnsupportedLayerError(
            f"{layer.where}: a bias into a current that lasts, at a transposed convolution; {_REMEDY}"
        )
    if isinstance(synapse, Conv) and synapse.groups != 1:
        return replace(synapse, weight=ungrouped(grouped(synapse)), groups=1)
    return synapse


def relay_of(shape: Shape) -> _Plain:
    """Neurons that pass on what enters, channel by channel, and one more channel that always fires."""
    count = shape[0]
    copies = np.eye(count + 1, count)
    bias = np.eye(count + 1)[-1]
    return Dense(copies, bias, RELAY) if len(shape) == 1 else Conv(copies[:, :, None, None], bias, RELAY)


def firing_beside(layer: _Plain, where: str) -> _Plain:
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


def with_input(layer: _Plain, bias: Float[np.ndarray, " outputs"], before: Shape, where: str) -> _Plain:
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
    y, x = _inner_tap(layer, before, where)
    kernel[:, 0, y, x] = bias
    return replace(layer, weight=np.concatenate([layer.weight, kernel], axis=1))


def _inner_tap(layer: Conv[FloatLif], before: Shape, where: str) -> Pair:
    """A tap that never lies on the padding."""
    after = layer.output_shape(before)
    rows, columns = (np.flatnonzero((reads(layer, before, after, axis) >= 0).all(axis=0)) for axis in (0, 1))
    if not len(rows) or not len(columns):
        raise UnsupportedLayerError(
            f"{where}: a bias into a current that lasts, and a padding that no tap avoids; {_REMEDY}"
        )
    return int(rows[len(rows) // 2]), int(columns[len(columns) // 2])

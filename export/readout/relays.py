"""How drives pass through a network, and hold still what is not to fire.

A layer that drives enter gets three kinds of synapses more, and, unless it is the last, neurons more, its *relays*:

- to the relays, as much as takes each over the threshold at once, whatever it decays by: nothing else drives them, so
  that they are at rest before, and their potential is 0 again behind the spike;
- to all others, so much below zero that none can fire, whatever its potential was and its bias adds. The layer before
  is as still, and the read phase begins in every layer with the same step of the window, so nothing else arrives;
- in the last layer, to the pixels, the lift.

A relay is a neuron of a dense layer, and a channel of a convolution, whose kernel has weights only where every position
reads one of them: at the centre of a padded kernel, everywhere in one that unfolds a map of one pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias, cast

import numpy as np

from esvae.arrays import Int64
from esvae.chip.formats import DECAY_UNITY, STATE_SHIFT, WEIGHT
from esvae.chip.neuron import Lif, decay
from esvae.errors import UnsupportedLayerError
from export.circuit.gates import WEIGHT_STEP
from export.ir import Conv, Dense, Network, Shape
from export.ir.geometry import reads

__all__ = ["Driven", "driven_layers", "drives_into", "with_drives"]

#: Layers that drives can enter.
Driven: TypeAlias = Conv[Lif] | Dense[Lif]

#: The largest even weight of either sign.
_EXCITES, _INHIBITS = WEIGHT.max - WEIGHT.max % WEIGHT_STEP, -WEIGHT.min


def driven_layers(network: Network) -> list[tuple[Driven, tuple[Shape, Shape]]]:
    """The layers, each with its input and output shape.

    Raises:
        UnsupportedLayerError: one that drives cannot enter, or that could not be held still from one step to the next.
    """
    found = []
    for (layer, before, after), where in zip(network.synapses(), network.labels, strict=True):
        plain = isinstance(layer, Conv | Dense) and layer.groups == 1 and getattr(layer, "delay", None) is None
        if not isinstance(layer, Conv | Dense) or not plain:
            raise UnsupportedLayerError(
                f"{where}: a spike readout takes dense layers without delays and convolutions without groups; "
                "use --lowering dense, or read the potentials"
            )
        if not isinstance(layer.neuron, Lif) or not layer.neuron.uniform or layer.neuron.current_decay != DECAY_UNITY:
            raise UnsupportedLayerError(
                f"{where}: a spike readout takes integrate-and-fire neurons without memory of the current, all alike; "
                "train with current_keep 0, or read the potentials"
            )
        if isinstance(layer, Conv):
            _once(layer, before, after, where)
        found.append((cast("Driven", layer), (before, after)))
    if len(found) != len(network.layers):
        raise UnsupportedLayerError("a spike readout takes no flatten layer; use --lowering dense")
    return found


def drives_into(layer: Driven, lift: Int64[np.ndarray, " outputs"] | None = None) -> int:
    """How many drives must enter a layer; ``lift`` is that of the last one, None of others."""
    if lift is not None:
        return -(-int(lift.max()) // _EXCITES)
    return max(_to_fire(layer), -(-int(_to_silence(layer).max()) // _INHIBITS))


def with_drives(
    layer: Driven,
    shapes: tuple[Shape, Shape],
    entering: int,
    leaving: int,
    lift: Int64[np.ndarray, " outputs"] | None = None,
) -> Driven:
    """The layer with ``entering`` inputs more, the last ones, and ``leaving`` relays; of the last layer with the lift.

    Args:
        layer: as :func:`driven_layers` gives it.
        shapes: of its input and output.
        entering: at least :func:`drives_into`.
        leaving: relays; none of the last layer.
        lift: of the last layer, None of others.
    """
    outputs, inputs = layer.weight.shape[:2]
    column = np.zeros((outputs + leaving, entering), np.int16)
    if lift is not None:
        column[:] = _spread(lift, entering, _EXCITES)
    else:
        column[:outputs] = -_spread(_to_silence(layer), entering, _INHIBITS)
        column[outputs:, : _to_fire(layer)] = _EXCITES
    weight = np.zeros((outputs + leaving, inputs + entering, *layer.weight.shape[2:]), np.int16)
    weight[:outputs, :inputs] = layer.weight
    bias = layer.bias
    if bias is not None and leaving:
        bias = np.concatenate([bias, np.zeros((leaving, *bias.shape[1:]), bias.dtype)])
    if isinstance(layer, Conv):
        weight[:, inputs:] = column[:, :, None, None] * _once(layer, *shapes, layer.kind)
        return replace(layer, weight=weight, bias=bias)
    weight[:, inputs:] = column
    return replace(layer, weight=weight, bias=bias)


def _to_fire(layer: Driven) -> int:
    """Drives that together take a neuron at rest over the threshold."""
    return layer.neuron.threshold // _EXCITES + 1


def _to_silence(layer: Driven) -> Int64[np.ndarray, " outputs"]:
    """What must be taken from each channel at a step, so that no potential that has not fired does: even, 0 or more."""
    threshold = np.array([layer.neuron.threshold << STATE_SHIFT])
    lost = int((threshold - decay(threshold, layer.neuron.decays[1]))[0]) >> STATE_SHIFT
    bias = np.zeros(layer.outputs, np.int64) if layer.bias is None else layer.bias.astype(np.int64)
    most = bias.reshape(layer.outputs, -1).max(axis=1)
    return np.maximum(most - lost + WEIGHT_STEP - 1, 0) // WEIGHT_STEP * WEIGHT_STEP


def _spread(total: np.ndarray, parts: int, most: int) -> Int64[np.ndarray, "totals parts"]:
    """Whole numbers that add up to each total over as few parts as ``most`` in each allows."""
    taken = np.arange(parts) * most
    return np.clip(total[:, None] - taken, 0, most)


def _once(layer: Conv[Any], before: Shape, after: Shape, where: str) -> Int64[np.ndarray, "kh kw"]:
    """A kernel of ones and zeros that reads one position of a map of ones for each position of the output.

    Raises:
        UnsupportedLayerError: there is none.
    """
    rows, columns = (_taps_once(reads(layer, before, after, axis) >= 0) for axis in (0, 1))
    if not rows or not columns:
        raise UnsupportedLayerError(
            f"{where}: no tap of its kernel reaches every position, as the read phase of a spike readout has to; use "
            "--lowering dense, or read the potentials"
        )
    kernel = np.zeros(layer.weight.shape[2:], np.int64)
    kernel[np.ix_(rows, columns)] = 1
    return kernel


def _taps_once(reading: np.ndarray) -> Sequence[int]:
    """Taps along an axis of which every output reads exactly one; ``reading`` is ``(outputs, taps)``."""
    if (reading.sum(axis=1) == 1).all():
        return range(reading.shape[1])
    return np.flatnonzero(reading.all(axis=0))[:1].tolist()

"""A network from input to picture as a reader of a paper draws it: what each layer takes in, holds and occupies."""

from __future__ import annotations

import math
from dataclasses import dataclass

from deploy.view.numbers import shape
from export.ir import INPUT_LABEL, Conv, ConvTranspose, Network, Shape, Synapse
from export.ir.circuit import whole_network
from sim.counts.fan_out import fan_out
from sim.fit.chips import Chip
from sim.fit.mapping import Mapping, map_network

__all__ = ["OutlineLayer", "outline", "outline_of"]


@dataclass(frozen=True)
class OutlineLayer:
    """One stage of the drawing: what enters, a layer with neurons, or the picture.

    Attributes:
        layer: its label; ``input`` of spikes that enter, ``picture`` of what the readout makes of the last layer.
        shape: ``(C, H, W)`` or ``(features,)``.
        neurons: how many; 0 where there are none.
        kernel: ``3 × 3, stride 2`` of a convolution, ``3 × 3, stride 1×2`` where its sides differ, else empty.
        synapses: that arrive, those that reach beyond a border not counted; None where nothing does.
        cores: of the chip; None where there are no neurons, or the layer cannot be cut to fit.
    """

    layer: str
    shape: Shape
    neurons: int = 0
    kernel: str = ""
    synapses: int | None = None
    cores: int | None = None


def outline(network: Network, chip: Chip) -> list[OutlineLayer]:
    """The stages of a network in order, with the cores that they take of a chip."""
    network = whole_network(network)
    return outline_of(network, map_network(network, chip))


def outline_of(network: Network, mapping: Mapping) -> list[OutlineLayer]:
    """As :func:`outline`, of a network that was mapped already."""
    network = whole_network(network)
    cores = {layer.layer: len(layer.cores) for layer in mapping.layers if layer.problem is None}
    entering, inputs = network.input_shape, mapping.inputs
    found = [OutlineLayer("input", entering)]
    if network.input_neurons is not None:
        taken = None if inputs is None or inputs.problem is not None else len(inputs.cores)
        found = [OutlineLayer(INPUT_LABEL, entering, math.prod(entering), cores=taken)]
    for label, (layer, before, after) in zip(network.labels, network.synapses(), strict=True):
        synapses = int(fan_out(layer, before).sum())
        found.append(OutlineLayer(label, after, math.prod(after), _kernel(layer), synapses, cores.get(label)))
    if network.readout is not None:
        found.append(OutlineLayer("picture", network.readout.image_shape))
    return found


def _kernel(layer: Synapse) -> str:
    if not isinstance(layer, Conv | ConvTranspose):
        return ""
    y, x = layer.stride
    kernel, stride = shape(layer.weight.shape[2:]), str(y) if y == x else f"{y}×{x}"
    return kernel if stride == "1" else f"{kernel}, stride {stride}"

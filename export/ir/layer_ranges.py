"""The registers of a whole network: how far its currents and potentials can go, whatever spikes arrive."""

from __future__ import annotations

from export.ir.bounds import LayerRange, layer_range
from export.ir.network import Network
from export.ir.nodes import Lif, with_values

__all__ = ["layer_ranges"]


def layer_ranges(network: Network) -> list[LayerRange]:
    """Bounds of every layer of integrate-and-fire neurons that spikes enter, in file order.

    They hold over the window, or a single step where the network has none. What messages add up to has no bound.
    """
    found = []
    for where, graded, (layer, before, _) in zip(network.labels, network.graded, network.synapses(), strict=True):
        if not graded and isinstance(layer.neuron, Lif):
            plain = with_values(layer, layer.weight, layer.bias, layer.neuron)
            found.append(layer_range(plain, before, network.time_steps or 1, where))
    return found

"""The registers of a whole network: how far its currents and potentials can go, whatever spikes arrive."""

from __future__ import annotations

from export.ir.bounds import LayerRange, layer_range
from export.ir.network import Network

__all__ = ["layer_ranges"]


def layer_ranges(network: Network) -> list[LayerRange]:
    """Bounds of every layer with a neuron, in file order; over a single step where the network has no window."""
    return [
        layer_range(layer, before, network.time_steps or 1, where)
        for where, (layer, before, _) in zip(network.labels, network.synapses(), strict=True)
    ]

"""What each way of lowering a network costs, before it is done: the choice of ``--lowering auto``, with its reasons."""

from __future__ import annotations

import math
from dataclasses import dataclass

from export.ir import Conv, ConvTranspose, Network, all_weights
from export.ir.geometry import factor_after, lies_in_cells
from export.ir.limits import products
from export.passes.lower_dense import MAX_ELEMENTS
from export.passes.lower_subpixel import MAX_WEIGHTS, subpixel_weights

__all__ = ["LoweringCost", "lowering_costs"]

_BYTES = 8  # netx reads a dense layer's weights into an array of float64


@dataclass(frozen=True)
class LoweringCost:
    """One way to write the network.

    Attributes:
        lowering: ``none``, ``subpixel``, ``dense`` or ``native``.
        weights: stored: kernels as they are, zeros included; of unrolled layers, the synapses that exist.
        load_bytes: what stock netx allocates for the largest unrolled layer.
        refused: why it cannot be, or None.
    """

    lowering: str
    weights: int
    load_bytes: int = 0
    refused: str | None = None


def lowering_costs(network: Network) -> list[LoweringCost]:
    """All that can be done with a network, the best first: what stock netx loads with the fewest weights."""
    plain = sum(all_weights(layer).size for layer, _, _ in network.synapses())
    if not any(isinstance(layer, ConvTranspose) for layer in network.layers):
        return [LoweringCost("none", plain)]
    costs = [_subpixel(network), _dense(network)]
    costs.sort(key=lambda cost: (cost.refused is not None, cost.weights))
    return [*costs, LoweringCost("native", plain, refused="stock netx does not load transposed convolutions")]


def _subpixel(network: Network) -> LoweringCost:
    total, factor, refused = 0, (1, 1), None
    started = False
    for where, (layer, _, _) in zip(network.labels, network.synapses(), strict=True):
        started = started or isinstance(layer, ConvTranspose)
        if not started:
            total += all_weights(layer).size
            continue
        if not lies_in_cells(layer):
            return LoweringCost("subpixel", 0, refused=f"{where} is no convolution of stride 1")
        count = subpixel_weights(layer, factor)
        if count > MAX_WEIGHTS and refused is None:
            refused = f"{where} would have {count:,} weights"
        total += count
        factor = factor_after(layer, factor)
    return LoweringCost("subpixel", total, refused=refused)


def _dense(network: Network) -> LoweringCost:
    total, largest, refused = 0, 0, None
    for where, (layer, before, after) in zip(network.labels, network.synapses(), strict=True):
        elements = math.prod(before) * math.prod(after)
        largest = max(largest, elements)
        if elements > MAX_ELEMENTS and refused is None:
            refused = f"{where} would have {elements:,} elements"
        synapses = products(layer, before, after)
        if isinstance(layer, Conv):  # a kernel larger than its map
            synapses = min(synapses, elements // layer.groups)
        total += synapses
    return LoweringCost("dense", total, largest * _BYTES, refused)

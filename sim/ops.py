"""Exact counts of what a network does: spikes, synaptic operations, neuron updates.

A synaptic operation is one spike arriving over one synapse that exists: its weight is not zero and its target lies
inside the layer's output (at borders a kernel reaches fewer). Loihi 2's own counters count the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from export.ir import Conv, ConvTranspose, Dense, Network, Shape, Synapse
from sim.engine import LayerActivity

__all__ = ["LayerCounts", "count", "fan_out"]


@dataclass(frozen=True)
class LayerCounts:
    """Means over images of one layer's work on an image's whole window.

    Attributes:
        layer: position and type.
        neurons: in the layer.
        synapses: that exist.
        spikes_in: spikes that entered.
        synops: synaptic operations they caused.
        spikes: that the layer's neurons fired.
        updates: neuron updates, one for each neuron and step.
    """

    layer: str
    neurons: int
    synapses: int
    spikes_in: float
    synops: float
    spikes: float
    updates: int


def fan_out(layer: Synapse, input_shape: Shape) -> np.ndarray:
    """How many synapses leave each input neuron: int64, of the input's shape."""
    exists = torch.from_numpy((layer.weight != 0).astype(np.float64))
    if isinstance(layer, Dense):
        return (layer.weight != 0).sum(axis=0, dtype=np.int64)
    targets = torch.ones(1, *layer.output_shape(input_shape), dtype=torch.float64)
    if isinstance(layer, ConvTranspose):
        back = functional.conv2d(targets, exists, None, layer.stride, layer.padding, layer.dilation, layer.groups)
        back = back[..., : input_shape[1], : input_shape[2]]
    else:
        back = functional.conv_transpose2d(
            targets,
            exists,
            None,
            layer.stride,
            layer.padding,
            _unreached(layer, input_shape),
            layer.groups,
            layer.dilation,
        )
    return back[0].numpy().astype(np.int64)


def _unreached(layer: Conv, input_shape: Shape) -> tuple[int, int]:
    """Rows and columns at the far border that a strided kernel never reaches."""
    out = layer.output_shape(input_shape)[1:]
    rest = [
        n + 2 * p - d * (k - 1) - 1 - (m - 1) * s
        for n, p, d, k, m, s in zip(
            input_shape[1:], layer.padding, layer.dilation, layer.weight.shape[2:], out, layer.stride, strict=True
        )
    ]
    return rest[0], rest[1]


def count(network: Network, activity: Iterable[list[LayerActivity]]) -> list[LayerCounts]:
    """Counts over all chunks of a run of :meth:`sim.engine.Engine.run`; exact integers until the final mean."""
    synapses = list(network.synapses())
    reach = [torch.from_numpy(fan_out(layer, before)).double() for layer, before, _ in synapses]
    totals = np.zeros((len(synapses), 3), np.int64)
    images = steps = 0
    for chunk in activity:
        steps, count_in_chunk = chunk[0].entering.shape[:2]
        images += count_in_chunk
        for k, layer in enumerate(chunk):
            fired = layer.entering.sum(dim=(0, 1), dtype=torch.float64)
            totals[k] += [int(fired.sum()), int((fired * reach[k]).sum()), int(layer.spikes.sum(dtype=torch.float64))]
    return [
        LayerCounts(
            layer=f"layer {k} ({type(layer).__name__})",
            neurons=math.prod(after),
            synapses=int(reach[k].sum()),
            spikes_in=totals[k, 0] / images,
            synops=totals[k, 1] / images,
            spikes=totals[k, 2] / images,
            updates=math.prod(after) * steps,
        )
        for k, (layer, _, after) in enumerate(synapses)
    ]

"""How many synapses leave each input neuron, and how many products the same layer costs without spikes.

A synapse exists where its weight is not zero and its target lies inside the layer's output: at borders a kernel
reaches fewer neurons, and a strided kernel passes some by. Delays move an operation in time; they neither add one nor
take one away, so nothing here looks at them. A recurrent layer's inputs are those of the layer before it, then its own
neurons: each of its spikes also goes back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from esvae.arrays import Bool, Int64
from export.ir import Dense, Shape, Synapse, unlooped
from export.ir.geometry import grouped, reaches
from export.ir.limits import products

__all__ = ["Macs", "fan_out", "macs"]


@dataclass(frozen=True)
class Macs:
    """Multiply-accumulates of a layer's float equivalent, for one pass over one input.

    Attributes:
        effective: products of an input with a weight that is not zero, inside the borders. The same for a convolution
            and for the mostly empty matrix that it unrolls into, so that unrolling makes no comparison look better.
        full: the same with zero weights and the padding's zeros, as most counters of float networks have it: kernel
            size times output neurons (input neurons, where transposed), or all of a matrix.
    """

    effective: int
    full: int


def fan_out(
    layer: Synapse, input_shape: Shape, targets: Bool[np.ndarray, "*output"] | None = None
) -> Int64[np.ndarray, "*input"]:
    """Counts the synapses that leave each input neuron.

    Args:
        layer: its synapses.
        input_shape: ``(C, H, W)`` or ``(features,)`` of its input.
        targets: count only synapses to these neurons of its output; to all of them where None.
    """
    layer, input_shape = unlooped(layer, input_shape)
    if isinstance(layer, Dense):
        return np.count_nonzero(layer.weight if targets is None else layer.weight[targets], axis=0)
    exists = grouped(layer) != 0
    shape = layer.output_shape(input_shape)
    rows, columns = (reaches(layer, input_shape, shape, axis) for axis in (0, 1))
    if targets is None:
        by_tap = exists.sum(axis=1).reshape(-1, *exists.shape[3:])
        # Of whole numbers: threads that a product of floats takes would keep a core busy long after it.
        return (rows >= 0).astype(np.int64) @ by_tap @ (columns >= 0).T.astype(np.int64)
    wanted = np.zeros((shape[0], shape[1] + 1, shape[2] + 1))  # the last row and column, at -1: no target
    wanted[:, :-1, :-1] = targets.reshape(shape)
    found = np.zeros((layer.groups, exists.shape[2], math.prod(input_shape[1:])))
    for ky, kx in np.ndindex(*exists.shape[3:]):
        hit = wanted[:, rows[:, ky, None], columns[:, kx]].reshape(layer.groups, exists.shape[1], -1)
        found += exists[..., ky, kx].swapaxes(1, 2).astype(np.float64) @ hit  # exact: below 2^53
    return found.astype(np.int64).reshape(input_shape)


def macs(layer: Synapse, input_shape: Shape) -> Macs:
    """Products that one pass through the layer's float equivalent takes."""
    layer, input_shape = unlooped(layer, input_shape)
    effective = int(fan_out(layer, input_shape).sum())
    return Macs(effective, products(layer, input_shape, layer.output_shape(input_shape)))

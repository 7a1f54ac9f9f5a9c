"""How many synapses leave each input neuron, and how many products the same layer costs without spikes.

A synapse exists where its weight is not zero and its target lies inside the layer's output: at borders a kernel
reaches fewer neurons, and a strided kernel passes some by. Delays move an operation in time; they neither add one nor
take one away, so nothing here looks at them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from export.ir import Conv, ConvTranspose, Dense, Shape, Synapse

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


@torch.inference_mode()
def fan_out(layer: Synapse, input_shape: Shape, targets: np.ndarray | None = None) -> np.ndarray:
    """Counts the synapses that leave each input neuron.

    Args:
        layer: its synapses.
        input_shape: ``(C, H, W)`` or ``(features,)`` of its input.
        targets: bool of the layer's output shape: count only synapses to these neurons; all of them where None.

    Returns:
        int64 of the input's shape.
    """
    # The layer run backwards over ones: whole numbers below 2^53, which float64 adds without error in any order.
    exists = (layer.weight != 0).astype(np.float64)
    if isinstance(layer, Dense):
        rows = exists if targets is None else exists[targets]
        return rows.sum(axis=0).astype(np.int64)
    shape = layer.output_shape(input_shape)
    wanted = torch.ones(1, *shape, dtype=torch.float64)
    if targets is not None:
        wanted = torch.from_numpy(targets.reshape(1, *shape).astype(np.float64))
    weight = torch.from_numpy(exists)
    if isinstance(layer, ConvTranspose):
        back = functional.conv2d(wanted, weight, None, layer.stride, layer.padding, layer.dilation, layer.groups)
        # With dilation the output padding may be as large as the stride, and then one place too many fits.
        back = back[..., : input_shape[1], : input_shape[2]]
    else:
        passed_by = _passed_by(layer, input_shape, shape)
        back = functional.conv_transpose2d(
            wanted, weight, None, layer.stride, layer.padding, passed_by, layer.groups, layer.dilation
        )
    return back[0].numpy().astype(np.int64)


def macs(layer: Synapse, input_shape: Shape) -> Macs:
    """Products that one pass through the layer's float equivalent takes."""
    effective = int(fan_out(layer, input_shape).sum())
    if isinstance(layer, Dense):
        return Macs(effective, layer.weight.size)
    places = input_shape if isinstance(layer, ConvTranspose) else layer.output_shape(input_shape)
    return Macs(effective, math.prod(places) * math.prod(layer.weight.shape[1:]))


def _passed_by(layer: Conv, input_shape: Shape, output_shape: Shape) -> tuple[int, int]:
    """Rows and columns at the far border that a strided kernel never reaches."""
    rest = [
        n + 2 * p - d * (k - 1) - 1 - (m - 1) * s
        for n, p, d, k, m, s in zip(
            input_shape[1:],
            layer.padding,
            layer.dilation,
            layer.weight.shape[2:],
            output_shape[1:],
            layer.stride,
            strict=True,
        )
    ]
    return rest[0], rest[1]

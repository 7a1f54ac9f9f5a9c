"""Synapses as sparse matrices, without a dense array on the way."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import sparse

from export.ir import Conv, ConvTranspose, Dense, Shape, Synapse

__all__ = ["unrolled"]


def unrolled(layer: Synapse, before: Shape) -> Any:
    """What each input neuron sends to each output neuron, neurons counted channels outermost.

    Args:
        layer: its weights and geometry.
        before: shape of the spikes that enter, ``(C, H, W)`` or ``(features,)``.

    Returns:
        ``scipy.sparse.csr_matrix``, int32, ``(outputs, inputs)``, without stored zeros.
    """
    if isinstance(layer, Dense):
        matrix = sparse.csr_matrix(layer.weight.astype(np.int32))
        matrix.eliminate_zeros()
        return matrix
    after = layer.output_shape(before)
    rows, columns, values = [], [], []
    kernel = layer.weight.shape[2:]
    for ky in range(kernel[0]):
        ys = _meeting(layer, 0, ky, before[1], after[1])
        for kx in range(kernel[1]):
            xs = _meeting(layer, 1, kx, before[2], after[2])
            entry = (ys[0][:, None] * before[2] + xs[0]).reshape(-1)  # position within an input map
            leave = (ys[1][:, None] * after[2] + xs[1]).reshape(-1)  # within an output map
            source, target, weight = _pairs(layer, ky, kx)
            columns.append((source[:, None] * (before[1] * before[2]) + entry).reshape(-1))
            rows.append((target[:, None] * (after[1] * after[2]) + leave).reshape(-1))
            values.append(np.repeat(weight, len(entry)))
    shape = (math.prod(after), math.prod(before))
    at = (np.concatenate(rows), np.concatenate(columns))
    return sparse.coo_matrix((np.concatenate(values), at), shape).tocsr()


def _meeting(
    layer: Conv | ConvTranspose, axis: int, tap: int, inputs: int, outputs: int
) -> tuple[np.ndarray, np.ndarray]:
    """Along one axis, the positions of inputs and outputs that one tap of the kernel connects: int32, equally long."""
    stride, shift = layer.stride[axis], tap * layer.dilation[axis] - layer.padding[axis]
    coarse = np.arange(inputs if isinstance(layer, ConvTranspose) else outputs, dtype=np.int32)
    fine = coarse * stride + shift
    inside = (fine >= 0) & (fine < (outputs if isinstance(layer, ConvTranspose) else inputs))
    coarse, fine = coarse[inside], fine[inside]
    return (coarse, fine) if isinstance(layer, ConvTranspose) else (fine, coarse)


def _pairs(layer: Conv | ConvTranspose, ky: int, kx: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Input channel, output channel and weight of every weight of one tap that is not zero: int32, equally long."""
    tap = layer.weight[:, :, ky, kx].astype(np.int32)
    first, second = (index.astype(np.int32) for index in np.nonzero(tap))
    weight = tap[first, second]
    # Axis 0 runs through all outputs (all inputs where transposed), axis 1 through the other side's, of one group.
    group = first // (len(tap) // layer.groups)
    other = group * tap.shape[1] + second
    return (first, other, weight) if isinstance(layer, ConvTranspose) else (other, first, weight)

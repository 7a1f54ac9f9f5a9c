"""Synapses as sparse matrices, without a dense array on the way."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from export.ir import Shape, Synapse
from export.ir.geometry import sources

__all__ = ["unrolled"]


def unrolled(layer: Synapse, before: Shape) -> Any:
    """What each input neuron sends to each output neuron, neurons counted channels outermost.

    Args:
        layer: its weights and geometry.
        before: shape of the spikes that enter, ``(C, H, W)`` or ``(features,)``.

    Returns:
        ``scipy.sparse.csr_matrix``, int32, ``(outputs, inputs)``, without stored zeros.
    """
    from scipy import sparse  # which takes a while to import, and every command that runs a network imports this file

    counts, inputs, weights = [], [], []
    for each, read, sent in sources(layer, before):
        counts.append(each)
        inputs.append(read.astype(np.int32))
        weights.append(sent.astype(np.int32))
    rows = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    shape = (math.prod(layer.output_shape(before)), math.prod(before))
    matrix = sparse.csr_matrix((np.concatenate(weights), np.concatenate(inputs), rows), shape)
    matrix.sort_indices()
    return matrix

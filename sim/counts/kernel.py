"""Counting spikes, or messages, in one pass through memory: how many, over how many synapses, and by which neuron.

On a CPU a compiled loop of whole numbers, one thread to a step; elsewhere float64 products, exact below 2^53.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch

from esvae.machine.jit import kernel

__all__ = ["count_spikes"]


@kernel(parallel=True)
def _count(spikes: Any, reach: Any, fired: Any, operations: Any, by_neuron: Any) -> None:
    steps, images, neurons = spikes.shape
    for t in numba.prange(steps):
        seen = by_neuron[t]
        for n in range(images):
            row = spikes[t, n]
            count = np.int64(0)
            synops = np.int64(0)
            for i in range(neurons):
                spike = row[i] != 0
                count += np.int64(1) if spike else np.int64(0)
                synops += np.int64(reach[i]) if spike else np.int64(0)
                seen[i] += np.int32(1) if spike else np.int32(0)
            fired[t, n] = count
            operations[t, n] = synops


@torch.inference_mode()
def count_spikes(spikes: torch.Tensor, reach: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts spikes and the synaptic operations they cause.

    Args:
        spikes: 0 or 1, or messages, ``(steps, images, *shape)``; read as it lies in memory, channels innermost or
            outermost.
        reach: synapses that leave each neuron, int64 of ``shape`` (see :func:`sim.counts.fan_out.fan_out`).

    Returns:
        Spikes and operations of each step and image, int64 ``(steps, images)``; and spikes of each neuron summed over
        images, int64 ``(steps, neurons)`` in the order of ``shape`` flattened.
    """
    steps, images, *shape = spikes.shape
    # Maps lie in memory with channels innermost; a copy into another order would cost more than the count.
    innermost = len(shape) == 3 and not spikes.is_contiguous()
    if innermost:
        spikes, reach = spikes.permute(0, 1, 3, 4, 2), reach.transpose(1, 2, 0)
    rows = spikes.reshape(steps, images, -1)
    if rows.device.type != "cpu":
        fired, operations, by_neuron = _elsewhere(rows, reach.reshape(-1))
    else:
        fired, operations = np.empty((steps, images), np.int64), np.empty((steps, images), np.int64)
        seen = np.zeros((steps, rows.shape[2]), np.int32)
        narrow = np.int32 if reach.size == 0 or reach.max() <= np.iinfo(np.int32).max else np.int64
        _count(rows.numpy(), np.ascontiguousarray(reach.reshape(-1), narrow), fired, operations, seen)
        by_neuron = seen.astype(np.int64)
    if innermost:
        channels, height, width = shape
        by_neuron = by_neuron.reshape(steps, height, width, channels).transpose(0, 3, 1, 2).reshape(steps, -1)
    return fired, operations, by_neuron


def _elsewhere(rows: torch.Tensor, reach: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same on an accelerator, in float64, whose products no setting makes coarser."""
    exact = (rows != 0).double()
    weights = torch.from_numpy(np.ascontiguousarray(reach)).to(rows.device, torch.float64)
    results = exact.sum(dim=2), exact @ weights, exact.sum(dim=1)
    fired, operations, by_neuron = (x.cpu().numpy().astype(np.int64) for x in results)
    return fired, operations, by_neuron

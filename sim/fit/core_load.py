"""What each core of a mapped network does: operations and updates in each step, and the spikes sent between cores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from esvae.arrays import Float64, Int64, Real
from export.ir import Dense, Network, RecurrentDense, Shape, Synapse, unlooped
from sim.counts.fan_out import fan_out
from sim.fit.chips import Chip
from sim.fit.mapping import Core, Mapping

__all__ = ["CoreLoad", "core_load", "core_reach"]


@dataclass(frozen=True, eq=False)
class CoreLoad:
    """What the cores do, mean over images.

    Attributes:
        layer: int64 ``(cores,)``: to which layer with synapses each core belongs; -1 for input neurons.
        synops: synaptic operations on each core in each step, float64 ``(steps, cores)``.
        neurons: on each core, which are its updates in each step, int64 ``(cores,)``.
        packets: sent in an image's window: one for each spike and core that it reaches.
        hops: routers that these packets pass from one to the next.
    """

    layer: Int64[np.ndarray, " cores"]
    synops: Float64[np.ndarray, "steps cores"]
    neurons: Int64[np.ndarray, " cores"]
    packets: float
    hops: float


def core_load(network: Network, entering: Sequence[Real[np.ndarray, "steps _inputs"]], mapping: Mapping) -> CoreLoad:
    """Spreads a network's work over the cores of a mapping without problems.

    Args:
        network: that was mapped.
        entering: for each layer the spikes that enter it, mean over images: ``(steps, inputs)``; into a recurrent one
            also its own.
        mapping: of the network.

    Cores are filled in order, layer after layer, along a path through the mesh that turns at each row's end; packets
    go the shortest way. Spikes that enter the network come from its input neurons, or,
    where it has none, from the first core's tile.
    """
    layer_of, synops, neurons = [], [], []
    packets = hops = 0.0
    source = np.zeros(math.prod(network.input_shape), np.int64)
    first = 0
    if mapping.inputs is not None:
        cores = mapping.inputs.cores
        source, first = _homes(cores, network.input_shape, 0), len(cores)
        layer_of, neurons = [-1] * first, [core.neurons for core in cores]
        synops.append(np.zeros((len(entering[0]), first)))
    for k, ((layer, before, after), mapped) in enumerate(zip(network.synapses(), mapping.layers, strict=True)):
        reach = core_reach(layer, before, after, mapped.cores)
        homes = _homes(mapped.cores, after, first)
        if isinstance(layer, RecurrentDense):
            source = np.concatenate((source, homes))
        synops.append(entering[k] @ reach.T)
        fired = entering[k].sum(axis=0)
        for index, reached in enumerate(reach > 0):
            sent = np.bincount(source, weights=fired * reached, minlength=1)
            packets += float(sent.sum())
            senders = np.flatnonzero(sent)
            hops += float(sent[senders] @ _distances(mapping.chip, senders, first + index))
        source = homes
        layer_of += [k] * len(mapped.cores)
        neurons += [core.neurons for core in mapped.cores]
        first += len(mapped.cores)
    return CoreLoad(np.array(layer_of), np.concatenate(synops, axis=1), np.array(neurons), packets, hops)


def _homes(cores: Sequence[Core], shape: Shape, first: int) -> np.ndarray:
    """On which core each neuron is, counted from ``first``: int64 ``(neurons,)``."""
    home = np.zeros(math.prod(shape), np.int64)
    for index, core in enumerate(cores):
        home[core.mask(shape).reshape(-1)] = first + index
    return home


def core_reach(layer: Synapse, before: Shape, after: Shape, cores: Sequence[Core]) -> Int64[np.ndarray, "cores inputs"]:
    """Synapses from each input to each core of a layer: int64 ``(cores, inputs)``."""
    layer, before = unlooped(layer, before)
    if isinstance(layer, Dense):
        return np.stack([np.count_nonzero(layer.weight[slice(*core.block[0])], axis=0) for core in cores])
    return np.stack([fan_out(layer, before, core.mask(after)).reshape(-1) for core in cores])


def _distances(chip: Chip, senders: np.ndarray, receiver: int) -> np.ndarray:
    """Routers passed from the tiles of some cores to that of another."""
    (x, y), (to_x, to_y) = (_tile(chip, np.asarray(core)) for core in (senders, receiver))
    return np.abs(x - to_x) + np.abs(y - to_y)


def _tile(chip: Chip, core: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    row, column = np.divmod(core // chip.cores_per_tile, chip.mesh_width)
    return np.where(row % 2, chip.mesh_width - 1 - column, column), row

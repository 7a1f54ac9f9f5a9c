"""A generator whose pixels tell their potentials by their first spikes, made of one whose potentials would be read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from esvae.arrays import UInt8
from esvae.errors import ConfigError, DataError, UnsupportedLayerError
from export.integer_layer import potentials_of, spikes_of
from export.ir import Network, SpikeReadout
from export.readout.first_spike import best_lift, first_edges, levels_of
from export.readout.relays import Driven, driven_layers, drives_into, with_drives

__all__ = ["with_spike_readout"]


@torch.no_grad()
def with_spike_readout(network: Network, steps: int, spikes: UInt8[np.ndarray, "images steps *inputs"]) -> Network:
    """The network with a read phase of ``steps`` behind the image's; up to it every integer is as it was.

    Args:
        network: a generator with a window, lowered.
        steps: of the read phase.
        spikes: of images that threshold and lift are chosen on, 0 or 1.

    Raises:
        ConfigError: no read steps.
        DataError: no generator, or one with a spike readout already.
        HardwareRangeError: no threshold reads its potentials.
        UnsupportedLayerError: a layer that the read phase cannot pass, see :mod:`export.readout.relays`.
    """
    if steps < 1:
        raise ConfigError(f"--read-steps {steps}: expected at least 1")
    if network.readout is None or network.time_steps is None or network.spike_readout is not None:
        raise DataError("a spike readout is made of a generator with a window, whose potentials are read so far")
    layers, unit = driven_layers(network), network.readout.unit
    last = layers[-1][0]
    entered = spikes.reshape(*spikes.shape[:2], *network.input_shape)  # layers that were unrolled take features
    potentials = _potentials(dict(zip(network.labels, (layer for layer, _ in layers), strict=True)), entered)
    bias = np.zeros(last.outputs, np.int64) if last.bias is None else last.bias.astype(np.int64)
    if bias.ndim > 1:
        raise UnsupportedLayerError("a spike readout takes one bias for each channel of the last convolution")
    lift = best_lift(potentials.reshape(*potentials.shape[:2], last.outputs, -1), bias, last.neuron, steps, unit)
    reading = replace(last.neuron, threshold=lift.threshold)
    edges = first_edges(reading, bias + lift.weight, steps)
    lifts = [None] * (len(layers) - 1) + [lift.weight]
    entering = [drives_into(layer, each) for (layer, _), each in zip(layers, lifts, strict=True)]
    made = [
        with_drives(layer, shapes, came, left, each)
        for (layer, shapes), came, left, each in zip(layers, entering, [*entering[1:], 0], lifts, strict=True)
    ]
    made[-1] = replace(made[-1], neuron=reading)
    channels, *place = network.input_shape
    return replace(
        network,
        input_shape=(channels + entering[0], *place),
        layers=tuple(made),
        time_steps=network.time_steps + steps,
        spike_readout=SpikeReadout(entering[0], levels_of(edges, lift.threshold, unit)),
        provenance={**network.provenance, "readout": f"first spikes, {steps} read steps"},
    )


def _potentials(layers: dict[str, Driven], spikes: np.ndarray) -> np.ndarray:
    """Of the last layer after every step, ``(steps, images, *shape)``; layers by their label."""
    raster = torch.from_numpy(np.ascontiguousarray(spikes.swapaxes(0, 1))).float()
    *hidden, (where, last) = layers.items()
    for before, layer in hidden:
        raster = spikes_of(layer, raster, before)
    return potentials_of(last, raster, where)

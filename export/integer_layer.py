"""What one integer layer computes of spikes: beside :mod:`export.float_layer`, for passes that judge rounding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from esvae.arrays import Float, Int64
from esvae.chip.lif import integer_lif, integer_readout
from esvae.chip.neuron import lif_step
from export.float_layer import sums_of
from export.ir import Lif, Neuron, RecurrentDense, Synapse, lif_of

__all__ = ["ends_of", "potentials_of", "spikes_of"]

#: What takes integrate-and-fire neurons alone, in messages.
_WHAT = "judging its rounding"


def spikes_of(
    layer: Synapse[Neuron], raster: Float[torch.Tensor, "steps images *input"], where: str
) -> Float[torch.Tensor, "steps images *output"]:
    """Spikes ``(steps, images, *output shape)`` of neurons that start at rest; of the raster's number type.

    Args:
        layer: with integers.
        where: its label.
        raster: 0 or 1, ``(steps, images, *input shape)``; float32 holds all sums of layers whose current cannot wrap.

    Raises:
        UnsupportedLayerError: other neurons than integrate-and-fire.
    """
    neuron, (sums, bias) = lif_of(layer.neuron, where, _WHAT), _driven(layer, raster)
    if isinstance(layer, RecurrentDense):
        return _looped(layer.recurrent, neuron, sums.numpy(), bias.numpy().astype(np.int64)).to(sums.dtype)
    return integer_lif(sums.flatten(2), bias.flatten(), neuron).unflatten(2, sums.shape[2:])


def ends_of(
    layer: Synapse[Neuron], raster: Float[torch.Tensor, "steps images *input"], where: str
) -> Float[torch.Tensor, " images *output"]:
    """Potentials after the last step, ``(images, *output shape)``, of a layer that does not fire; as above."""
    neuron, (sums, bias) = lif_of(layer.neuron, where, _WHAT), _driven(layer, raster)
    return integer_readout(sums.flatten(2), bias.flatten(), neuron).unflatten(1, sums.shape[2:])


def potentials_of(
    layer: Synapse[Neuron], raster: Float[torch.Tensor, "steps images *input"], where: str
) -> Int64[np.ndarray, "steps images *output"]:
    """Potentials after every step, int64 ``(steps, images, *output shape)``, of a layer that does not fire."""
    neuron = lif_of(layer.neuron, where, _WHAT)
    sums, bias = (x.numpy() for x in _driven(layer, raster))
    u = v = np.zeros(sums.shape[1:], np.int64)
    found = np.empty(sums.shape, np.int64)
    for step, arriving in enumerate(sums):
        u, v, _ = lif_step(u, v, arriving.astype(np.int64), bias.astype(np.int64), neuron)
        found[step] = v
    return found


def _looped(recurrent: np.ndarray, neuron: Lif, sums: np.ndarray, bias: np.ndarray) -> torch.Tensor:
    """Spikes of neurons that also take each other's, a step later."""
    u = v = s = np.zeros(sums.shape[1:], np.int64)
    back, spikes = recurrent.astype(np.int64).T, []
    for arriving in sums:
        u, v, s = lif_step(u, v, arriving.astype(np.int64) + s.astype(np.int64) @ back, bias, neuron)
        spikes.append(s)
    return torch.from_numpy(np.stack(spikes))


def _driven(layer: Synapse[Neuron], raster: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums of weights, and each neuron's bias."""
    number: Any = raster.numpy().dtype
    sums = sums_of(replace(layer, weight=layer.weight.astype(number)), raster)
    shape = sums.shape[2:]
    bias = torch.zeros(shape, dtype=torch.float64)
    if layer.bias is not None:
        bias += torch.from_numpy(layer.bias).reshape(layer.bias.shape + (1,) * (len(shape) - layer.bias.ndim))
    return sums, bias

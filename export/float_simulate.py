"""What a float network computes: the plain float64 definition that frontends, quantizing and NIR are held against.

The neuron is :class:`esvae.chip.neuron.FloatLif`, from rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from esvae.errors import DataError
from export.ir import Conv, Dense, Flatten, FloatLif, Synapse
from export.ir.floats import FloatNetwork
from export.passes.fold_norm import fold_norm

__all__ = ["FloatTrace", "fire", "simulate_float", "sums_of"]


@dataclass(frozen=True, eq=False)
class FloatTrace:
    """One layer's states after each step, ``(images, steps, *layer shape)``.

    Attributes:
        v: float64 potential as it is compared with the threshold; neurons that fire go on from zero.
        s: spikes, uint8 0 or 1.
    """

    v: np.ndarray
    s: np.ndarray


@torch.inference_mode()
def simulate_float(network: FloatNetwork, spikes: np.ndarray) -> list[FloatTrace]:
    """Runs samples from rest, in float64; norms are folded first.

    Args:
        network: any float network.
        spikes: 0 or 1, ``(images, steps, *input shape)``.

    Returns:
        One trace for each layer with neurons, in order.

    Raises:
        DataError: spikes of another shape.
    """
    wanted = network.input_shape
    if spikes.ndim != len(wanted) + 2 or spikes.shape[2:] != wanted:
        raise DataError(f"spikes have shape {spikes.shape}, expected (images, steps, {', '.join(map(str, wanted))})")
    folded = fold_norm(network)
    raster = torch.from_numpy(np.ascontiguousarray(spikes.swapaxes(0, 1))).double()
    raster = raster.reshape(*raster.shape[:2], *folded.input_shape)
    traces = []
    for layer in folded.layers:
        if isinstance(layer, Flatten):
            raster = raster.flatten(2)
            continue
        v, raster = fire(layer.synapse, sums_of(layer.synapse, raster))
        traces.append(FloatTrace(*(_outside(x) for x in (v, raster.to(torch.uint8)))))
    return traces


def _outside(raster: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(raster.transpose(0, 1).numpy())


def sums_of(layer: Synapse, raster: torch.Tensor) -> torch.Tensor:
    """Sums of the weights of the inputs that spiked, ``(steps, images, *output shape)``, time folded into the batch."""
    if isinstance(layer, Dense):
        return _dense(layer, raster)
    weight, x = torch.from_numpy(layer.weight), raster.flatten(0, 1)
    if isinstance(layer, Conv):
        sums = functional.conv2d(x, weight, None, layer.stride, layer.padding, layer.dilation, layer.groups)
    else:
        sums = functional.conv_transpose2d(
            x, weight, None, layer.stride, layer.padding, layer.output_padding, layer.groups, layer.dilation
        )
    return sums.unflatten(0, raster.shape[:2])


def _dense(layer: Dense, raster: torch.Tensor) -> torch.Tensor:
    weight = torch.from_numpy(layer.weight)
    if layer.delay is None:
        return raster @ weight.T
    delay, steps = torch.from_numpy(layer.delay), len(raster)
    total = raster.new_zeros(*raster.shape[:2], len(weight))
    for held in delay.unique().tolist():
        late = torch.zeros_like(raster)
        late[held:] = raster[: max(steps - held, 0)]
        total += late @ torch.where(delay == held, weight, 0.0).T
    return total


def fire(layer: Synapse[FloatLif], sums: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Potentials before the reset, and spikes, of sums ``(steps, images, *layer shape)``; float64, likewise."""
    neuron = layer.neuron
    bias = torch.zeros(1, dtype=torch.float64)
    if layer.bias is not None:
        shape = layer.bias.shape + (1,) * (sums.ndim - 2 - layer.bias.ndim)
        bias = torch.from_numpy(layer.bias).reshape(shape)
    i = v = s = torch.zeros_like(sums[0])
    potentials, spikes = [], []
    for drive in sums:
        i = neuron.current_keep * i + drive
        v = neuron.keep * v * (1 - s) + (i + bias)
        s = (v > neuron.threshold).double()
        potentials.append(v)
        spikes.append(s)
    return torch.stack(potentials), torch.stack(spikes)

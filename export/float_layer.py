"""What one float layer computes of spikes: the sums of its weights, and its neurons."""

from __future__ import annotations

import torch
from torch.nn import functional

from esvae.arrays import Float, Float64
from export.ir import Conv, Dense, FloatLif, RecurrentDense, Synapse
from export.ir.geometry import reads_nothing

__all__ = ["fire", "sums_of"]


def sums_of(
    layer: Synapse, raster: Float[torch.Tensor, "steps images *input"]
) -> Float[torch.Tensor, "steps images *output"]:
    """Sums of the weights of the inputs that spiked, both of one precision; time is folded into the batch.

    Of a recurrent layer without what its own neurons send, which :func:`fire` adds.
    """
    if isinstance(layer, Dense):
        return _dense(layer, raster)
    if isinstance(layer, RecurrentDense):
        return raster @ torch.from_numpy(layer.weight).T
    weight, x = torch.from_numpy(layer.weight), raster.flatten(0, 1)
    before = tuple(x.shape[1:])
    after = layer.output_shape(before)
    if reads_nothing(layer, before, after):  # torch's own convolution may crash
        return raster.new_zeros(*raster.shape[:2], *after)
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


def fire(
    layer: Synapse[FloatLif], sums: Float[torch.Tensor, "steps images *layer"]
) -> tuple[Float64[torch.Tensor, "steps images *layer"], Float64[torch.Tensor, "steps images *layer"]]:
    """Potentials before the reset, and spikes, of sums of weights; of either precision, computed in float64."""
    neuron = layer.neuron
    bias = torch.zeros(1, dtype=torch.float64)
    if layer.bias is not None:
        shape = layer.bias.shape + (1,) * (sums.ndim - 2 - layer.bias.ndim)
        bias = torch.from_numpy(layer.bias).reshape(shape)
    back = torch.from_numpy(layer.recurrent.T).double() if isinstance(layer, RecurrentDense) else None
    i = v = s = torch.zeros_like(sums[0])
    potentials, spikes = [], []
    for drive in sums:
        if back is not None:
            drive = drive + s.double() @ back
        i = neuron.current_keep * i + drive
        v = neuron.keep * v * (1 - s) + (i + bias)
        s = (v > neuron.threshold).double()
        potentials.append(v)
        spikes.append(s)
    return torch.stack(potentials), torch.stack(spikes)

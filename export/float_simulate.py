"""What a float network computes: the plain float64 definition that frontends, quantizing and NIR are held against.

The neuron is :class:`esvae.chip.neuron.FloatLif`, from rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from esvae.arrays import Float64, UInt8
from esvae.errors import DataError
from export.float_layer import fire, sums_of
from export.ir import Flatten
from export.ir.floats import FloatNetwork
from export.passes.fold_norm import fold_norm

__all__ = ["FloatTrace", "simulate_float"]


@dataclass(frozen=True, eq=False)
class FloatTrace:
    """One layer's states after each step.

    Attributes:
        v: potential as it is compared with the threshold; neurons that fire go on from zero.
        s: spikes, 0 or 1.
    """

    v: Float64[np.ndarray, "images steps *layer"]
    s: UInt8[np.ndarray, "images steps *layer"]


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

"""Neurons as a frontend of torch's modules reads them, and what they ask of the synapses before them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from esvae.arrays import Float, Float64, Real
from esvae.errors import UnsupportedLayerError
from export.ir import Dense, FloatLif
from export.ir.floats import Norm

__all__ = ["Cell", "biased", "parameter_array", "subtracting"]


@dataclass(frozen=True)
class Cell:
    """Neurons, as a frontend reads them.

    Attributes:
        neuron: decays and threshold.
        gain: what 1 of the input adds, to the current where one lasts, else to the potential.
        subtracted: what a spike takes from the potential of the next step, where it does not reset it; or None.
        scale: integers for 1.0 where the numbers are of the chip's grid; or None.
    """

    neuron: FloatLif
    gain: float = 1.0
    subtracted: float | None = None
    scale: float | None = None

    @property
    def fires(self) -> bool:
        """Whether it has a threshold."""
        return math.isfinite(self.neuron.threshold)


def parameter_array(values: Real[torch.Tensor, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """What a module of torch holds, as float64 in memory of its own."""
    found: np.ndarray = values.detach().double().cpu().numpy().copy()
    return found


def biased(synapse: Any, norm: Norm | None, bias: Float[np.ndarray, " outputs"]) -> tuple[Any, Norm | None]:
    """With a bias that no norm scales."""
    if norm is not None:
        return synapse, Norm(norm.scale, norm.shift + bias)
    return replace(synapse, bias=bias if synapse.bias is None else synapse.bias + bias), None


def subtracting(cell: Cell, synapse: Any, place: str) -> tuple[Cell, Float64[np.ndarray, "outputs outputs"]]:
    """Neurons from whose potential a spike takes a number, where the chip's start again from zero.

    The current takes the potential's place, since no spike resets it, and each neuron's spike comes back to it a step
    later by a synapse that takes the number off.
    """
    if not isinstance(synapse, Dense) or cell.neuron.current_keep:
        raise UnsupportedLayerError(
            f"{place}: a spike subtracts the threshold, which the chip's neurons do only in dense layers without a "
            "current that lasts; train with reset to zero"
        )
    neuron = FloatLif(0.0, cell.neuron.threshold, cell.neuron.keep)
    back = -np.eye(synapse.outputs) * (cell.subtracted or 0.0) / cell.gain
    return Cell(neuron, cell.gain), back

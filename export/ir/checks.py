"""What holds of every network, of integers or floats: shapes that fit together."""

from __future__ import annotations

import math

from esvae.errors import NetFileError
from export.ir import limits
from export.ir.nodes import Layer, Shape, Synapse, check_array

__all__ = ["check_bias", "check_entry", "shape_behind"]


def check_entry(input_shape: Shape, time_steps: int | None) -> None:
    """Raises NetFileError unless spikes of this shape can enter a network for so many steps."""
    if not isinstance(input_shape, tuple) or len(input_shape) not in (1, 3) or min(input_shape) < 1:
        raise NetFileError(f"input shape {input_shape}: expected (features,) or (C, H, W)")
    if math.prod(input_shape) > limits.NEURONS:
        raise NetFileError(f"input shape {input_shape}: at most {limits.NEURONS:,} inputs")
    if time_steps is not None and not 1 <= time_steps <= limits.STEPS:
        raise NetFileError(f"time_steps {time_steps}: expected 1 to {limits.STEPS}")


def shape_behind(layer: Layer, before: Shape, where: str) -> Shape:
    """What a layer gives of ``before``; raises NetFileError, naming it, where it does not fit."""
    try:
        return layer.output_shape(before)
    except NetFileError as error:
        raise NetFileError(f"{where}: {error}") from None


def check_bias(layer: Synapse, shape: Shape, where: str) -> None:
    """Raises NetFileError unless a layer has no bias, one by channel or feature, or one by neuron."""
    if layer.bias is None:
        return
    try:
        check_array(layer.bias, "bias")
    except NetFileError as error:
        raise NetFileError(f"{where}: {error}") from None
    if layer.bias.shape not in (shape[:1], shape):
        raise NetFileError(f"{where}: bias has shape {layer.bias.shape}, expected {shape[:1]} or {shape}")

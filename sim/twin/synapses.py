"""Sums of weights in floating point that are whole numbers, exactly: which type is wide enough, and the sums.

A type holds a sum exactly, in any order of summation, where the weights of no neuron add up to its largest exact whole
number: every partial sum is then a whole number within it. That holds for a direct summation, products with 0 or 1,
as a matrix product and a direct convolution do it. It does not for a Winograd or Fourier kernel, whose intermediate
numbers are no partial sums; torch's CPU convolutions by oneDNN are direct (those by NNPACK, which stands in where it is
missing, are not, and are turned off), a GPU's need not be, so there it is a matrix product.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional

from esvae.arrays import Float, Float64, Int32, Int64, Integer, Real, Shaped
from export.ir import Conv, ConvTranspose, Dense, Shape, Synapse
from export.ir.bounds import largest_sum
from export.ir.geometry import reads_nothing

__all__ = [
    "DenseSums",
    "exact_type",
    "is_direct",
    "logical",
    "map_sums",
    "memory_order",
    "portable_map_sums",
    "wrapped_delayed",
]

#: Whole numbers up to here in magnitude are exact in each type, and so is the sum of any two whose sum is within it.
_EXACT = ((torch.float32, 1 << 24), (torch.float64, 1 << 53))


def exact_type(layer: Synapse, message: int = 1) -> torch.dtype:
    """The narrowest float type that holds every partial sum of the layer's weights exactly.

    Args:
        layer: its synapses.
        message: the largest magnitude of what enters; each product is at most so many times its weight.

    Raises:
        ValueError: none does.
    """
    bound = largest_sum(layer) * message
    for dtype, limit in _EXACT:
        if bound < limit:
            return dtype
    raise ValueError(f"products of one neuron sum to {bound}, beyond what float64 holds exactly")


def is_direct(layer: Conv | ConvTranspose, input_shape: Shape, output_shape: Shape) -> bool:
    """Whether torch's CPU convolution is a sound direct summation for this layer.

    torch 2.3.1's oneDNN kernels give wrong sums, or crash, where a stride along a row meets an output of one row or
    column, or a padding as wide as the kernel; and they crash where every output reads the padding alone.
    ``tests/sim/twin/test_engine_kernels.py`` holds what is let through to matrix products.
    """
    if isinstance(layer, ConvTranspose):
        return True
    if reads_nothing(layer, input_shape, output_shape):
        return False
    if layer.stride[1] == 1:
        return True
    reaches = [d * (k - 1) + 1 for d, k in zip(layer.dilation, layer.weight.shape[2:], strict=True)]
    return min(output_shape[1:]) > 1 and all(p < r for p, r in zip(layer.padding, reaches, strict=True))


def map_sums(
    layer: Conv | ConvTranspose,
    x: Float[torch.Tensor, "images before height width"],
    weight: Float[torch.Tensor, "_outputs _inputs kh kw"],
) -> Float[torch.Tensor, "images after rows columns"]:
    """Sums for spikes ``(N, *input shape)`` by torch's direct CPU convolution: ``(N, *output shape)``.

    For layers that :func:`is_direct` lets through.
    """
    if isinstance(layer, Conv):
        return functional.conv2d(x, weight, None, layer.stride, layer.padding, layer.dilation, layer.groups)
    return functional.conv_transpose2d(
        x, weight, None, layer.stride, layer.padding, layer.output_padding, layer.groups, layer.dilation
    )


def portable_map_sums(
    layer: Conv | ConvTranspose,
    x: Float[torch.Tensor, "images before height width"],
    weight: Float[torch.Tensor, "_outputs _inputs kh kw"],
) -> Float[torch.Tensor, "images after rows columns"]:
    """As :func:`map_sums`, as a matrix product on any device; exact in float64 whatever the order of summation."""
    n, groups = len(x), layer.groups
    out_shape = layer.output_shape(tuple(x.shape[1:]))
    kernel = (weight.shape[2], weight.shape[3])
    if isinstance(layer, Conv):
        columns = functional.unfold(x, kernel, layer.dilation, layer.padding, layer.stride)
        columns = columns.reshape(n, groups, -1, columns.shape[-1])
        return (weight.reshape(1, groups, len(weight) // groups, -1) @ columns).reshape(n, *out_shape)
    inputs = len(weight) // groups
    matrix = weight.reshape(1, groups, inputs, -1).transpose(2, 3)
    columns = (matrix @ x.reshape(n, groups, inputs, -1)).reshape(n, -1, x.shape[2] * x.shape[3])
    # Room for every target; then what the padding cuts away is cut, and what the output padding adds is added.
    full = replace(layer, padding=(0, 0), output_padding=(0, 0)).output_shape(tuple(x.shape[1:]))[1:]
    maps = functional.fold(columns, full, kernel, layer.dilation, 0, layer.stride)
    maps = functional.pad(maps, (0, layer.output_padding[1], 0, layer.output_padding[0]))
    (top, left), (height, width) = layer.padding, out_shape[1:]
    return maps[:, :, top : top + height, left : left + width].contiguous()


class DenseSums:
    """Sums of a dense layer over a whole window, delays included.

    Args:
        layer: the layer.
        columns: order of its inputs in memory, or None where it is the layer's own.
        dtype, device: of the sums.
    """

    def __init__(
        self, layer: Dense, columns: Integer[np.ndarray, " inputs"] | None, dtype: torch.dtype, device: torch.device
    ) -> None:
        weight = layer.weight if columns is None else layer.weight[:, columns]
        self._outputs = len(weight)
        self._prompt: torch.Tensor | None = None
        self._parts: list[tuple[int, torch.Tensor, torch.Tensor, torch.Tensor]] = []
        if layer.delay is None:
            self._prompt = _matrix(weight, dtype, device)
            return
        delay = layer.delay if columns is None else layer.delay[:, columns]
        for steps in np.unique(delay).tolist():
            part = np.where(delay == steps, weight, 0)
            outputs, inputs = (np.flatnonzero(part.any(axis=axis)) for axis in (1, 0))
            if len(outputs):
                taken, given = (torch.from_numpy(index).to(device) for index in (inputs, outputs))
                self._parts.append((steps, taken, given, _matrix(part[np.ix_(outputs, inputs)], dtype, device)))

    def __call__(self, raster: Real[torch.Tensor, "steps images inputs"]) -> Real[torch.Tensor, "steps images outputs"]:
        """Spikes ``(steps, images, inputs)`` to sums ``(steps, images, outputs)``."""
        steps, images = raster.shape[:2]
        if self._prompt is not None:
            return _product(raster, self._prompt)
        total = raster.new_zeros(steps, images, self._outputs)
        for delay, inputs, outputs, matrix in self._parts:
            if delay < steps:
                sums = _product(raster[: steps - delay].index_select(2, inputs), matrix)
                total[delay:].index_add_(2, outputs, sums)
        return total


def wrapped_delayed(
    layer: Dense,
    columns: Integer[np.ndarray, " inputs"] | None,
    raster: Int32[torch.Tensor, "steps images inputs"],
    bits: int,
) -> Float64[torch.Tensor, "steps images outputs"]:
    """As :class:`DenseSums` with delays, where every product wraps to so many bits before it is added, as Lava's do.

    Args:
        layer, columns: as there.
        raster: messages, int32 ``(steps, images, inputs)``.
        bits: of a product.
    """
    assert layer.delay is not None
    weight, delay = (x if columns is None else x[:, columns] for x in (layer.weight.astype(np.int64), layer.delay))
    half, messages = 1 << (bits - 1), raster.cpu().numpy().astype(np.int64)
    total = np.zeros((*raster.shape[:2], len(weight)), np.int64)
    for output, (row, held) in enumerate(zip(weight, delay, strict=True)):
        products = (messages * row + half) % (1 << bits) - half
        for steps in np.unique(held[held < len(raster)]).tolist():
            total[steps:, :, output] += products[: len(raster) - steps, :, held == steps].sum(axis=2)
    return torch.from_numpy(total).to(raster.device, torch.float64)


def _matrix(weight: np.ndarray, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(weight.T)).to(device, dtype)


def _product(raster: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    steps, images, inputs = raster.shape
    return (raster.reshape(-1, inputs) @ matrix).reshape(steps, images, -1)


def logical(raster: Shaped[torch.Tensor, "*lead neurons"], shape: Shape) -> torch.Tensor:
    """``(..., neurons)`` in memory order as a view ``(..., *shape)``."""
    if len(shape) == 1:
        return raster
    channels, height, width = shape
    if raster.stride(-1) == 1:  # one view: each may hand the interpreter to a thread that waits for it
        strides = (*raster.stride()[:-1], 1, width * channels, channels)
        return raster.as_strided((*raster.shape[:-1], *shape), strides)
    axes = range(raster.ndim - 1)
    return raster.reshape(*raster.shape[:-1], height, width, channels).permute(*axes, -1, -3, -2)


def memory_order(shape: Shape) -> Int64[np.ndarray, " neurons"] | None:
    """Position among ``(C, H, W)`` of each value of a raster that has channels innermost; None for features."""
    if len(shape) != 3:
        return None
    return np.arange(int(np.prod(shape))).reshape(shape).transpose(1, 2, 0).ravel()

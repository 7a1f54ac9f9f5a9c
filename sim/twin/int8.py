"""Sums of weights by 8-bit integer products, on processors that have them (VNNI, AMX): exact, and several times faster.

Spikes are uint8, 0 or 1. Weights of [-128, 127] are int8 as they are; even ones of [-256, 254] are by half, and their
sums count twice; a layer that needs both takes two products, by ``w = 2 (w >> 1) + (w & 1)``.

Why the sums are exact, where the magnitudes of one neuron's weights add up to less than 2^24
(:func:`sim.twin.synapses.exact_type` gives float32):

- whole numbers are added, in int32, and neither they nor their partial sums go beyond 2^24;
- without VNNI, products are added in pairs in int16, which saturates at 32,767: with spikes of 0 or 1 and int8 weights
  a pair is at most 256 in magnitude;
- a sum becomes a float32, exact below 2^24, and is multiplied by a power of two, 1 or 2, which leaves it exact; where
  ``2 (w >> 1)`` is -256 for a weight of -255, twice a sum may pass 2^24, but even numbers are exact up to 2^25, and
  with the rest it is the sum of the weights again.

The operators are those of torch's quantized inference, by oneDNN, and no documented interface. So each shape of a layer
is tried out once a process against floating point: :func:`byte_sums` takes 8-bit products only where they gave the same
sums, and gave them sooner.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from esvae.arrays import Float32, Integer, UInt8
from export.ir import Conv, ConvTranspose, Dense, Shape
from export.ir.limits import products
from export.ir.phases import phases
from sim.twin.lif_kernel import Places
from sim.twin.synapses import logical
from sim.twin.trial import SumsOf, least_seconds, raster_for

__all__ = ["ByteSums", "byte_sums", "int8_parts"]

#: What operators raise that are missing, have other arguments, or refuse a shape.
_REFUSED = (AttributeError, NotImplementedError, RuntimeError, TypeError)
#: Of each shape tried in this process, how many times as fast as floats 8-bit products are; 0 where they do not hold.
_gains: dict[tuple[object, ...], float] = {}


def int8_parts(weight: Integer[np.ndarray, "*weight"]) -> list[tuple[Integer[np.ndarray, "*weight"], int]] | None:
    """Weights of int8, and by what they count, that add up to ``weight``; None where it is beyond 9 bits."""
    low, high = int(weight.min()), int(weight.max())
    if low >= -128 and high <= 127:
        return [(weight.astype(np.int8), 1)]
    if low < -256 or high > 255:
        return None
    weight = weight.astype(np.int16)
    halves, rest = (weight >> 1).astype(np.int8), (weight & 1).astype(np.int8)
    return [(halves, 2), (rest, 1)] if rest.any() else [(halves, 2)]


class ByteSums:
    """The sums of a layer over a raster of spikes.

    Args:
        layer: a (transposed) convolution, or dense without delays, its inputs in the order of the raster.
        parts: its weights, as :func:`int8_parts` gives them.
        input_shape, output_shape: ``(C, H, W)`` or ``(features,)``.

    Attributes:
        places: where the sums of the neurons lie; None for the order of the neurons.
        gain: how many times as fast as floats.
    """

    def __init__(
        self,
        layer: Conv | ConvTranspose | Dense,
        parts: list[tuple[Integer[np.ndarray, "*weight"], int]],
        input_shape: Shape,
        output_shape: Shape,
    ) -> None:
        self._input_shape = input_shape
        self._window: tuple[slice, slice] | None = None
        self._pads: tuple[int, ...] = ()
        self.places: Places | None = None
        self.gain = 1.0
        self._products: list[SumsOf] = []
        for weight, scale in parts:
            part = replace(layer, weight=weight, bias=None)
            if isinstance(part, ConvTranspose):
                part = self._coarse(part, output_shape)
            self._products.append(_product(part, scale))

    def _coarse(self, layer: ConvTranspose, after: Shape) -> Conv:
        """The convolution whose channels are a cell's pixels, the channels of each together."""
        found = phases(layer, self._input_shape, after)
        top, left, bottom, right = found.pads
        self._window = slice(*found.crop[0]), slice(*found.crop[1])
        self._pads = (left, right, top, bottom)
        self.places = _interleaved(found.grid, layer.stride, after[0])
        by_channel = found.weight.reshape(after[0], -1, *found.weight.shape[1:])
        return Conv(by_channel.swapaxes(0, 1).reshape(found.weight.shape), None, layer.neuron)

    def __call__(
        self, raster: UInt8[torch.Tensor, "steps images inputs"]
    ) -> Float32[torch.Tensor, "steps images places"]:
        """Spikes uint8 ``(steps, images, inputs)`` to sums float32 ``(steps, images, neurons)``, at their places."""
        steps, images, inputs = raster.shape
        x = raster.reshape(steps * images, inputs)
        if len(self._input_shape) == 3:
            x = logical(x, self._input_shape)
        if self._window is not None:
            x = functional.pad(x[:, :, self._window[0], self._window[1]], self._pads)
        sums = self._products[0](x)
        for product in self._products[1:]:
            sums += product(x)
        if sums.ndim == 4:
            sums = sums.permute(0, 2, 3, 1)
        return sums.reshape(steps, images, -1)


def byte_sums(
    layer: Conv | ConvTranspose | Dense,
    input_shape: Shape,
    output_shape: Shape,
    plain: SumsOf,
) -> ByteSums | None:
    """A layer's sums by 8-bit products; None where there are none, or none that are equal and faster.

    Args:
        layer: as of :class:`ByteSums`; the magnitudes of a neuron's weights add up to less than 2^24.
        input_shape, output_shape: likewise.
        plain: gives the same sums by floats, in the order of the neurons.
    """
    parts = int8_parts(layer.weight)
    if parts is None or not _has_form(layer, output_shape):
        return None
    settings = () if isinstance(layer, Dense) else (layer.stride, layer.padding, layer.dilation, layer.groups)
    key = (layer.kind, layer.weight.shape, settings, input_shape, output_shape, len(parts))
    if _gains.get(key, math.inf) <= 1:
        return None
    try:
        found = ByteSums(layer, parts, input_shape, output_shape)
        if key not in _gains:
            _gains[key] = _gain(found, plain, layer, input_shape, output_shape)
    except _REFUSED:
        _gains[key] = 0.0
        return None
    found.gain = _gains[key]
    return found if found.gain > 1 else None


def _has_form(layer: Conv | ConvTranspose | Dense, output_shape: Shape) -> bool:
    """Whether there are no delays; of a transposed convolution, that its cells have every pixel and no groups."""
    if isinstance(layer, ConvTranspose):
        whole = all(size % s == 0 for size, s in zip(output_shape[1:], layer.stride, strict=True))
        return whole and layer.groups == 1
    return not (isinstance(layer, Dense) and layer.delay is not None)


def _gain(
    found: ByteSums,
    plain: SumsOf,
    layer: Conv | ConvTranspose | Dense,
    input_shape: Shape,
    output_shape: Shape,
) -> float:
    """How many times as fast as floats, on spikes at random; 0 where a sum is another."""
    sizes = math.prod(input_shape), math.prod(output_shape)
    raster = raster_for(plain, *sizes, products=products(layer, input_shape, output_shape), active=0.5)
    sums = found(raster) if found.places is None else found.places.in_order_of_neurons(found(raster))
    if not torch.equal(sums, plain(raster)):
        return 0.0
    floats, bytes_ = least_seconds((plain, raster), (found, raster))
    return floats / bytes_


def _product(layer: Conv | Dense, scale: int) -> SumsOf:
    """torch's quantized product with int8 weights, packed as the processor wants them, as float32: of rows or maps."""
    ops = torch.ops.onednn
    weight = torch.from_numpy(np.ascontiguousarray(layer.weight))
    scales, zeros = torch.full((len(weight),), float(scale)), torch.zeros(len(weight), dtype=torch.int64)
    # Scale, zero point and type of what comes out, and no operation behind it.
    behind: tuple[Any, ...] = (1.0, 0, torch.float32, "none", [], "")
    if isinstance(layer, Dense):
        matrix = ops.qlinear_prepack(weight, None)
        return lambda x: ops.qlinear_pointwise(x, 1.0, 0, matrix, scales, zeros, None, *behind)
    shape = (list(layer.stride), list(layer.padding), list(layer.dilation), layer.groups)
    kernel = ops.qconv_prepack(weight, scales, 1.0, 0, *shape, None)

    def convolution(x: torch.Tensor) -> torch.Tensor:
        if not x.is_contiguous(memory_format=torch.channels_last):
            x = x.contiguous(memory_format=torch.channels_last)
        return ops.qconv2d_pointwise(x, 1.0, 0, kernel, scales, zeros, None, *shape, *behind)

    return convolution


def _interleaved(grid: tuple[int, int], stride: tuple[int, int], channels: int) -> Places:
    """Where a cell's pixels lie one after the other: pieces are the pixels of a cell along a row."""
    run = stride[1] * channels
    cell_row, row, cell = np.ogrid[: grid[0], : stride[0], : grid[1]]
    pieces = (cell_row * grid[1] + cell) * stride[0] + row
    return Places(pieces.reshape(-1) * run, run)

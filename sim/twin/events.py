"""Sums of weights driven by events: only spikes cost anything, each as much as its fan-out.

A spike adds a few runs of weights to what lies side by side in the layer's raster: one run for each row of the kernel
where neighbouring columns of it reach neighbouring neurons, one for each tap elsewhere. Additions are those of a direct
summation, in float32 where the weights allow it (see :mod:`sim.twin.synapses`), so the sums are the same whole numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from esvae.arrays import Float32, Int32, UInt8
from esvae.machine.jit import kernel, side_by_side
from export.ir import Conv, ConvTranspose, Dense, Shape
from export.ir.geometry import reaches

__all__ = ["EVENT_ACTIVITY", "EventSums"]

#: Share of inputs that spike below which events are faster than a full product, by the least number of output
#: channels; measured by ``benchmarks/simulate.py``.
EVENT_ACTIVITY = {1: 0.01, 32: 0.04}


@kernel(nogil=True)
def _scatter(begin: Any, end: Any, raster: Any, first: Any, runs: Any, weight: Any, fan_out: Any, sums: Any) -> None:
    """``runs[first[q]:first[q + 1]]`` are source pixel q's: first target, offset in a channel's weights, length."""
    pixels = first.shape[0] - 1
    channels = raster.shape[1] // pixels
    for n in range(begin, end):
        spikes, total = raster[n], sums[n]
        for i in range(total.shape[0]):
            total[i] = np.float32(0)
        for q in range(pixels):
            low, high = first[q], first[q + 1]
            for c in range(channels):
                if spikes[q * channels + c] != 0:
                    for r in range(low, high):
                        target, offset, length = runs[r, 0], c * fan_out + runs[r, 1], runs[r, 2]
                        hit, sent = total[target : target + length], weight[offset : offset + length]
                        for i in range(length):
                            hit[i] += sent[i]


@kernel(nogil=True)
def _scatter_messages(
    begin: Any, end: Any, raster: Any, first: Any, runs: Any, weight: Any, fan_out: Any, sums: Any
) -> None:
    """As :func:`_scatter`, each weight times the message."""
    pixels = first.shape[0] - 1
    channels = raster.shape[1] // pixels
    for n in range(begin, end):
        messages, total = raster[n], sums[n]
        for i in range(total.shape[0]):
            total[i] = np.float32(0)
        for q in range(pixels):
            low, high = first[q], first[q + 1]
            for c in range(channels):
                message = messages[q * channels + c]
                if message != 0:
                    for r in range(low, high):
                        target, offset, length = runs[r, 0], c * fan_out + runs[r, 1], runs[r, 2]
                        hit, sent = total[target : target + length], weight[offset : offset + length]
                        for i in range(length):
                            hit[i] += message * sent[i]


class EventSums:
    """Sums of a layer over a window, computed spike by spike.

    Args:
        layer: a (transposed) convolution without groups.
        input_shape, output_shape: ``(C, H, W)``.

    Attributes:
        activity: share of inputs that spike up to which this form is the faster one.
    """

    def __init__(self, layer: Conv | ConvTranspose, input_shape: Shape, output_shape: Shape) -> None:
        kernel = layer.weight.transpose(0, 2, 3, 1) if isinstance(layer, ConvTranspose) else None
        if kernel is None:
            kernel = layer.weight.transpose(1, 2, 3, 0)[:, :, ::-1]  # the last column reaches the first neuron
        self._outputs = kernel.shape[3]
        self.activity = max(share for outputs, share in EVENT_ACTIVITY.items() if outputs <= self._outputs)
        self._neurons = int(np.prod(output_shape))
        self._weight = np.ascontiguousarray(kernel, dtype=np.float32).reshape(-1)
        self._fan_out = self._weight.size // len(kernel)
        first, runs = [0], []
        rows, columns = (reaches(layer, input_shape, output_shape, axis).tolist() for axis in (0, 1))
        turned = isinstance(layer, Conv)
        for row in rows:
            for column in columns:
                runs += _runs(row, column[::-1] if turned else column, output_shape[2])
                first.append(len(runs))
        self._first = np.array(first, np.int64)
        self._runs = np.array(runs, np.int64).reshape(-1, 3) * np.array([self._outputs] * 3)

    @staticmethod
    def of(layer: Conv | ConvTranspose | Dense, input_shape: Shape, output_shape: Shape) -> EventSums | None:
        """The event-driven form of a layer, or None where there is none: groups, dense layers."""
        if isinstance(layer, Dense) or layer.groups > 1:
            return None
        return EventSums(layer, input_shape, output_shape)

    def __call__(
        self, raster: UInt8[torch.Tensor, "steps images inputs"]
    ) -> Float32[torch.Tensor, "steps images neurons"]:
        """Spikes uint8 ``(steps, images, inputs)`` to sums ``(steps, images, neurons)``."""
        steps, images, inputs = raster.shape
        sums = np.empty((steps * images, self._neurons), np.float32)
        rows = raster.reshape(steps * images, inputs).contiguous().numpy()
        side_by_side(_scatter, len(rows), rows, self._first, self._runs, self._weight, self._fan_out, sums)
        return torch.from_numpy(sums).reshape(steps, images, -1)

    def of_messages(
        self, raster: Int32[torch.Tensor, "steps images inputs"]
    ) -> Float32[torch.Tensor, "steps images neurons"]:
        """Messages int32 ``(steps, images, inputs)``, whose sums float32 holds, to ``(steps, images, neurons)``."""
        steps, images, inputs = raster.shape
        sums = np.empty((steps * images, self._neurons), np.float32)
        rows = raster.reshape(steps * images, inputs).to(torch.float32).contiguous().numpy()
        side_by_side(_scatter_messages, len(rows), rows, self._first, self._runs, self._weight, self._fan_out, sums)
        return torch.from_numpy(sums).reshape(steps, images, -1)


def _runs(row: list[int], column: list[int], width: int) -> list[tuple[int, int, int]]:
    """Of one source pixel: first target pixel, tap, and number of taps, of each run of neighbours.

    Args:
        row, column: the row (column) of targets that each tap reaches, -1 where none; columns in the weights' order.
        width: of the map of targets.
    """
    runs: list[tuple[int, int, int]] = []
    for ky, y in enumerate(row):
        for kx, x in enumerate(column):
            if y < 0 or x < 0:
                continue
            target, tap = y * width + x, ky * len(column) + kx
            if runs and runs[-1][1] + runs[-1][2] == tap and runs[-1][0] + runs[-1][2] == target:
                runs[-1] = (runs[-1][0], runs[-1][1], runs[-1][2] + 1)
            else:
                runs.append((target, tap, 1))
    return runs

"""Where a neuron's synapses come from: the inputs of each output, along one axis and over the whole layer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from export.ir import Conv, ConvTranspose, Dense, Shape, Synapse

__all__ = ["axis_sources", "sources", "taps"]


def taps(layer: Conv | ConvTranspose, before: Shape, after: Shape, axis: int) -> np.ndarray:
    """The input that each kernel position reads for each output, along one axis.

    Args:
        layer: a (transposed) convolution.
        before, after: shapes ``(C, H, W)`` of its input and output.
        axis: 0 for y, 1 for x.

    Returns:
        int64 ``(outputs, kernel)``, -1 where the position falls outside the input, or between inputs.
    """
    size, out, kernel = before[axis + 1], after[axis + 1], layer.weight.shape[axis + 2]
    stride, padding, dilation = layer.stride[axis], layer.padding[axis], layer.dilation[axis]
    y, k = np.arange(out)[:, None], np.arange(kernel)[None, :]
    if isinstance(layer, ConvTranspose):
        at, between = np.divmod(y + padding - k * dilation, stride)
        at = np.where(between == 0, at, -1)
    else:
        at = y * stride - padding + k * dilation
    return np.where((at >= 0) & (at < size), at, -1)


def axis_sources(layer: Conv | ConvTranspose, before: Shape, after: Shape, axis: int) -> np.ndarray:
    """Which inputs each output reads along one axis: bool ``(outputs, inputs)``."""
    table = taps(layer, before, after, axis)
    touched = np.zeros((after[axis + 1], before[axis + 1]), bool)
    for y, reads in enumerate(table):
        touched[y, reads[reads >= 0]] = True
    return touched


def sources(layer: Synapse, before: Shape) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The flat inputs from which a synapse that exists leads to each output, output after output in file order.

    Yields:
        For some outputs at a time, how many inputs each has, int64 ``(outputs,)``; and these, one output's after the
        other's, int64 ``(sum,)``.
    """
    if isinstance(layer, Dense):
        for start in range(0, len(layer.weight), _ROWS):
            outputs, inputs = np.nonzero(layer.weight[start : start + _ROWS])
            yield np.bincount(outputs, minlength=len(layer.weight[start : start + _ROWS])), inputs
        return
    after = layer.output_shape(before)
    place, reads, positions = _places(layer, before, after)
    exists = layer.weight.reshape(*layer.weight.shape[:2], -1) != 0
    inputs_of_group, outputs_of_group = before[0] // layer.groups, after[0] // layer.groups
    for channel in range(after[0]):
        first = channel // outputs_of_group * inputs_of_group
        if isinstance(layer, Conv):
            kernel = exists[channel]
        else:
            kernel = exists[first : first + inputs_of_group, channel % outputs_of_group]
        kept = kernel.T[positions]  # (reads of all places, inputs of the group)
        base = np.arange(first, first + inputs_of_group) * (before[1] * before[2])
        counts = np.bincount(place, weights=kept.sum(axis=1), minlength=after[1] * after[2])
        yield counts.astype(np.int64), (reads[:, None] + base)[kept]


#: Rows of a dense matrix at a time.
_ROWS = 256


def _places(layer: Conv | ConvTranspose, before: Shape, after: Shape) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Within one input channel: the output place, the flat input and the flat kernel position of every read."""
    rows, columns = taps(layer, before, after, 0), taps(layer, before, after, 1)
    exists = (rows >= 0)[:, None, :, None] & (columns >= 0)[None, :, None, :]
    y, x, ky, kx = np.nonzero(exists)  # in the order of places
    return y * after[2] + x, rows[y, ky] * before[2] + columns[x, kx], ky * columns.shape[1] + kx

"""Pooling as the convolution that it is: one kernel, alike for each channel, that sees no other.

netx refuses ``pool`` and ``unpool``, which slayer writes; as a grouped (transposed) convolution they are exact.
"""

from __future__ import annotations

import numpy as np

from esvae.arrays import Real
from esvae.errors import UnsupportedLayerError
from export.ir.nodes import Conv, ConvTranspose, M, Pair, Shape

__all__ = ["depthwise", "slayer_pool", "slayer_unpool"]

#: Lava's convolution (lava-nc 0.10.0) holds the number of groups in eight bits with a sign.
_MOST_GROUPS = 127


def depthwise(
    kernel: Real[np.ndarray, "kh kw"],
    channels: int,
    neuron: M,
    *,
    stride: Pair,
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
) -> Conv[M]:
    """The convolution that applies ``kernel``, ``(kh, kw)``, to each of ``channels`` by itself."""
    weight, groups = _diagonal(kernel, channels)
    return Conv(weight, None, neuron, stride, padding, dilation, groups=groups)


def _diagonal(kernel: np.ndarray, channels: int) -> tuple[np.ndarray, int]:
    """Weights ``(channels, channels / groups, kh, kw)`` by which each channel sees itself alone, and the groups: as
    many as Lava holds, with zeros between the channels of one."""
    groups = next(n for n in range(min(channels, _MOST_GROUPS), 0, -1) if channels % n == 0)
    weight = np.zeros((channels, channels // groups, *kernel.shape), kernel.dtype)
    each = np.arange(channels)
    weight[each, each % weight.shape[1]] = kernel
    return weight, groups


def slayer_pool(
    kernel: Real[np.ndarray, "kh kw"],
    shape: Shape,
    neuron: M,
    where: str,
    *,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> Conv[M]:
    """slayer's ``Pool`` (lava-dl 0.6.0, ``synapse.layer.Pool``), by its arithmetic.

    It appends ``size % kernel`` zeros to both axes of a map, then lays the channels under each other and slides one
    window down the whole column.  Where a window would see two channels, no convolution does the same.  Zeros that
    slayer appends at the far end alone are here taps of the kernel before its first, so that padding is the same at
    both ends.

    Args:
        kernel: ``(kh, kw)``.
        shape: ``(C, H, W)`` that enters.
        neuron: behind the pool.
        where: what errors call the block.
        stride, padding, dilation: ``(y, x)``, as slayer's synapse holds them.

    Raises:
        UnsupportedLayerError: a window that sees two channels.
    """
    channels, height, width = shape
    tall, wide = (size + size % taps for size, taps in zip((height, width), kernel.shape, strict=True))
    span = tuple(d * (taps - 1) + 1 for d, taps in zip(dilation, kernel.shape, strict=True))
    if padding[0] or tall % stride[0] or span[0] > stride[0]:
        raise UnsupportedLayerError(
            f"{where}: slayer lays channels under each other, and these windows see two at once (height {height}, "
            f"kernel {kernel.shape[0]}, stride {stride[0]}, padding {padding[0]}); use stride = kernel, no padding, "
            "and a height that it divides"
        )
    wanted = (tall // stride[0], (wide + 2 * padding[1] - span[1]) // stride[1] + 1)
    more = [
        next((z for z in range(0, far + d, d) if (size + 2 * p + z - window) // s + 1 == count), -1)
        for size, far, window, s, p, d, count in zip(
            (height, width), (tall - height, wide - width), span, stride, padding, dilation, wanted, strict=True
        )
    ]
    if min(more) < 0:
        raise UnsupportedLayerError(
            f"{where}: dilation {dilation} over a map of {height} x {width}, to which slayer appends zeros at the far "
            "end; use dilation 1, or sizes that the kernel divides"
        )
    kernel = np.pad(kernel, [(z // d, 0) for z, d in zip(more, dilation, strict=True)])
    wider = (padding[0] + more[0], padding[1] + more[1])
    return depthwise(kernel, channels, neuron, stride=stride, padding=wider, dilation=dilation)


def slayer_unpool(
    kernel: Real[np.ndarray, "kh kw"],
    shape: Shape,
    neuron: M,
    where: str,
    *,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> ConvTranspose[M]:
    """slayer's ``Unpool`` (lava-dl 0.6.0, ``synapse.layer.Unpool``), which also lays channels under each other.

    Arguments as of :func:`slayer_pool`.

    Raises:
        UnsupportedLayerError: windows that overlap, or leave a gap, where one channel ends and the next begins.
    """
    span = dilation[0] * (kernel.shape[0] - 1) + 1
    if padding[0] or span != stride[0]:
        raise UnsupportedLayerError(
            f"{where}: slayer lays channels under each other, and these windows do not end with them (kernel "
            f"{kernel.shape[0]}, stride {stride[0]}, padding {padding[0]}); use stride = kernel and no padding"
        )
    weight, groups = _diagonal(kernel, shape[0])
    return ConvTranspose(weight, None, neuron, stride, padding, dilation, groups=groups)

"""Sum pools folded into the synapses around them: exact, as both are sums.

A pool of ``k`` with stride ``s`` and padding ``q`` is a convolution of ones, each channel for itself. Before a kernel
of ``K`` taps with stride ``t``, padding ``p`` and dilation ``d``, both are one kernel of ``(K - 1) d s + k`` taps,
stride ``t s`` and padding ``p s + q``, whose tap ``a d s + b`` is the sum of the products of taps ``a`` and ``b``. With
a padding ``p`` the kernel's padded zeros are no pooled pixels, so the pool must not reach the map from there:
``k <= s + q``, and no pixel may be left over behind the last window. Behind a kernel likewise, where the pool has no
padding.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from esvae.arrays import Float64, Real
from esvae.errors import UnsupportedLayerError
from export.ir import Conv, FloatLif, Pair, Shape
from export.ir.geometry import reads

__all__ = ["SumPool", "conv_after", "dense_after", "pool_after", "pooled_conv"]


@dataclass(frozen=True, eq=False)
class SumPool:
    """Weighted sums over windows of a map, of each channel for itself.

    Attributes:
        kernel: ``(kh, kw)``, ones, or what several pools make together.
        stride, padding: ``(y, x)``.
    """

    kernel: Real[np.ndarray, "kh kw"]
    stride: Pair
    padding: Pair

    @property
    def conv(self) -> Conv[FloatLif]:
        """What it is to a single channel."""
        return Conv(self.kernel[None, None], None, FloatLif(0.0, 0.0), self.stride, self.padding)

    def output_shape(self, shape: Shape, where: str) -> Shape:
        """``(C, H, W)`` gives ``(C, H', W')``; raises UnsupportedLayerError where it is no map, or a smaller one."""
        if len(shape) != 3:
            raise UnsupportedLayerError(f"{where}: pools {shape}, expected a (C, H, W) map")
        if any(k > n + 2 * p for k, n, p in zip(self.kernel.shape, shape[1:], self.padding, strict=True)):
            raise UnsupportedLayerError(f"{where}: its window {self.kernel.shape} is larger than the map {shape}")
        return (shape[0], *self.conv.output_shape((1, *shape[1:]))[1:])


def conv_after(pool: SumPool, conv: Conv[FloatLif], before: Shape, where: str) -> Conv[FloatLif]:
    """The convolution of the map before the pool that is ``conv`` of the pooled one.

    Args:
        pool, conv: in this order.
        before: ``(C, H, W)``, what enters the pool.
        where: goes into errors.

    Raises:
        UnsupportedLayerError: the padded kernel would see what it pads as zeros.
    """
    pooled = pool.output_shape(before, where)
    for n, m, k, s, q, p in zip(
        before[1:], pooled[1:], pool.kernel.shape, pool.stride, pool.padding, conv.padding, strict=True
    ):
        if p and (k > s + q or m * s - q < n):
            raise UnsupportedLayerError(
                f"{where}: a pool of {k} with stride {s} and padding {q} over {n} pixels, and a kernel padded by {p} "
                "behind it, are no one convolution; use a stride as large as the pool, a map that it divides, or a "
                "kernel without padding"
            )
    return Conv(
        _spread(conv.weight, _product(conv.dilation, pool.stride), pool.kernel),
        conv.bias,
        conv.neuron,
        stride=_product(conv.stride, pool.stride),
        padding=(
            conv.padding[0] * pool.stride[0] + pool.padding[0],
            conv.padding[1] * pool.stride[1] + pool.padding[1],
        ),
        groups=conv.groups,
    )


def pooled_conv(conv: Conv[FloatLif], pool: SumPool, where: str) -> Conv[FloatLif]:
    """The convolution whose sums are those of ``conv``, pooled.

    Raises:
        UnsupportedLayerError: the pool is padded, where ``conv`` beyond its border is no zero.
    """
    if any(pool.padding):
        raise UnsupportedLayerError(
            f"{where}: a padded pool between synapses and their neurons; use one without padding"
        )
    taps = np.ones((1, 1, 1, 1)) * pool.kernel
    kernel = _spread(taps, conv.stride, np.ones((1, 1)))[0, 0]
    weight = _spread(conv.weight, conv.dilation, kernel)
    return Conv(
        weight,
        None if conv.bias is None else conv.bias * pool.kernel.sum(),
        conv.neuron,
        stride=_product(conv.stride, pool.stride),
        padding=conv.padding,
        groups=conv.groups,
    )


def pool_after(first: SumPool, second: SumPool, before: Shape, where: str) -> SumPool:
    """Both as one; raises UnsupportedLayerError as :func:`conv_after`."""
    both = conv_after(first, second.conv, before, where)
    return SumPool(both.weight[0, 0], both.stride, both.padding)


def dense_after(
    pool: SumPool, weight: Real[np.ndarray, "outputs pooled"], before: Shape, where: str
) -> Float64[np.ndarray, "outputs inputs"]:
    """Weights ``(outputs, C*H*W)`` of the map before the pool that are ``(outputs, C*H'*W')`` of the pooled one."""
    pooled = pool.output_shape(before, where)
    kernels = weight.reshape(len(weight), *pooled)
    rows, columns = (reads(pool.conv, before, pooled, axis) for axis in (0, 1))
    found = np.zeros((len(weight), before[0], before[1] + 1, before[2] + 1))  # the last row and column, at -1: padding
    for y, x in np.ndindex(*pool.kernel.shape):
        found[:, :, rows[:, y, None], columns[:, x]] += kernels * pool.kernel[y, x]
    return found[:, :, :-1, :-1].reshape(len(weight), -1)


def _product(one: Pair, other: Pair) -> Pair:
    return one[0] * other[0], one[1] * other[1]


def _spread(weight: np.ndarray, steps: Pair, kernel: np.ndarray) -> np.ndarray:
    """Taps ``steps`` apart, each drawn as ``kernel``: ``(..., kh, kw)``."""
    size = [(n - 1) * s + k for n, s, k in zip(weight.shape[2:], steps, kernel.shape, strict=True)]
    found = np.zeros((*weight.shape[:2], *size))
    for y, x in itertools.product(*map(range, weight.shape[2:])):
        top, left = y * steps[0], x * steps[1]
        window = found[:, :, top : top + kernel.shape[0], left : left + kernel.shape[1]]
        window += weight[:, :, y, x, None, None] * kernel
    return found

"""Rounding with error feedback: each weight's rounding error is made up for by the weights that are rounded after it.

Which errors cancel depends on what the layer receives, so calibration spikes pass through it; with ``H`` the second
moments of a neuron's inputs, the error of its sums is ``dw H dw'``. Weights are rounded one input after the other, the
busiest first, and what is left of the error goes, by the inverse of ``H``, into those not yet rounded (optimal brain
quantization, in the order of columns as Frantar et al. do, ICLR 2023, section 3). Then, a few times over, each weight
goes to the level that is best with all others as they are, which only lowers the error. All of this is done in a few
orders, of which each neuron takes the best. Biases stay what they are.

``H`` is over inputs and taps of a convolution's kernel; over inputs alone, each tap for itself, of transposed
convolutions, of kernels above 5x5, and where it would have more than 4096 rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional

from esvae.arrays import Float64
from esvae.chip.rounding import WeightGrid
from export.ir import Conv, FloatLif, Synapse
from export.ir.geometry import grouped

__all__ = ["fed_back"]

_MOST_ROWS = 4096
_MOST_TAPS = 25
_ORDERS = 4
_SWEEPS = 3  # over all weights, after the first rounding
_DAMPING = 0.01  # of the mean of H's diagonal, added to it
_FRAMES = 64  # to a product


def fed_back(
    synapse: Synapse[FloatLif], grid: WeightGrid, scale: float, raster: Float64[torch.Tensor, "steps images *input"]
) -> Synapse[FloatLif]:
    """The float layer with every weight on a level of ``grid`` at ``scale``.

    Args:
        synapse: float, folded.
        grid, scale: of the weights.
        raster: what enters, float64 0 or 1, ``(steps, images, *input shape)``.
    """
    frames = raster.flatten(0, 1)
    if isinstance(synapse, Conv) and _few_rows(synapse):
        by_tap, moments = False, _patch_moments(synapse, frames)
    else:
        by_tap, moments = True, _input_moments(synapse, frames)
    # Inputs as columns: (groups, rows, inputs); each tap is as good as an output of its own where H is by tap.
    columns = _columns(synapse, by_tap)
    rounded = np.stack([_rounded(part, h, grid, scale) for part, h in zip(columns, moments, strict=True)])
    return replace(synapse, weight=_restored(synapse, by_tap, rounded))


def _few_rows(synapse: Conv) -> bool:
    taps = math.prod(synapse.weight.shape[2:])
    return taps <= _MOST_TAPS and synapse.weight.shape[1] * taps <= _MOST_ROWS


def _input_moments(synapse: Synapse, frames: torch.Tensor) -> np.ndarray:
    """``(groups, inputs, inputs)`` over all positions of the maps."""
    rows = frames.flatten(2).transpose(1, 2).flatten(0, 1) if frames.ndim == 4 else frames
    parts = rows.unflatten(1, (synapse.groups, -1)).permute(1, 2, 0)
    moments: np.ndarray = (parts @ parts.transpose(1, 2)).numpy()
    return moments


def _patch_moments(synapse: Conv, frames: torch.Tensor) -> np.ndarray:
    """``(groups, inputs * taps, inputs * taps)`` over all outputs."""
    kernel = (synapse.weight.shape[2], synapse.weight.shape[3])
    size = synapse.weight[0].size
    total = torch.zeros(synapse.groups, size, size, dtype=torch.float64)
    for part in frames.split(_FRAMES):
        patches = functional.unfold(part.float(), kernel, synapse.dilation, synapse.padding, synapse.stride)
        rows = patches.unflatten(1, (synapse.groups, -1)).permute(1, 2, 0, 3).flatten(2)
        total += (rows @ rows.transpose(1, 2)).double()  # counts, exact in float32
    moments: np.ndarray = total.numpy()
    return moments


def _columns(synapse: Synapse, by_tap: bool) -> np.ndarray:
    """Weights ``(groups, rows, inputs)``."""
    parts = grouped(synapse)
    if by_tap:
        return np.moveaxis(parts, 2, -1).reshape(len(parts), -1, parts.shape[2])
    return parts.reshape(*parts.shape[:2], -1)


def _restored(synapse: Synapse, by_tap: bool, columns: np.ndarray) -> np.ndarray:
    """The way back from :func:`_columns` to the layout of ``synapse.weight``."""
    weight = np.empty(synapse.weight.shape, columns.dtype)
    parts = grouped(replace(synapse, weight=weight))  # a view
    parts = np.moveaxis(parts, 2, -1) if by_tap else parts
    parts[...] = columns.reshape(parts.shape)
    return weight


def _rounded(weight: np.ndarray, moments: np.ndarray, grid: WeightGrid, scale: float) -> np.ndarray:
    """``(rows, inputs)`` on the grid."""
    diagonal = np.diag(moments)
    damped = moments + np.eye(len(moments)) * max(_DAMPING * diagonal.mean(), 1e-9)
    best, least = np.empty_like(weight), np.full(len(weight), np.inf)
    for order in _orders(diagonal):
        rounded = np.empty_like(weight)
        rounded[:, order] = _in_turn(weight[:, order], damped[np.ix_(order, order)], grid, scale)
        for _ in range(_SWEEPS):
            if not _improved(rounded, weight, damped, order, grid, scale):
                break
        gap = rounded - weight
        error = ((gap @ damped) * gap).sum(1)
        rows = error < least
        best[rows], least[rows] = rounded[rows], error[rows]
    return best


def _orders(activity: np.ndarray) -> Iterator[np.ndarray]:
    """Inputs, busiest first; laziest first; then ever more shuffled."""
    busiest = np.argsort(-activity, kind="stable")
    yield busiest
    yield busiest[::-1]
    draws = np.random.default_rng(0)
    for spread in np.linspace(0.05, 1, _ORDERS - 2):
        yield np.argsort(-activity * np.exp(spread * draws.normal(size=len(activity))), kind="stable")


def _in_turn(weight: np.ndarray, moments: np.ndarray, grid: WeightGrid, scale: float) -> np.ndarray:
    """Rounds column after column; each one's error goes into those behind it."""
    # Rows of the upper Cholesky factor of the inverse: how an error of one input goes into the later ones.
    upper = np.linalg.cholesky(np.linalg.inv(moments)).T
    left, rounded = weight.copy(), np.empty_like(weight)
    for j in range(left.shape[1]):
        rounded[:, j] = grid.weights(left[:, j], scale) / scale
        left[:, j + 1 :] -= np.outer((left[:, j] - rounded[:, j]) / upper[j, j], upper[j, j + 1 :])
    return rounded


def _improved(
    rounded: np.ndarray, weight: np.ndarray, moments: np.ndarray, order: np.ndarray, grid: WeightGrid, scale: float
) -> bool:
    """Takes each column of ``rounded`` in turn to its best levels, in place; whether any weight moved."""
    slope = (rounded - weight) @ moments  # half the error's gradient
    moved = False
    for j in order:
        best = grid.weights(rounded[:, j] - slope[:, j] / moments[j, j], scale) / scale
        change = best - rounded[:, j]
        rows = np.flatnonzero(change)
        if len(rows):
            slope[rows] += np.outer(change[rows], moments[j])
            rounded[rows, j] = best[rows]
            moved = True
    return moved

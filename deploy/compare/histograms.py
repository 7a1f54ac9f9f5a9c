"""How weights and membrane potentials are distributed, layer by layer: float beside the file's integers.

Both sides count in thresholds, which is what a weight or a potential is worth to its neuron: a float one over the
float layer's threshold, an integer one over the register's; of the readout in units of the picture before tanh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from esvae.arrays import Real

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LayerHistogram", "potential_histogram", "weight_histogram"]

_BINS = 48
_TAIL = 2e-3  # share of the potentials that may lie below the lowest bin: some fall far below zero
_Number: TypeAlias = float  # a field below is named float


@dataclass(frozen=True)
class LayerHistogram:
    """Of one layer.

    Attributes:
        name: of the layer.
        quantity: ``weight``, or ``membrane potential`` after the reset of neurons that fired.
        unit: ``thresholds``, or of the readout ``before tanh``.
        edges: of the bins in that unit, one more than there are bins.
        float, quantized: share of all values that lies in each bin; each adds up to 1. What lies beyond the edges
            counts in the outermost bins.
    """

    name: str
    quantity: str
    unit: str
    edges: tuple[_Number, ...]
    float: tuple[_Number, ...]
    quantized: tuple[_Number, ...]

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Float as an area, integers as a line over it; in a new figure where ``ax`` is None."""
        from deploy.view.histograms import histogram_axes
        from deploy.view.table import plain

        return histogram_axes(plain(self), ax)


def potential_histogram(
    name: str, unit: str, floats: Real[np.ndarray, " ..."], integers: Real[np.ndarray, " ..."]
) -> LayerHistogram:
    """Of potentials in the same unit, where all but a few of both sides lie."""
    low = min(np.quantile(floats, _TAIL), np.quantile(integers, _TAIL))
    high = max(floats.max(), integers.max())
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    return LayerHistogram(name, "membrane potential", unit, *_shares(edges, floats, integers))


def weight_histogram(
    name: str,
    unit: str,
    floats: Real[np.ndarray, " ..."],
    integers: Real[np.ndarray, " ..."],
    worth: float,
    copies: int | None,
) -> LayerHistogram | None:
    """Of the weights of one layer; None where the file's are all zero.

    Each bin holds as many integer levels as the next, so that a line over integers has no teeth of its own.

    Args:
        name: of the layer.
        unit: of both sides.
        floats: folded weights in that unit.
        integers: the file's weights, and what one level of them is ``worth``.
        copies: how often the file holds each float weight. Its other zeros fill kernels up, and are left out; where
            it holds some more often than others (None), as an unrolled layer does, all zeros are.
    """
    kept = integers[integers != 0]
    if not len(kept):
        return None
    rounded_away = 0 if copies is None else max(copies * floats.size - len(kept), 0)
    kept = np.concatenate((kept, np.zeros(rounded_away, kept.dtype)))
    step = int(np.gcd.reduce(np.abs(kept)))
    low, high = (round(end / step) * step for end in (floats.min() / worth, floats.max() / worth))
    low, high = min(low, int(kept.min())), max(high, int(kept.max()))
    wide = -(-(high - low + step) // (_BINS * step)) * step  # levels of a bin
    edges = np.arange(low - step / 2, high + step / 2 + wide, wide)
    return LayerHistogram(name, "weight", unit, *_shares(edges * worth, floats, kept * worth))


def _shares(edges: np.ndarray, *sides: np.ndarray) -> Sequence[tuple[float, ...]]:
    """The edges, and of each side the share of its values in every bin."""
    counts = [np.histogram(np.clip(side, edges[0], edges[-1]), edges)[0] / side.size for side in sides]
    return [tuple(float(f"{x:.6g}") for x in values) for values in (edges, *counts)]

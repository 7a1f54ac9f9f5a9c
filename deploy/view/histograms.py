"""Histograms of weights and potentials, float beside integers, a panel a layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deploy.view.style import COLOURS, NARROW, WIDE, axes_or_new, figure, legend, linear_axis, styled

__all__ = ["draw_histograms", "histogram_axes"]

_ACROSS = 3


@styled
def draw_histograms(rows: Sequence[Mapping[str, Any]], width: float = WIDE) -> Figure:
    """All layers (see :class:`deploy.compare.histograms.LayerHistogram`), of one quantity."""
    across = min(_ACROSS if width > NARROW else 1, len(rows))
    made, axes = figure(width, 0.4 + 1.75 * math.ceil(len(rows) / across), math.ceil(len(rows) / across), across)
    for axis, row in zip(axes, rows, strict=False):
        _draw(row, axis)
    for axis in axes[len(rows) :]:
        axis.set_axis_off()
    for axis in axes[::across]:
        axis.set_ylabel("share, %")
    legend(made, axes[0])
    return made


@styled
def histogram_axes(row: Mapping[str, Any], ax: Axes | None = None) -> Axes:
    """One layer, in axes of yours or in a new figure's; raises DataError where ``ax`` is something else."""
    axis = axes_or_new(ax)
    _draw(row, axis)
    axis.set_ylabel("share, %")
    axis.legend(frameon=False)
    return axis


def _draw(row: Mapping[str, Any], axis: Axes) -> None:
    """The float side as an area, the integers as a line."""
    looks: dict[str, dict[str, Any]] = {
        "float": {"fill": True, "color": COLOURS[0], "alpha": 0.35, "label": "float"},
        "quantized": {"color": COLOURS[1], "linewidth": 1.2, "label": "integer"},
    }
    for side, look in looks.items():
        axis.stairs([100 * share for share in row[side]], row["edges"], **look)
    axis.set_ylim(bottom=0)
    linear_axis(axis.xaxis, ticks=4)
    linear_axis(axis.yaxis, ticks=4)
    axis.set_title(row["name"], loc="left")
    axis.set_xlabel(f"{row['quantity']}, {row['unit']}")

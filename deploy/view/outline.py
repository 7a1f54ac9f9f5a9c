"""The drawing of a network: maps as stacks of planes, features as a column, and what each layer holds below it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from deploy.view.numbers import shape
from deploy.view.prose import counted
from deploy.view.style import COLOURS, INK, PAPER, SOFT, WIDE, axes_or_new, figure, styled

__all__ = ["draw_outline", "outline_axes"]

#: Of a stage in inches: the height of its picture and of its text, of a line, and from plane to plane; its width.
_PICTURE, _TEXT, _LINE, _SHIFT = 0.95, 0.88, 0.13, 0.045
_LEAST, _MOST = 1.12, 1.7
_SIDES = (0.2, 0.7)  # of the smallest and of the largest map
_PLANES = 6  # at most


@styled
def draw_outline(stages: Sequence[Mapping[str, Any]], width: float = WIDE) -> Figure:
    """The stages (see :class:`deploy.outline.OutlineLayer`) in as many rows as the width asks for."""
    made, (axis,) = figure(*_size(len(stages), width))
    _draw(stages, axis, width)
    return made


@styled
def outline_axes(stages: Sequence[Mapping[str, Any]], ax: Axes | None = None, width: float = WIDE) -> Axes:
    """As :func:`draw_outline` in axes of yours, whose units become inches; a new figure's where None."""
    axis = axes_or_new(ax, figsize=_size(len(stages), width), layout="constrained")
    _draw(stages, axis, width)
    return axis


def _across(stages: int, width: float) -> int:
    """Stages to a row: as many as fit, yet no row much shorter than another."""
    rows = math.ceil(stages / max(1, int(width // _LEAST)))
    return math.ceil(stages / rows)


def _size(stages: int, width: float) -> tuple[float, float]:
    return width, math.ceil(stages / _across(stages, width)) * (_PICTURE + _TEXT)


def _draw(stages: Sequence[Mapping[str, Any]], axis: Axes, width: float) -> None:
    across = _across(len(stages), width)
    cell = min(width / across, _MOST)
    largest = max(max(stage["shape"][1:], default=1) for stage in stages)
    most = max((stage["shape"][0] for stage in stages if len(stage["shape"]) == 1), default=1)
    end = 0.0  # of the picture before
    for k, stage in enumerate(stages):
        row, column = divmod(k, across)
        x, y = (column + 0.5) * cell, -row * (_PICTURE + _TEXT) - 0.5 * _PICTURE
        colour = COLOURS[-1] if stage["synapses"] is None else COLOURS[(k - 1) % (len(COLOURS) - 1)]
        half = _body(axis, x, y, stage["shape"], colour, largest, most)
        if k:
            _arrow(axis, end if column else 0.0, x - half, y)
        end = x + half
        if column == across - 1 and k + 1 < len(stages):
            _arrow(axis, end, across * cell, y)
        for line, text in enumerate(_texts(stage)):
            look: dict[str, Any] = {"color": SOFT if line else INK, "fontsize": 6.5 if line else 7.5}
            axis.text(x, y - 0.5 * _PICTURE - line * _LINE, text, ha="center", va="top", **look)
    spare = (width - across * cell) / 2
    axis.set_xlim(-spare, width - spare)
    axis.set_ylim(-_size(len(stages), width)[1], 0)
    axis.set_aspect("equal")
    axis.set_axis_off()


def _body(axis: Axes, x: float, y: float, sizes: Sequence[int], colour: str, largest: int, most: int) -> float:
    """Planes or a column around ``(x, y)``; gives half their width. Sides go with the logarithm of the sizes."""
    if len(sizes) == 1:
        wide, high, planes = 0.11, _scaled(sizes[0], most), 1
    else:
        side, planes = _scaled(max(sizes[1:]), largest), min(_PLANES, 1 + round(math.log2(sizes[0])))
        wide, high = side * sizes[2] / max(sizes[1:]), side * sizes[1] / max(sizes[1:])
    spread = (planes - 1) * _SHIFT
    for plane in range(planes):
        corner = (x - (wide + spread) / 2 + plane * _SHIFT, y - (high - spread) / 2 - plane * _SHIFT)
        axis.add_patch(Rectangle(corner, wide, high, facecolor=colour, edgecolor=PAPER, linewidth=0.7))
    return (wide + spread) / 2


def _scaled(size: int, largest: int) -> float:
    low, high = _SIDES
    return low + (high - low) * math.log2(max(size, 1)) / max(math.log2(max(largest, 1)), 1)


def _arrow(axis: Axes, start: float, end: float, y: float) -> None:
    look: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 6, "linewidth": 0.8, "color": SOFT}
    axis.add_patch(FancyArrowPatch((start + 0.04, y), (end - 0.04, y), shrinkA=0, shrinkB=0, **look))


def _texts(stage: Mapping[str, Any]) -> list[str]:
    """What stands below a stage, line by line; what it has not takes no line."""
    flat = len(stage["shape"]) == 1
    lines = [stage["layer"]]
    if not flat:
        lines.append(shape(stage["shape"]))
    if stage["kernel"]:
        lines.append(f"kernel {stage['kernel']}")
    if flat and not stage["neurons"]:
        lines.append(counted(stage["shape"][0], "feature"))
    if stage["neurons"]:
        lines.append(counted(stage["neurons"], "neuron"))
    for noun in ("synapse", "core"):
        if stage[f"{noun}s"] is not None:
            lines.append(counted(stage[f"{noun}s"], noun))
    return lines

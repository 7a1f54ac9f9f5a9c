"""Where the labels of points go: beside them, on no mark, line, whisker or other label, and inside their axes.

Greedy over a few places around each point, the nearest first, as in Christensen, Marks and Shieber's survey (1995) of
labelling point features: enough for some twenty labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from deploy.view.style import SOFT

__all__ = ["place_labels"]

#: Points of 1/72 inch from a point to its label, the first preferred; from the third on with a line between.
_DISTANCES = (5.0, 9.0, 14.0, 20.0, 28.0, 38.0)
_WITH_LINE = _DISTANCES[2]
#: Free room around a label; a browser's fonts may be wider than those that are measured here.
_ROOM = 1.5
#: How far apart the places are at which a line is asked whether something lies on it.
_STRIDE = 3.0


def place_labels(
    made: Figure, axis: Axes, labels: Sequence[tuple[str, tuple[float, float]]], *, preferred: Sequence[tuple[int, int]]
) -> None:
    """Writes each label beside its point.

    Args:
        made: the figure, in which everything else is drawn, limits of its axes too.
        axis: the one with the points.
        labels: text, and the point in the axis' data.
        preferred: directions from a point, ``(-1, -1)`` for below to the left; the first that is free at the least
            distance is taken, and the one with the least overlap where none is.
    """
    made.draw_without_rendering()  # the layout moves axes until then
    per_point = made.dpi / 72
    taken = np.array([box.extents for box in _occupied(axis, per_point)]).reshape(-1, 4)
    for text, at in labels:
        written: Any = axis.annotate(text, at, (0, 0), textcoords="offset points", fontsize=7, zorder=4)
        size = written.get_window_extent()
        places = [(distance, way) for distance in _DISTANCES for way in preferred]
        boxes = [_box(axis.transData.transform(at), size, way, far * per_point) for far, way in places]
        overlaps = [_overlap(box.padded(_ROOM * per_point), taken, axis.bbox) for box in boxes]
        chosen = int(np.argmin(overlaps))
        distance, (x, y) = places[chosen]
        written.set_position((distance * x / np.hypot(x, y), distance * y / np.hypot(x, y)))
        written.set(ha=("right", "center", "left")[x + 1], va=("top", "center", "bottom")[y + 1])
        if distance >= _WITH_LINE:
            ends = {"arrowstyle": "-", "color": SOFT, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3}
            axis.annotate("", at, written.get_position(), textcoords="offset points", arrowprops=ends, zorder=1)
        taken = np.vstack([taken, boxes[chosen].extents])


def _box(at: np.ndarray, size: Bbox, way: tuple[int, int], distance: float) -> Bbox:
    """Where a text of that size stands in a direction from a point, in pixels."""
    x, y = at + distance * np.array(way) / np.hypot(*way) + (np.array(way) - 1) / 2 * (size.width, size.height)
    return Bbox.from_bounds(x, y, size.width, size.height)


def _overlap(box: Bbox, taken: np.ndarray, inside: Bbox) -> float:
    """Pixels of a box that others have, or that are outside; of the others ``(boxes, x0 y0 x1 y1)``."""
    outside = box.width * box.height - _shared(box, np.array([inside.extents])).sum()
    return float(outside + _shared(box, taken).sum())


def _shared(box: Bbox, others: np.ndarray) -> np.ndarray:
    """Pixels that a box has in common with each of others, ``(boxes, x0 y0 x1 y1)``."""
    sides = np.minimum(box.max, others[:, 2:]) - np.maximum(box.min, others[:, :2])
    return np.maximum(sides, 0.0).prod(axis=1)


def _occupied(axis: Axes, per_point: float) -> Iterator[Bbox]:
    """Boxes of the marks, lines and whiskers of an axis, in pixels."""
    for line in axis.lines:
        corners = line.get_transform().transform(np.column_stack(line.get_data()).astype(float))
        if line.get_marker() not in (None, "None", "", " "):
            half = line.get_markersize() * per_point / 2
            yield from (Bbox.from_extents(x - half, y - half, x + half, y + half) for x, y in corners)
        if line.get_linestyle() not in ("None", "", " "):
            yield from _along(corners, per_point, axis.bbox)
    for bundle in axis.collections:
        if isinstance(bundle, LineCollection):
            for segment in bundle.get_segments():
                yield from _along(bundle.get_transform().transform(segment), per_point, axis.bbox)


def _along(corners: np.ndarray, per_point: float, inside: Bbox) -> Iterator[Bbox]:
    """Small boxes on what of a line is inside; on a logarithmic axis the end of one below zero is a long way off."""
    half = per_point / 2
    for whole in pairwise(corners):
        start, end = _cut(*whole, inside)
        count = int(np.hypot(*(end - start)) / (_STRIDE * per_point)) + 2
        for x, y in np.linspace(start, end, count):
            yield Bbox.from_extents(x - half, y - half, x + half, y + half)


def _cut(start: np.ndarray, end: np.ndarray, inside: Bbox) -> tuple[np.ndarray, np.ndarray]:
    """The part of a segment that is inside, by its ends; where there is none, its start twice."""
    way = end - start
    with np.errstate(divide="ignore", invalid="ignore"):
        crossings = np.sort((inside.get_points() - start) / way, axis=0)  # shares of the way, entering and leaving
    beside = (start < inside.min) | (start > inside.max)
    crossings = np.where(way == 0, np.where(beside, np.inf, [[-np.inf], [np.inf]]), crossings)
    first, last = max(0.0, *crossings[0]), min(1.0, *crossings[1])
    return (start + first * way, start + last * way) if first <= last else (start, start)

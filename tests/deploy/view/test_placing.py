"""Labels of points lie on nothing and inside their axes, however close the points are."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from deploy.view.placing import _cut, _occupied, place_labels
from deploy.view.style import NARROW, WIDE, figure, styled

WAYS = ((-1, -1), (0, -1), (-1, 0), (1, 1), (0, 1), (1, 0))


@styled
def labelled(width: float, points: np.ndarray) -> tuple[Axes, list[Bbox]]:
    """A chart of points with whiskers and a number at each; where the numbers are."""
    made, (axis,) = figure(width, 4)
    axis.errorbar(*points.T, yerr=0.1, fmt="o-", markersize=7)
    axis.set(xlim=(-0.5, 6.5), ylim=(-0.5, 1.5))
    place_labels(made, axis, [(f"{k}, {k + 1}", (x, y)) for k, (x, y) in enumerate(points)], preferred=WAYS)
    made.draw_without_rendering()
    return axis, [text.get_window_extent() for text in axis.texts if text.get_text()]


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("apart", [1.0, 0.3])
def test_labels_lie_on_nothing(width: float, apart: float) -> None:
    points = np.array([(k * apart, 1 / (1 + k * apart)) for k in range(6)])
    axis, boxes = labelled(width, points)
    assert len(boxes) == len(points)
    marks = [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in axis.transData.transform(points)]
    for box in boxes:
        assert axis.bbox.x0 <= box.x0 <= box.x1 <= axis.bbox.x1
        assert axis.bbox.y0 <= box.y0 <= box.y1 <= axis.bbox.y1
        assert not any(box.overlaps(mark) for mark in marks)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_a_preferred_side_is_taken_where_it_is_free() -> None:
    axis, (box,) = labelled(WIDE, np.array([(3.0, 0.5)]))
    x, y = axis.transData.transform((3.0, 0.5))
    assert box.x1 < x
    assert box.y0 < y


@styled
def test_a_whisker_that_ends_below_zero_on_a_logarithmic_axis() -> None:
    """Its end lies some hundred thousand pixels off, which is no reason to look there for free places."""
    made, (axis,) = figure(WIDE, 4)
    axis.errorbar([1.0], [1e-7], yerr=[[2e-7], [2e-7]], fmt="o", markersize=7)
    axis.set_yscale("log")
    made.draw_without_rendering()
    boxes = list(_occupied(axis, made.dpi / 72))
    assert 1 < len(boxes) < 1000
    assert all(box.y1 >= axis.bbox.y0 - 10 and box.y0 <= axis.bbox.y1 + 10 for box in boxes[1:])


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        ([(1, 1), (2, 3)], [(1, 1), (2, 3)]),
        ([(-5, 5), (15, 5)], [(0, 5), (10, 5)]),
        ([(5, -1000), (5, 4)], [(5, 0), (5, 4)]),
        ([(-5, -5), (5, 5)], [(0, 0), (5, 5)]),
        ([(-5, 0), (-5, 10)], [(-5, 0), (-5, 0)]),
    ],
)
def test_what_of_a_segment_is_inside(segment: list[tuple[float, float]], expected: list[tuple[float, float]]) -> None:
    ends = _cut(*np.array(segment, float), Bbox.from_bounds(0, 0, 10, 10))
    np.testing.assert_allclose(ends, expected)

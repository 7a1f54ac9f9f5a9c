"""Pictures of a comparison where there is hardly anything to compare."""

from __future__ import annotations

import numpy as np
import pytest

from deploy.view.comparison import draw_errors


@pytest.mark.parametrize(("value", "step"), [(0.0, 0), (2e-7, 0), (2e-7, 1), (0.3, 0), (0.3, 1)])
def test_errors_that_are_all_alike(value: float, step: int) -> None:
    """All in one bar, on an axis of what errors can be; also where they differ by a rounding."""
    values = [value + step * np.spacing(value) * (k % 2) for k in range(16)]
    quality = {"per_image": {"mse": values}, "mse": {"median": values[0], "p95": values[1]}}
    (axis,) = draw_errors(quality).axes
    left, right = axis.get_xlim()
    assert -0.1 * right < left <= value < right <= max(1.5, 3 * value)
    assert sorted(bar.get_height() for bar in axis.patches)[-2:] == [0, 16]

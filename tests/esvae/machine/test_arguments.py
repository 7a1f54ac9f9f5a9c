"""Shapes and counts that a caller gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from esvae.errors import DataError
from esvae.machine.arguments import shape_argument, whole_number


@pytest.mark.parametrize("given", [12, np.int64(12), (12,), [np.int32(12)], np.array([12])])
def test_a_number_is_a_shape_of_features(given: Any) -> None:
    found = shape_argument(given)
    assert found == (12,)
    assert type(found[0]) is int


@pytest.mark.parametrize("given", [5.0, "5", None, (5.0, 1, 1)])
def test_what_is_no_shape_is_refused(given: Any) -> None:
    with pytest.raises(DataError, match=r"^input_shape .*: expected"):
        shape_argument(given)


def test_a_fraction_is_no_count() -> None:
    assert whole_number(np.int64(5), "n") == 5
    with pytest.raises(DataError, match=r"n 5\.0: expected a whole number, got float"):
        whole_number(5.0, "n")  # type: ignore[arg-type]

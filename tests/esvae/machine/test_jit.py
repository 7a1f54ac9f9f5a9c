"""Kernels are kept where they can be, and compiled all the same where not."""

from __future__ import annotations

import numba
import pytest
from numba.core import caching

from esvae.machine.jit import kernel


def add(a: int, b: int) -> int:
    return a + b


def test_without_a_place_to_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getattr(caching, "CacheImpl", None) or caching._CacheImpl, "_locator_classes", [])
    with pytest.raises(RuntimeError, match="no locator"):
        numba.njit(cache=True)(add)
    assert kernel()(add)(2, 3) == 5


def test_other_errors_are_not_taken_for_that(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr(numba, "njit", broken)
    with pytest.raises(RuntimeError, match="something else"):
        kernel()(add)

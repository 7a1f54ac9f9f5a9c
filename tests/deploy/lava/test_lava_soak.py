"""Lava run many times in a row: nothing is left, and every run gives the twin's integers."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.mark.lava
@pytest.mark.slow
def test_eight_runs_in_a_row_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """benchmarks/lava_soak.py does the same for fifty."""
    file = Path(__file__).resolve().parents[3] / "benchmarks" / "lava_soak.py"
    spec = importlib.util.spec_from_file_location("lava_soak", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "lava_soak", module)
    spec.loader.exec_module(module)
    found = module.soak(8)
    assert found.clean, found

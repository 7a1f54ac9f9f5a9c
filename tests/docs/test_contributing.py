"""The examples of CONTRIBUTING.md work as they stand, one after the other in one folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).resolve().parents[2] / "CONTRIBUTING.md").read_text("utf-8")


def test_the_examples_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    parts = re.findall(r"^## (.+?)$.*?```python\n(.*?)```", TEXT, re.DOTALL | re.MULTILINE)
    assert [title for title, _ in parts] == ["A neuron model", "A frontend", "A backend", "An energy profile"]
    for title, example in parts:
        exec(compile(example, f"CONTRIBUTING.md, {title}", "exec"), {})

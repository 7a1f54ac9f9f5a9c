"""Files written in odd ways: check finds no error where, and only where, Lava computes what the twin does.

Forty in a thorough run, fourteen in an ordinary one.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz import part_of
from fuzz_check import verdicts

pytestmark = [pytest.mark.lava, pytest.mark.slow]
FILES = 40


@pytest.mark.timeout(900)
def test_check_is_right_about_files_of_any_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.netx.check.check_readable", lambda *_: None)  # a fork; the files are our own
    told = list(verdicts(part_of(range(FILES), 14), tmp_path))
    assert [said for said in told if not said.agreed] == []
    outcomes = {said.outcome for said in told}
    assert {"runs, equal", "does not run"} <= outcomes

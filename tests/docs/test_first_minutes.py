"""The timed first minutes: each command once, a failing one ends them, and a run that was stopped goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.first_minutes import NORSE, STEPS, Step, page, run_steps


def test_the_page_has_every_command_and_adds_up() -> None:
    text = page([(step, 40.0) for step in STEPS], "here")
    for step in STEPS:
        assert step.command.format(source="URL") in text
    assert NORSE.rstrip() in text
    assert "| 40.0 | 1:20 |" in text


def test_a_stopped_run_goes_on_and_a_failing_command_is_told(tmp_path: Path) -> None:
    steps = [Step("one", "sh -c 'echo x >> {source}'"), Step("two", "sh -c 'echo why; exit 3'")]
    for _ in range(2):
        with pytest.raises(SystemExit, match=r"exit 3\nwhy"):
            run_steps(steps, tmp_path, "one.txt")
    assert (tmp_path / "one.txt").read_text() == "x\n"
    done = run_steps(steps[:1], tmp_path, "one.txt")
    assert [step for step, _ in done] == steps[:1]

"""Patience with a worker that says nothing: work is a sign of life, waiting is none. Any program stands in for Lava."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from deploy.lava.inside import cleanup
from deploy.lava.inside.messages import Ended
from deploy.lava.session import Silence, Worker

pytestmark = pytest.mark.skipif(not cleanup.PROC.is_dir(), reason="processor time is read from /proc")

WORKS = "import time\nwhile time.process_time() < 2: pass"
CHILD_WORKS = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {WORKS!r}])"
WAITS = "import time\ntime.sleep(600)"


def program(folder: Path, code: str) -> Path:
    """An interpreter that runs ``code``, whatever it is told to run."""
    (folder / "code.py").write_text(code, "utf-8")
    path = folder / "python"
    path.write_text(f"#!/bin/sh\nexec {sys.executable} {folder / 'code.py'}\n", "utf-8")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("code", [WORKS, CHILD_WORKS])
def test_who_computes_is_alive(tmp_path: Path, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.lava.session.POLL_SECONDS", 0.05)  # nearly all of so short a silence is looked at
    with Worker(program(tmp_path, code), tmp_path, patience=1.5) as worker:
        [event] = worker.events()
        assert cleanup.cpu_seconds(worker.pid) >= 1.9  # counted in hundredths
    assert cleanup.cpu_seconds(worker.pid) == 0
    assert isinstance(event, Ended)
    assert (event.how, event.number) == ("exit", 0)


def test_who_waits_is_given_up(tmp_path: Path) -> None:
    with Worker(program(tmp_path, WAITS), tmp_path, patience=1) as worker, pytest.raises(Silence, match="1 s"):
        list(worker.events())

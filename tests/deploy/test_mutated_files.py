"""A few damaged and hostile files through the commands; ``tests/mutate_files.py`` runs as many as one likes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = 12


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_some_damaged_files_are_handled_well(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(ROOT / "tests/mutate_files.py"),
        "-n",
        str(FILES),
        "--seed",
        "7",
        "--seconds",
        "600",
        "--out",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["files"] == FILES
    assert summary["failed"] == 0
    assert {"check 1", "simulate 1"} <= set(summary["codes"])

"""A few damaged and hostile inputs of every kind; ``tests/mutate_files.py`` runs as many as one likes."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mutated.cases import Cases
from mutated.kinds import KINDS, Kind

from esvae.errors import DataError
from warm import ONE_THREAD, Warm

ROOT = Path(__file__).resolve().parents[2]
#: Two of each kind.
INPUTS = 2 * len(KINDS)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, and looks at /proc")


def test_some_damaged_inputs_are_handled_well(ready: Warm, tmp_path: Path) -> None:
    script = ROOT / "tests/mutate_files.py"
    words = ["-n", str(INPUTS), "--seed", "7", "--seconds", "600", "--out", str(tmp_path)]
    done = ready.run(words, folder=tmp_path, environment={**os.environ, **ONE_THREAD}, script=script)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["inputs"], summary["failed"]) == (INPUTS, 0)
    assert set(summary["kinds"]) == set(KINDS)
    ends = {end for kind in summary["kinds"].values() for end in kind["ends"]}
    assert any(end.endswith("refused") for end in ends)
    assert any(end.endswith("same") for end in ends)


def _bytes(path: Path) -> bytes:
    return (path / "x").read_bytes() if (path / "x").is_file() else b""


def _raises(path: Path) -> int:
    if _bytes(path) != b"sound":
        raise ValueError("not as it was")
    return 1


def _refuses(path: Path) -> int:
    if _bytes(path) != b"sound":
        raise DataError("not as it was")
    return 1


def _hangs(path: Path) -> None:
    while _bytes(path) != b"sound":
        time.sleep(0.01)


def _says_much(path: Path) -> None:
    if _bytes(path) != b"sound":
        sys.stderr.write("error: one\nerror: two\n")
        sys.exit(1)


def _takes_much(path: Path) -> int:
    return len(bytes(5 << 30)) if _bytes(path) != b"sound" else 5 << 30


def _sound(place: Path) -> None:
    (place / "x").write_bytes(b"sound")


@pytest.mark.parametrize(
    ("reader", "fault"),
    [
        (lambda path: len(_bytes(path)), "silently wrong: another result than the sound input's"),
        (_raises, "ended with 98"),
        (_hangs, "hangs"),
        (_says_much, "2 lines of errors"),
        (_takes_much, "ended with 98"),
    ],
)
def test_a_planted_fault_is_seen(tmp_path: Path, reader: Callable[[Path], Any], fault: str) -> None:
    kind = Kind({"x": _sound}, {"x": {}}, {"read": reader})
    cases = Cases("planted", kind, tmp_path, seed=0, seconds=2)
    assert fault in {wrong["what"] for verdict in cases.verdicts(0, 3) for wrong in verdict.wrong.values()}


def test_a_reader_that_refuses_is_right(tmp_path: Path) -> None:
    kind = Kind({"x": _sound}, {"x": {}}, {"read": _refuses})
    found = [verdict.ends["read"] for verdict in Cases("planted", kind, tmp_path, seed=0, seconds=60).verdicts(0, 9)]
    assert set(found) <= {"refused", "same"}
    assert "refused" in found


def test_a_reader_must_make_of_a_file_what_another_makes_of_it(tmp_path: Path) -> None:
    def other(path: Path) -> bytes:
        with path.open("rb") as file:  # of a device there would be no end
            return file.read(3)

    for name, reader, right in (
        ("as", lambda place: len(_bytes(place)[:3]), True),
        ("not", lambda place: len(_bytes(place)), False),
    ):
        kind = Kind({"x": _sound}, {"x": {}}, {"read": reader}, other)
        cases = Cases("planted", kind, tmp_path / name, seed=1, seconds=60)
        said = {verdict.ends["read"] for verdict in cases.verdicts(0, 9) if (cases.place / "x").is_file()}
        assert (not any(end.startswith("silently wrong") for end in said)) is right

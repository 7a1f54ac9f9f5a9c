"""``esvae --help`` follows the work, and an option has one name that is shown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from command import call
from deploy.app import PANELS, application
from esvae.chip.rounding import MAX_WEIGHT_BITS, MIN_WEIGHT_BITS

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "import sys; sys.argv[0] = 'esvae'; from esvae.program import run_program; run_program()"


def test_every_command_is_under_one_heading() -> None:
    named = [name for names in PANELS.values() for name in names]
    modules = {path.stem for path in (ROOT / "deploy" / "commands").glob("[a-z]*.py")}
    assert sorted(named) == sorted(modules - {"completion", "options"})  # what the others share
    assert list(PANELS) == ["Train", "Export", "Run", "Judge", "Look", "Environment"]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["import-official", "x"], {"import-official"}),
        (["lava", "doctor"], {"lava"}),
        (["--version"], None),
        (["fti"], None),
    ],
)
def test_a_verb_alone_is_made_where_it_is_named(words: list[str], names: set[str] | None) -> None:
    everything = {verb.replace("_", "-") for verbs in PANELS.values() for verb in verbs}
    assert set(typer.main.get_command(application(words)).commands) == (names or everything)  # type: ignore[attr-defined]


def test_help_has_the_headings_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "--help")
    assert code == 0
    places = []
    for heading, names in PANELS.items():
        places.append(out.index(f" {heading} "))
        rest = out[places[-1] :]
        assert all(f" {name.replace('_', '-')} " in rest for name in names)
    assert places == sorted(places)


@pytest.mark.parametrize("command", ["train", "sweep", "export"])
def test_bits_are_weight_bits(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = call(capsys, command, "--help")
    assert "--weight-bits" in out
    assert "--bits" not in out


def test_weight_bits_are_those_of_the_chip() -> None:
    """A command is built before numpy is imported, so before the chip's numbers are."""
    made = typer.main.get_command(application(["train"])).commands["train"]  # type: ignore[attr-defined]
    taken = next(option.type for option in made.params if option.name == "weight_bits")
    assert (taken.min, taken.max) == (MIN_WEIGHT_BITS, MAX_WEIGHT_BITS)


def test_both_names_are_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("--bits", "--weight-bits"):
        code, _, errors = call(capsys, "train", "digits", "--out", tmp_path / "r", name, "4")
        assert code == 1
        assert "--weight-bits goes with --qat" in errors
        code, _, errors = call(capsys, "sweep", "pretrained:mnist", "-o", tmp_path / "s", name, "9")
        assert code == 1
        assert "--weight-bits 9: expected 2 to 8" in errors


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("plan", "Missing argument 'F.net'. See: esvae plan --help"),
        ("simualte x.net", "Did you mean 'simulate'? See: esvae --help"),
        ("pretrained extra", "Unexpected argument: extra. See: esvae pretrained --help"),
    ],
)
def test_wrong_usage_says_where_to_read_on(words: str, message: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words.split()],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"{message}\n")

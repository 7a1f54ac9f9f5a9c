"""``esvae --help`` follows the work, a shell completes names, and an option has one name that is shown."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from command import call
from deploy.app import PANELS
from deploy.commands import completion
from esvae.config import DATA_NAMES
from esvae.shipped import config_names
from sim.energy.profile import profile_names

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "import sys; sys.argv[0] = 'esvae'; from esvae.program import run_program; run_program()"


def test_every_command_is_under_one_heading() -> None:
    named = [name for names in PANELS.values() for name in names]
    modules = {path.stem for path in (ROOT / "deploy" / "commands").glob("[a-z]*.py")}
    assert sorted(named) == sorted(modules - {"completion", "options"})  # what the others share
    assert list(PANELS) == ["Train", "Export", "Run", "Judge", "Look", "Environment"]


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
        ("pretrained extra", "(extra). See: esvae pretrained --help"),
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


def completed(words: str, home: Path) -> list[str]:
    """What is offered for the last word."""
    environment = {
        "_ESVAE_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **environment, "PYTHONPATH": str(ROOT), "HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_a_shell_completes_commands_and_configs(tmp_path: Path) -> None:
    assert completed("esvae si", tmp_path) == ["simulate"]
    assert completed("esvae config show cif", tmp_path) == [name for name in config_names() if name.startswith("cif")]
    assert completed("esvae data check d", tmp_path) == ["digits"]


def test_what_is_offered() -> None:
    assert completion.complete_config("") == config_names()
    assert completion.complete_data("") == list(DATA_NAMES)
    assert completion.complete_profile("") == list(profile_names())
    assert completion.complete_backend("l") == ["lava"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_completion_is_installed_by_one_command(tmp_path: Path) -> None:
    """In the shell that it is run from; a shell that begins afterwards has it."""
    (tmp_path / "esvae").write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{PROGRAM}" "$@"\n')
    (tmp_path / "esvae").chmod(0o755)
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    environment["PATH"] = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["bash", "-c", "esvae --install-completion; true"], env=environment, check=True, capture_output=True)
    asked = 'source ~/.bashrc; COMP_WORDS=(esvae verif) COMP_CWORD=1; _esvae_completion esvae; echo "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", asked], env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["verify"]

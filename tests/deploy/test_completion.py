"""What shells offer at the TAB key: asked as they ask, and at the key itself in those that are there."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.backends import BACKENDS
from deploy.commands import completion
from esvae.config import DATA_NAMES
from esvae.shipped import config_names, pretrained_names
from sim.energy.profile import profile_names

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "import sys; sys.argv[0] = 'esvae'; from esvae.program import run_program; run_program()"
PATIENCE = 300.0


def completed(words: str, home: Path) -> list[str]:
    """What is offered for the last word."""
    environment = {
        "_ESVAE_COMPLETE": "complete_bash",
        "COMP_WORDS": words.replace(" ", "\n"),
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
    assert completion.complete_backend("") == list(BACKENDS)
    assert completion.complete_backend("l") == ["lava"]


def test_runs_are_offered_with_files_that_begin_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("pre.net", "other.net"):
        Path(name).touch()
    every = [f"pretrained:{name}" for name in pretrained_names()]
    assert completion.complete_run("pre") == [*every, "pre.net"]
    assert completion.complete_run("pretrained:mn") == ["pretrained:mnist"]
    assert completion.complete_run("") == completion.complete_run("oth") == []  # the shell's own files
    assert completion.complete_config_or_run("pretrained:mn") == ["pretrained:mnist"]


@given(st.lists(st.text(st.characters(exclude_characters=" \n:="), min_size=1), min_size=1))
def test_words_without_breaks_stay(words: list[str]) -> None:
    for at in range(len(words)):
        assert completion.joined_at_breaks(words, at) == (words[: at + 1], at)


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        ("esvae simulate pretrained : mn", "esvae simulate pretrained:mn"),
        ("esvae simulate pretrained :", "esvae simulate pretrained:"),
        ("esvae diff a.net pretrained : mn", "esvae diff a.net pretrained:mn"),
        ("esvae simulate x.net --backend = la", "esvae simulate x.net --backend=la"),
    ],
)
def test_broken_words_become_whole(broken: str, whole: str) -> None:
    words = broken.split()
    joined = whole.split()
    assert completion.joined_at_breaks([*words, "behind"], len(words) - 1) == (joined, len(joined) - 1)


def test_the_tab_key_exports_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments before the cursor's are parsed as in a run, but a run that is named there is not made a file of."""
    monkeypatch.setenv("ESVAE_CACHE", str(tmp_path / "cache"))
    assert completed("esvae simulate pretrained:mnist --backend o", tmp_path) == ["onnx"]
    assert not (tmp_path / "cache").exists()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home in which ``esvae`` is found as a program."""
    (tmp_path / "esvae").write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{PROGRAM}" "$@"\n')
    (tmp_path / "esvae").chmod(0o755)
    return tmp_path


def environment(home: Path) -> dict[str, str]:
    """Of a shell whose home that is."""
    changed = {"HOME": str(home), "ZDOTDIR": str(home), "PYTHONPATH": str(ROOT), "TERM": "dumb", "PS1": "$ "}
    return {**os.environ, **changed, "PATH": f"{home}{os.pathsep}{os.environ['PATH']}"}


def at_the_key(shell: list[str], home: Path, typed: str) -> list[str]:
    """The words at an interactive shell's prompt once the TAB key is pressed behind what is ``typed``.

    Keys are taken one after the other: behind TAB the line's start becomes a command that writes its words to a file.
    The first TAB in a zsh only loads what the next one asks.
    """
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(home)
        os.execvpe(shell[0], shell, environment(home))
    try:
        os.write(terminal, b"echo rea''dy\n")
        _until(terminal, b"ready\r\n")
        os.write(
            terminal,
            typed.encode()
            + b"\t" * (2 if shell[0] == "zsh" else 1)
            + b"\x01printf '%s\\n' \x05 > words; echo do''ne\n",
        )
        _until(terminal, b"done\r\n")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(terminal)
    return (home / "words").read_text().split()


def _until(terminal: int, mark: bytes) -> None:
    seen, deadline = b"", time.monotonic() + PATIENCE
    while mark not in seen:
        ready, _, _ = select.select([terminal], [], [], max(deadline - time.monotonic(), 0))
        assert ready, f"no {mark!r} in {seen!r}"
        seen += os.read(terminal, 4096)


def installed(shell: str, home: Path) -> None:
    """Completion of one shell, by the one command that is documented, from that shell."""
    asked = "esvae --install-completion; true"  # `true`, or the shell would give its place to the program
    subprocess.run([shell, "-c", asked], env=environment(home), check=True, capture_output=True)


@pytest.mark.parametrize(
    ("shell", "options"),
    [("bash", ["--noprofile", "-i"]), ("zsh", ["-i"])],
)
@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("esvae verif", "esvae verify"),
        ("esvae simulate pretrained:mn", "esvae simulate pretrained:mnist"),
        ("esvae config show pretrained:c", "esvae config show pretrained:cifar10"),
        ("esvae simulate mi", "esvae simulate mine.net"),
    ],
)
def test_the_tab_key(shell: str, options: list[str], typed: str, line: str, home: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    (home / "mine.net").touch()
    installed(shell, home)
    assert at_the_key([shell, *options], home, typed) == line.split()


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
def test_what_fish_offers(home: Path) -> None:
    installed("fish", home)
    asked = "complete -C 'esvae simulate pretrained:mn'"
    done = subprocess.run(["fish", "-c", asked], env=environment(home), check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["pretrained:mnist"]

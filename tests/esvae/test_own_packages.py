"""Beside files and folders of a user's that are called ``export``, ``sim`` and ``deploy``; processes of their own.

What imports next to nothing, and ``esvae fit``, begins as an interpreter; the others are forks of one that has imported
what is not the project's (see :mod:`warm`), and that a sweep starts begins as an interpreter too.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import esvae
from esvae.doors import DOORS
from every_command import NOT_RUN, write_foreign, write_inputs
from warm import ONE_THREAD, Warm

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"esvae", "export", "sim", "deploy"}
COMMAND = "from esvae.program import run_program; run_program()"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_inputs(tmp_path_factory.mktemp("own"))


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder of somebody's, whose modules must not be imported."""
    write_foreign(tmp_path)
    return tmp_path


def python(folder: Path, code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs code where the folder comes first on the path, as in a notebook, and by PYTHONPATH once more."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((".", str(ROOT)))}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def script(warm: Warm, folder: Path, code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """As :func:`python`, of a script in that folder."""
    (folder / "script.py").write_text(code)
    environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join((".", str(ROOT)))}
    words = [str(argument) for argument in arguments]
    return warm.run(words, folder=folder, environment=environment, installed=True, script=folder / "script.py")


@pytest.mark.parametrize("words", ["fit NET", *(f"{name} --help" for name in NOT_RUN)])
def test_the_installed_command(words: str, inputs: dict[str, Path], foreign: Path) -> None:
    """A process from its beginning; in tests/deploy/test_every_command.py every command is run so, as a fork."""
    done = python(foreign, COMMAND, *(inputs.get(word, word) for word in words.split()))
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr


@pytest.mark.slow
def test_its_workers(warm: Warm, inputs: dict[str, Path], foreign: Path) -> None:
    """They are spawned, and import the script that the command started from."""
    code = "from esvae.program import run_program\nif __name__ == '__main__':\n    run_program()\n"
    words = ("sweep", inputs["RUN"], "-o", "store", "--weight-bits", "8,7", "-n", 2, "--test-images", 2, "--jobs", 1)
    done = script(warm, foreign, code, *words, "--data-root", inputs["IMAGES"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 evaluated" in done.stdout


def test_functions_of_the_library(warm: Warm, inputs: dict[str, Path], foreign: Path) -> None:
    code = "import sys, esvae; print(esvae.load(sys.argv[1]).generate(2)); import deploy; print(deploy.load)"
    done = script(warm, foreign, code, inputs["NET"])
    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stderr.splitlines() if "UserWarning" in line]
    assert len(warnings) == 3
    assert "'export' means a package of esvae-loihi from here on, not " in done.stderr


def test_a_clash_is_told_in_one_line(warm: Warm, inputs: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "export.py").write_text("def mine(): pass\n")
    code = (
        "import sys, export, esvae\nfrom esvae.errors import EsvaeError\n"
        "try:\n    esvae.load(sys.argv[1])\nexcept EsvaeError as error:\n    print(error)"
    )
    done = script(warm, tmp_path, code, inputs["NET"])
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.endswith(
        "export.py: was imported as 'export', which is the name of a package of esvae-loihi too; "
        "rename it, or use esvae in a process that does not import it"
    )


def test_without_any_of_them_nothing_is_said(warm: Warm, inputs: dict[str, Path], tmp_path: Path) -> None:
    done = script(warm, tmp_path, "import sys, esvae; esvae.load(sys.argv[1])", inputs["NET"])
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr


def test_importing_it_imports_little(tmp_path: Path) -> None:
    code = "import sys, esvae; print(*(name for name in sys.modules if not name.startswith('_')))"
    found = set(python(tmp_path, code).stdout.split())
    assert {name for name in found if name.split(".")[0] in PACKAGES} == {"esvae"}
    assert not found & {"numpy", "torch", "rich", "typer", "yaml", "importlib.metadata"}


def test_all_that_is_offered_is_there() -> None:
    assert {*DOORS, "__version__"} == set(esvae.__all__)
    for name in DOORS:
        assert getattr(esvae, name).__name__ == name
    assert set(DOORS) <= set(dir(esvae))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        esvae.nothing  # noqa: B018


def test_type_checkers_are_told_of_the_same() -> None:
    stub = (ROOT / "esvae/__init__.pyi").read_text("utf-8")
    named = {line.split(" as ")[1] for line in stub.splitlines() if line.startswith("from ")}
    assert named == set(DOORS)
    for line in stub.splitlines():
        if line.startswith("from "):
            _, module, _, name, *_ = line.split()
            assert DOORS[name] == module

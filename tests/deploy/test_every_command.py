"""What every command must do wherever it is run: :mod:`every_command` lists them, each here is a process of its own."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

from deploy.app import application
from every_command import CASES, FOREIGN, INPUT_OPTIONS, NOT_RUN, outputs, write_foreign, write_inputs
from warm import ONE_THREAD, ROOT, Warm

#: A folder's name that takes quoting everywhere.
AWKWARD = "-o ünï\nñew ☃"
WRITERS = [name for name, case in CASES.items() if case.writes]
#: What prints and keeps files as every other does: anywhere, and on a full disk, they are run too.
DEAR = [name for name, case in CASES.items() if case.dear]


@dataclass(frozen=True)
class Undisturbed:
    """What became of a command: exit code, output, errors, and its files by path."""

    code: int
    out: str
    errors: str
    files: dict[str, bytes]


@dataclass(frozen=True)
class Place:
    """Where commands are run.

    Attributes:
        warm, ready: that run them, from before anything of the project is imported, and from after.
        inputs: of :func:`every_command.write_inputs`, in a folder of an awkward name.
        whole: commands where nothing stands in their way.
    """

    warm: Warm
    ready: Warm
    inputs: dict[str, Path]
    whole: dict[str, Undisturbed]


@pytest.fixture(scope="module")
def place(warm: Warm, ready: Warm, tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("every") / AWKWARD
    folder.mkdir()
    return Place(warm, ready, write_inputs(folder), {})


def run(
    place: Place,
    name: str,
    folder: Path,
    out: str = "",
    *,
    streams: str = "both",
    file_bytes: int | None = None,
    installed: bool = False,
    **environment: str,
) -> tuple[int, str, str]:
    """Runs a command in a folder; gives exit code, output and errors.

    Args:
        place, name, folder: which, and where.
        out: what its outputs begin with.
        streams: ``both``, or where nobody reads the output, ``unread``, or ``no errors`` where stderr is closed.
        file_bytes: that a file may have.
        installed: as the installed command, with the folder on the path of modules.
        environment: more of it.
    """
    (folder / "tmp").mkdir(exist_ok=True)
    given = {**ONE_THREAD, "PATH": os.environ["PATH"], "TMPDIR": str(folder / "tmp"), **environment}
    paths = [folder / "tmp" / each for each in ("out", "errors")]
    ends = [os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC) for path in paths]
    if file_bytes is not None or streams == "unread":  # a limit holds for these files too
        readers, writers = zip(*(os.pipe() for _ in ends), strict=True)
        for end in ends:
            os.close(end)
        ends = list(writers)
        if streams == "unread":
            os.close(readers[0])
    errors = None if streams == "no errors" else ends[1]
    child = (place.warm if installed else place.ready).start(
        CASES[name].filled(place.inputs, out),
        folder=folder,
        environment=given,
        out=ends[0],
        errors=errors,
        file_bytes=file_bytes,
        installed=installed,
    )
    for end in ends:
        os.close(end)
    if file_bytes is not None or streams == "unread":
        for number, path in enumerate(paths):
            if not (streams == "unread" and number == 0):
                with os.fdopen(readers[number], "rb") as reader:
                    path.write_bytes(reader.read())
    code = child.wait()
    told = [path.read_text("utf-8", "replace") for path in paths]
    for path in paths:
        path.unlink()
    return code, told[0], told[1]


def files(folder: Path) -> dict[str, bytes]:
    """All files below a folder, temporary ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


#: No home, an ASCII terminal of 40 columns, and names with blanks, a newline, a dash before and letters beyond.
NARROW = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "TERM": "dumb", "COLUMNS": "40", "HOME": "/proc/none"}
OUT = "-x/-ö "


def room(folder: Path) -> Path:
    """A folder of an awkward name, with one in it for what a command writes."""
    (folder / AWKWARD / "-x").mkdir(parents=True)
    return folder / AWKWARD


def whole(place: Place, name: str, folder: Path) -> Undisturbed:
    """A command where nothing stands in its way, in a folder with modules of somebody's; run once."""
    if name not in place.whole:
        made = room(folder / "whole")
        write_foreign(made)
        done = run(place, name, made, OUT, installed=True, **NARROW)
        written = {path: content for path, content in files(made).items() if path not in FOREIGN}
        place.whole[name] = Undisturbed(*done, written)
    return place.whole[name]


def error_lines(errors: str) -> list[str]:
    return [line for line in errors.replace("\r", "\n").splitlines() if line.startswith("error: ")]


def test_the_table_knows_every_command_and_every_output() -> None:
    """A new command, or a new option for a path, has to be put into the table, or be named with the reason."""
    given: dict[str, set[str]] = {}
    for name, case in CASES.items():
        given.setdefault(name.partition(",")[0], set()).update(outputs(case.words))
    commands = dict(every(typer.main.get_command(application())))
    assert set(commands) == given.keys() | NOT_RUN.keys()
    for name, command in commands.items():
        hints = inspect.get_annotations(inspect.unwrap(command.callback), eval_str=True)  # type: ignore[attr-defined]
        for parameter in command.params:  # type: ignore[attr-defined]
            names = {*parameter.opts, *parameter.secondary_opts}
            if "Path" not in str(hints.get(parameter.name)) or not max(names).startswith("-"):
                continue
            known = names & INPUT_OPTIONS or names & given.get(name, set())
            assert known, f"{name} {max(names, key=len)}: an input or an output? Say so in tests/every_command.py"


def every(command: object, before: str = "") -> Iterator[tuple[str, object]]:
    """Commands by name, those of groups too."""
    for name, each in command.commands.items():  # type: ignore[attr-defined]
        if hasattr(each, "commands"):
            yield from every(each, f"{before}{name} ")
        else:
            yield before + name, each


@pytest.mark.parametrize("name", CASES)
def test_anywhere(name: str, place: Place, tmp_path: Path) -> None:
    """Also beside a foreign ``export.py``, ``sim.py`` and ``deploy/``, none of which may be imported."""
    done = whole(place, name, tmp_path)
    assert done.code == CASES[name].code, done.errors
    assert "Traceback" not in done.out + done.errors
    assert not error_lines(done.errors)
    assert "\x1b" not in done.out + done.errors
    assert (done.out + done.errors).isascii()
    assert {path.partition("/")[0] for path in done.files} <= {"-x"}


@pytest.mark.parametrize("name", [name for name in CASES if name not in DEAR])
def test_nobody_reads_the_output(name: str, place: Place, tmp_path: Path) -> None:
    """As before ``| head`` has read its lines: the command ends as by SIGPIPE, without a word."""
    code, _, errors = run(place, name, tmp_path, streams="unread")
    assert code == 141, errors
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors
    assert not error_lines(errors)


@pytest.mark.parametrize("name", ["check", "simulate", "train", "diff"])
def test_closed_standard_error(name: str, place: Place, tmp_path: Path) -> None:
    code, out, _ = run(place, name, tmp_path, streams="no errors")
    assert code == CASES[name].code
    assert out


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk(name: str, place: Place, tmp_path: Path) -> None:
    """No file may be larger than half of the largest: one line says so, and all that is there is whole."""
    wanted = whole(place, name, tmp_path).files
    folder = room(tmp_path / "half")
    code, _, errors = run(place, name, folder, OUT, file_bytes=max(map(len, wanted.values())) // 2)
    assert code == 1, errors
    assert "Traceback" not in errors
    assert len(error_lines(errors)) == 1, errors
    assert "File too large" in error_lines(errors)[0]
    found = files(folder)
    assert found.keys() < wanted.keys()
    if CASES[name].steady:
        assert found.items() < wanted.items()


@pytest.mark.parametrize("name", [name for name in WRITERS if name not in DEAR])
def test_what_stood_there_is_kept_by_a_full_disk(name: str, place: Place, tmp_path: Path) -> None:
    """Not a byte can be written; what refuses what stands there does so here too."""
    before, folder = whole(place, name, tmp_path).files, room(tmp_path / "again")
    for path, content in before.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    code, _, errors = run(place, name, folder, OUT, file_bytes=0)
    assert code == (0 if name == "generate" else 1), errors
    assert "Traceback" not in errors
    assert len(error_lines(errors)) == code, errors
    assert files(folder) == before


def test_the_locale_of_computers_without_one(place: Place, tmp_path: Path) -> None:
    """A process from its beginning in ASCII, file names too."""
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONPATH": str(ROOT)}
    targets = [tmp_path / "bild ü.svg", tmp_path / "tafel ü.csv"]
    words = ("inspect", place.inputs["NET"], "-o", targets[0], "--csv", targets[1])
    done = subprocess.run(
        [sys.executable, "-m", "deploy.cli", *words],
        env={**ONE_THREAD, "PATH": os.environ["PATH"], **plain},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert all(target.exists() for target in targets)
    assert (done.stdout + done.stderr).isascii()

"""Makes an environment of its own for Lava: Python 3.10, which its last release needs, and pinned packages.

The environment stands apart from the one that this project runs in, so that neither constrains the other. Making it a
second time costs nothing; one that was cut short is made anew; a folder that holds anything else is left alone.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.lava import find
from deploy.lava.environment import child_environment
from esvae.errors import DataError, EsvaeError, LavaMissingError
from esvae.machine.documents import load_json
from esvae.machine.files import write_text
from esvae.machine.progress import Progress

__all__ = ["PACKAGES", "Installed", "base_interpreters", "install_lava"]

#: What goes into the environment. lava-dl 0.6.0 itself pins lava-nc 0.10.0, torch 2.3.1 and numpy below 2.
PACKAGES = ("lava-dl==0.6.0", "lava-nc==0.10.0")
#: The part of it that runs spiking LIF networks: lava-dl without torch and its training half.
SMALL = (
    ("lava-nc==0.10.0", "h5py>=3.8,<4", "numpy<2"),
    ("--no-deps", "lava-dl==0.6.0"),
)
STATE = "esvae-lava.json"
LOG = "esvae-lava.log"
PYTHON_VERSION = ".".join(map(str, find.LAVA_PYTHON_VERSION))
BASE_PROBE = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
BASE_PROBE_SECONDS = 30.0  # for an interpreter to say which it is


@dataclass(frozen=True)
class Installed:
    """An environment that has Lava.

    Attributes:
        python: its interpreter, which :func:`deploy.lava.find_lava_python` now finds.
        folder: where it is.
        made: whether it was made now, or was there.
        seconds: that took.
    """

    python: Path
    folder: Path
    made: bool
    seconds: float


def install_lava(
    folder: str | os.PathLike[str] | None = None,
    *,
    base: str | os.PathLike[str] | None = None,
    small: bool = False,
    progress: Progress | None = None,
) -> Installed:
    """Makes the environment, or finds it made, and remembers it for :func:`deploy.lava.find_lava_python`.

    Args:
        folder: where; below the user's data folder by default.
        base: the Python 3.10 to make it with; found, or fetched by uv, by default.
        small: leave out torch, which only networks of other than LIF neurons need: 0.5 GB instead of 5.6.
        progress: called with a share of the work done and what is being done.

    Raises:
        LavaMissingError: there is no Python 3.10, or pip failed; names the log.
        EsvaeError: the folder holds something else, or cannot be written.
    """
    started = time.perf_counter()
    report = progress or (lambda share, text: None)
    target = Path(folder).absolute() if folder is not None else find.data_folder() / "lava"
    python = target / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = {"packages": [*SMALL[0], *SMALL[1]] if small else list(PACKAGES)}
    state = _state(target)
    made = state != {**wanted, "complete": True} or not _is_base(str(python))
    if made:
        _make(target, python, wanted, base, SMALL if small else (PACKAGES,), report)
    write_text(find.data_folder() / find.REMEMBERED, f"{python}\n")
    find._probed.cache_clear()
    report(1.0, "ready")
    return Installed(python, target, made, round(time.perf_counter() - started, 2))


def _state(target: Path) -> dict[str, object] | None:
    try:
        found = load_json(target / STATE)
    except (OSError, DataError):
        return None
    return found if isinstance(found, dict) else None


def _make(
    target: Path,
    python: Path,
    wanted: dict[str, list[str]],
    base: str | os.PathLike[str] | None,
    batches: tuple[tuple[str, ...], ...],
    report: Progress,
) -> None:
    if target.exists():
        if _state(target) is None and (not target.is_dir() or any(target.iterdir())):
            raise EsvaeError(f"{target} is there and was not made by esvae lava install; name another place: --path")
        shutil.rmtree(target)
    report(0.0, f"looking for Python {PYTHON_VERSION}")
    interpreter = _given(base) if base is not None else _base()
    write_text(target / STATE, json.dumps({**wanted, "complete": False}) + "\n")
    report(0.05, f"making an environment with {interpreter}")
    _run([interpreter, "-m", "venv", str(target)], target)
    for index, batch in enumerate(batches):
        report(0.1 + 0.8 * index / len(batches), f"installing {', '.join(each for each in batch if each[0] != '-')}")
        _run([str(python), "-m", "pip", "install", "--no-input", "--disable-pip-version-check", *batch], target)
    report(0.95, "checking it")
    _run([str(python), "-c", "import lava.magma, lava.proc, h5py"], target)
    write_text(target / STATE, json.dumps({**wanted, "complete": True}) + "\n")


def _run(command: list[str], target: Path) -> None:
    log = target / LOG
    try:
        with log.open("ab") as handle:
            subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=handle,
                check=True,
                env=child_environment(),
            )
    except OSError as error:
        raise LavaMissingError(f"cannot run {command[0]}: {error.strerror}") from error
    except subprocess.CalledProcessError as error:
        lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
        said = next((line for line in reversed(lines) if line.upper().startswith("ERROR")), (lines or ["nothing"])[-1])
        shown = " ".join(command[1:4])
        raise LavaMissingError(
            f"esvae lava install: '{shown} ...' failed with exit status {error.returncode}: {said}; "
            f"the whole log is {log}; mend it and run esvae lava install again"
        ) from error


def _given(base: str | os.PathLike[str]) -> str:
    found = shutil.which(str(base))
    if found is None or not _is_base(found):
        raise LavaMissingError(
            f"{base} is no Python {PYTHON_VERSION} that can make environments (with venv and ensurepip)"
        )
    return found


def _base() -> str:
    for candidate in base_interpreters():
        if _is_base(candidate):
            return candidate
    uv = shutil.which("uv")
    if uv is not None:
        for verb in ("find", "install", "find"):
            done = subprocess.run(
                [uv, "python", verb, PYTHON_VERSION], stdin=subprocess.DEVNULL, capture_output=True, text=True
            )
            path = done.stdout.strip()
            if verb == "find" and done.returncode == 0 and path and _is_base(path):
                return path
    more = "uv could not get one" if uv is not None else "and there is no uv to get one (pip install uv)"
    raise LavaMissingError(
        f"no Python {PYTHON_VERSION} that can make environments was found, {more}; Lava's last release runs on it "
        "alone: install it, or name one with --python"
    )


def base_interpreters() -> Iterator[str]:
    """Candidates for a Python 3.10: the running one's base, those on ``PATH``, pyenv's; not yet tried."""
    if sys.version_info[:2] == find.LAVA_PYTHON_VERSION:
        yield getattr(sys, "_base_executable", "") or sys.executable
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        for name in (f"python{PYTHON_VERSION}", "python3", "python"):
            candidate = Path(folder) / name
            if folder and candidate.is_file():
                yield str(candidate)
    root = os.environ.get("PYENV_ROOT", "")
    versions = (Path(root) if root else Path.home() / ".pyenv") / "versions"
    yield from (str(found) for found in sorted(versions.glob(f"{PYTHON_VERSION}.*/bin/python"), reverse=True))


def _is_base(path: str) -> bool:
    """Whether ``path`` runs, is Python 3.10 and can make environments."""
    try:
        answer = subprocess.run(
            [path, "-c", BASE_PROBE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BASE_PROBE_SECONDS,
            env=child_environment(),
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return answer.returncode == 0 and answer.stdout.strip() == PYTHON_VERSION

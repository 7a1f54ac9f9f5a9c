"""Finds a Python interpreter that has lava-dl, without importing Lava."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from deploy.lava.environment import child_environment
from esvae.errors import LavaMissingError
from esvae.machine.documents import parse_json
from esvae.machine.files import read_regular

__all__ = [
    "FIX",
    "LAVA_PYTHON_VARIABLE",
    "LAVA_PYTHON_VERSION",
    "data_folder",
    "find_lava_python",
    "remembered_python",
]

LAVA_PYTHON_VARIABLE = "ESVAE_LAVA_PYTHON"
LAVA_PYTHON_VERSION = (3, 10)
"""The one minor version of Python that Lava's last release runs on."""
LAVA_PROBE_SECONDS = 60.0  # for an interpreter to import Lava and say so
FIX = (
    "run: esvae lava install; or on Python 3.10: pip install 'esvae-loihi[lava]'; or make a Python 3.10 environment, "
    f"in it pip install lava-dl==0.6.0, and set {LAVA_PYTHON_VARIABLE} to that environment's python"
)
REMEMBERED = "lava-python"
"""Name of the file in :func:`data_folder` that holds the path of the interpreter that was installed last."""
_MOST_BYTES = 1 << 16  # of that file

_PROBE = """\
import json, sys
found = {"python": "%d.%d.%d" % sys.version_info[:3], "minor": list(sys.version_info[:2]), "lava-dl": None}
try:
    import importlib.metadata
    found["lava-dl"] = importlib.metadata.version("lava-dl")
except Exception:
    pass
print(json.dumps(found))
"""


def find_lava_python() -> Path:
    """The interpreter to run Lava with.

    That is the one that the environment variable ``ESVAE_LAVA_PYTHON`` names (a path, or a command on ``PATH``); where
    it names none, the running one, if that is Python 3.10 and has lava-dl; else the one that ``esvae lava install``
    made. The first and the last are run once and must be found to have lava-dl.

    Raises:
        LavaMissingError: there is none, or the one named does not run, is not Python 3.10 or lacks lava-dl.
    """
    if named := os.environ.get(LAVA_PYTHON_VARIABLE, ""):
        return _probed(named, f"{LAVA_PYTHON_VARIABLE}={named}")
    if _running_interpreter_has_lava():
        return Path(sys.executable)
    if installed := remembered_python():
        return _probed(str(installed), f"the environment that esvae lava install made, {installed},")
    running = f"this Python {sys.version_info[0]}.{sys.version_info[1]} has no lava-dl"
    raise LavaMissingError(
        f"Lava was not found: {running}, {LAVA_PYTHON_VARIABLE} is not set and esvae lava install has not been run; "
        f"{FIX}"
    )


def data_folder() -> Path:
    """The user's folder for this project: below ``XDG_DATA_HOME``, or ``~/.local/share``."""
    base = os.environ.get("XDG_DATA_HOME", "")
    return (Path(base) if base else Path.home() / ".local" / "share") / "esvae-loihi"


def remembered_python() -> Path | None:
    """The interpreter that ``esvae lava install`` made last, whether or not it still runs."""
    try:
        text = read_regular(data_folder() / REMEMBERED, _MOST_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError, RuntimeError):
        return None
    return Path(text) if text else None


def _running_interpreter_has_lava() -> bool:
    if sys.version_info[:2] != LAVA_PYTHON_VERSION or importlib.util.find_spec("lava") is None:
        return False
    try:
        importlib.metadata.version("lava-dl")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


@functools.cache
def _probed(named: str, where: str) -> Path:
    """The interpreter ``named`` as an absolute path, after running it once; errors call it ``where``."""
    path = shutil.which(os.path.expanduser(named))  # noqa: PTH111 - a bare command name must stay one
    if path is None:
        raise LavaMissingError(f"{where} is not a program that can be run; {FIX}")
    try:
        answer = subprocess.run(
            [path, "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LAVA_PROBE_SECONDS,
            check=True,
            env=child_environment(),
        ).stdout
        found = parse_json(answer.strip().splitlines()[-1])
        minor, version = tuple(found["minor"]), found["lava-dl"]
    except subprocess.TimeoutExpired:
        raise LavaMissingError(f"{where} gave no answer within {LAVA_PROBE_SECONDS:g} s; {FIX}") from None
    except (OSError, subprocess.CalledProcessError, ValueError, LookupError, TypeError) as error:
        raise LavaMissingError(f"{where} does not run as a Python interpreter: {_last_line(error)}; {FIX}") from error
    if version is None:
        raise LavaMissingError(f"{where} is Python {found['python']} without lava-dl; {FIX}")
    if minor != LAVA_PYTHON_VERSION:
        raise LavaMissingError(f"{where} is Python {found['python']}, on which Lava does not run; {FIX}")
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow a virtual environment's link out of it


def _last_line(error: BaseException) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = (error.stderr or "").strip().splitlines()
        return lines[-1] if lines else f"exit status {error.returncode}"
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]

"""Runs a function in a fork of this warm process, its time, memory and what it says watched."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import select
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Outcome", "run_watched"]

#: Bytes of address space that a fork may add to what it begins with; what takes more is met by MemoryError.
_ADDED = 3 << 30
_TRACEBACK, _ODD = 98, 99  # exit codes of a fork


@dataclass(frozen=True)
class Outcome:
    """How a function ended.

    Attributes:
        code: 0; what it left with; a negative signal; 98 where it raised.
        said: on standard error, without progress bars.
        result: what it gave, as JSON text; empty where it gave nothing.
        peak: bytes of memory, those shared with this process included.
        seconds: that it took.
        late: it was ended for taking too long.
    """

    code: int
    said: str
    result: str
    peak: int
    seconds: float
    late: bool = False


def run_watched(function: Callable[[], Any], seconds: float) -> Outcome:
    """Runs ``function`` in a fork, where an :class:`~esvae.errors.EsvaeError` ends it as it ends a command.

    Args:
        function: gives what JSON holds.
        seconds: after which it, and all that it started, is ended.
    """
    receiver, sender = os.pipe()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.close(receiver)
            _in_the_fork(function, sender)
        os._exit(_ODD)
    os.close(sender)
    told, late = b"", False
    while not late:
        late = not select.select([receiver], [], [], max(0.0, started + seconds - time.monotonic()))[0]
        if late or not (piece := os.read(receiver, 1 << 16)):
            break
        told += piece
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if late:
            os.killpg(child, signal.SIGKILL)
    os.close(receiver)
    _, status, usage = os.wait4(child, 0)
    said, result = json.loads(told) if told and not late else ("", "")
    took = time.monotonic() - started
    return Outcome(os.waitstatus_to_exitcode(status), said, result, usage.ru_maxrss << 10, took, late)


def _in_the_fork(function: Callable[[], Any], sender: int) -> None:
    os.setpgid(0, 0)
    begun = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (begun + _ADDED,) * 2)
    errors, result = io.StringIO(), ""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        try:
            result, code = json.dumps(function(), sort_keys=True), 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else _ODD
        except BaseException as error:
            code = _as_the_command_line(error, errors)
    lines = [line for line in errors.getvalue().replace("\r", "\n").splitlines() if not _is_progress(line)]
    with os.fdopen(sender, "w") as pipe:
        json.dump(["\n".join(lines)[-60_000:], result], pipe)
    os._exit(code)


def _as_the_command_line(error: BaseException, errors: io.StringIO) -> int:
    from esvae.errors import EsvaeError

    if isinstance(error, EsvaeError):
        errors.write(f"error: {' '.join(str(error).split())}\n")
        return 1
    errors.write("".join(traceback.format_exception(error)))
    return _TRACEBACK


def _is_progress(line: str) -> bool:
    return not line.strip() or line.startswith("\x1b") or " left " in line

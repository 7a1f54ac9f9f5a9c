"""The worker: imports Lava once, then runs each job in a fork of its own, so that no network meets what another left.

It leads a session of processes that a guard watches over. Standard input is a pipe that the parent holds open as long
as it lives. Lava and netx print on standard output and error as they please.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path

from . import cleanup
from .guard import start_guard
from .imports import import_lava, import_netx
from .messages import JOBS, ConvSynapse, Ended, FailedEvent, GraphWork, LavaWork, Ready, decode_message
from .reporter import Reporter
from .run_job import run_job
from .watch import finish

__all__ = ["main"]

FILE_POLL = 0.005  # seconds between looks for a file


def main(scratch: Path, descriptor: int) -> None:
    """Runs the jobs that a file in the scratch folder lists, and leaves the interpreter.

    Args:
        scratch: folder for all files of the run.
        descriptor: a pipe's write end, for events.
    """
    guard = start_guard(os.getppid(), sys.stdin.fileno(), str(scratch))
    reporter = Reporter(descriptor)  # from here on a parent that has died already ends this process
    while not (scratch / JOBS).exists():  # the parent writes it meanwhile
        time.sleep(FILE_POLL)
    try:
        jobs: list[LavaWork] = decode_message((scratch / JOBS).read_text(encoding="utf-8"))
        # Lava's compiler warns of each file beside a process that it cannot import in its search for models
        warnings.filterwarnings("ignore", message="Cannot import module")
        reporter.tell(Ready, versions=_import_lava(jobs))
        for number, work in enumerate(jobs):
            reporter.begin(number)
            _in_a_fork(work, reporter)
            if cleanup.PROC.is_dir():
                cleanup.end_group(os.getpid(), spare=(os.getpid(), guard))
    except Exception as error:
        _tell(error, reporter)
        finish(1)
    reporter.close()
    while scratch.exists():  # until the parent has taken what the jobs left; the guard ends this if it dies
        time.sleep(FILE_POLL)
    with contextlib.suppress(OSError):
        os.kill(guard, signal.SIGKILL)
        os.waitpid(guard, 0)
    finish(0)


def _import_lava(jobs: list[LavaWork]) -> dict[str, str]:
    """Imports what the jobs need; gives the versions of what decides the numbers."""
    import numpy as np

    netx = not all(isinstance(work, GraphWork) for work in jobs)
    nodes = [node for work in jobs if isinstance(work, GraphWork) for node in work.nodes]
    import_lava(convolutions=netx or any(isinstance(getattr(node, "synapse", None), ConvSynapse) for node in nodes))
    if netx:
        import_netx()
    found = {"python": platform.python_version(), "numpy": np.__version__}
    for name in ("lava-nc", "lava-dl"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _in_a_fork(work: LavaWork, reporter: Reporter) -> None:
    """Runs one job, and waits until its process is gone."""
    reporter.shared = True
    child = os.fork()
    if child == 0:
        left_with = 1
        try:
            run_job(work, reporter)
            left_with = 0
        except Exception as error:
            _tell(error, reporter)
        finally:
            finish(left_with)
    reporter.shared = False
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        reporter.tell(Ended, pid=child, how="signal", number=os.WTERMSIG(status))
    elif os.WEXITSTATUS(status):
        reporter.tell(Ended, pid=child, how="exit", number=os.WEXITSTATUS(status))


def _tell(error: Exception, reporter: Reporter) -> None:
    number = getattr(error, "errno", None)
    told = traceback.format_exc()
    reporter.tell(FailedEvent, kind=type(error).__name__, message=str(error), errno=number, traceback=told)

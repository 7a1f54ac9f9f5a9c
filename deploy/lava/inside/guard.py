"""The guard: a process beside the worker that ends the session when nobody else is left to do so."""

from __future__ import annotations

import os
import select
import shutil
import sys
import time

from . import cleanup
from .cleanup import ENDING_POLL, end_group, living_members, state_of

__all__ = ["start_guard", "watch"]

GUARD_POLL = 0.5  # seconds between the guard's looks at its parents
GUARD_GRACE = 2.0  # seconds a session may outlive its worker before the guard ends it


def watch(worker: int, parent: int, lifeline: int, scratch: str = "") -> None:
    """The guard: returns when the worker's group needs no more guarding, having ended it where that was due.

    Runs in a process of its own, a child of the worker and a member of its session, so that it still acts when the
    worker is stopped, busy or dead. The group is ended at once when ``parent`` dies, and ``GUARD_GRACE`` seconds after
    the worker has died.

    Args:
        worker: process id of the worker, which is also its session's id.
        parent: process id of the worker's parent, the one that wants the result.
        lifeline: a pipe's read end; it reports end of file when the parent is gone.
        scratch: a folder to remove when the parent has died and can no longer do so.
    """
    while True:
        ready, _, _ = select.select([lifeline], [], [], GUARD_POLL)
        stat = state_of(worker)
        if ready or (stat is not None and stat[1] != parent):
            if scratch:
                shutil.rmtree(scratch, ignore_errors=True)
            end_group(worker, spare=(os.getpid(),))  # without /proc this ends the guard as well
            if scratch:
                shutil.rmtree(scratch, ignore_errors=True)  # what was written meanwhile
            return
        if cleanup.PROC.is_dir() and (stat is None or stat[0] in "ZX"):
            deadline = time.monotonic() + GUARD_GRACE
            while time.monotonic() < deadline:
                if living_members(worker) == [os.getpid()]:
                    return
                time.sleep(ENDING_POLL)
            end_group(worker, spare=(os.getpid(),))
            return


def start_guard(parent: int, lifeline: int, scratch: str = "") -> int:
    """Forks the guard for the calling process, which leads its session; gives the guard's process id.

    Args:
        parent: process id of the caller's parent.
        lifeline: as in :func:`watch`.
        scratch: as in :func:`watch`.
    """
    worker = os.getpid()
    guard = os.fork()
    if guard:
        return guard
    try:
        watch(worker, parent, lifeline, scratch)
    finally:
        sys.stderr.flush()
        os._exit(0)

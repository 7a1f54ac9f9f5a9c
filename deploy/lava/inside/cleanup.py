"""Ending a whole session of processes, and the shared memory it leaves behind.

Lava runs one operating system process per Lava process, all children of one worker. A hang, a crash or an
interrupt must not leave any of them, nor their segments under ``/dev/shm``. The worker is started as the leader of
its own session, so that a session id names exactly the processes to end.

Both sides import this file, and it imports the standard library alone. It reads ``/proc`` and therefore tells members
apart on Linux only; elsewhere it signals the process group.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Collection, Iterable
from pathlib import Path

__all__ = [
    "ENDING_POLL",
    "PROC",
    "SHARED_MEMORY",
    "cpu_seconds",
    "end_group",
    "living_members",
    "shared_segments",
    "state_of",
]

PROC = Path("/proc")
SHARED_MEMORY = Path("/dev/shm")
# What outlives a killed process: multiprocessing's SharedMemory; its semaphores in the moment between their creation
# and their unlinking, under the C library's name or its own; the registration of LLVM's OpenMP runtime.
SEGMENT = re.compile(
    r"(?:^| )/dev/shm/(psm_\w+|sem\.[A-Za-z0-9]{6}|sem\.mp-\w+|__KMP_REGISTERED_LIB_\w+)$", re.MULTILINE
)
TRACKER = b"multiprocessing.resource_tracker"
TRACKER_GRACE = 1.0  # seconds the resource tracker gets to unlink what it knows of
SIGSTOP_GRACE = 0.2  # seconds for signalled processes to have stopped
SIGSTOP_POLL = 0.002  # seconds between looks at whether they have
ENDING_POLL = 0.02  # seconds between looks at a session that is ending


def state_of(pid: int) -> tuple[str, int, int] | None:
    """State letter, parent and session of one process; ``None`` where it is gone."""
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    state, parent, _, session = text.rpartition(")")[2].split()[:4]
    return state, int(parent), int(session)


def living_members(session: int) -> list[int]:
    """Process ids of the session ``session`` that still run (zombies do not), lowest first; empty without ``/proc``."""
    if not PROC.is_dir():
        return []
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            stat = state_of(int(entry.name))
            if stat is not None and stat[2] == session and stat[0] not in "ZX":
                found.append(int(entry.name))
    return sorted(found)


def cpu_seconds(session: int) -> float:
    """Processor time that the session's processes have taken so far, and their children that are gone; 0 without /proc.

    What a member that ended took is lost until its parent has waited for it, so that a later answer may be smaller.
    """
    ticks = 0
    for entry in PROC.iterdir() if PROC.is_dir() else ():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError):
                fields = (entry / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
                if int(fields[3]) == session:
                    ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def shared_segments(pids: Iterable[int]) -> set[str]:
    """Names under ``/dev/shm`` of what these processes have mapped or open there and nobody has unlinked yet."""
    names: set[str] = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            maps = (PROC / str(pid) / "maps").read_text(encoding="utf-8", errors="replace")
            names.update(SEGMENT.findall(maps))
        with contextlib.suppress(OSError):
            for descriptor in (PROC / str(pid) / "fd").iterdir():
                with contextlib.suppress(OSError):
                    names.update(SEGMENT.findall(str(descriptor.readlink())))
    return names


def _is_tracker(pid: int) -> bool:
    try:
        return TRACKER in (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return False


def _signal_all(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _stop(pids: Collection[int]) -> None:
    """Stops processes and waits until they have stopped, which a signal's sender is not told."""
    _signal_all(pids, signal.SIGSTOP)
    deadline = time.monotonic() + SIGSTOP_GRACE
    while time.monotonic() < deadline:
        stats = [state_of(pid) for pid in pids]
        if all(stat is None or stat[0] in "TtZX" for stat in stats):
            return
        time.sleep(SIGSTOP_POLL)


def end_group(session: int, spare: Collection[int] = (), timeout: float = 5.0) -> list[int]:
    """Ends every process of the session and unlinks the shared memory that they had mapped or open.

    Members are stopped first, so that what they have mapped no longer changes, and then killed. multiprocessing's own
    resource tracker goes last: it unlinks what the others left the moment they are gone.

    Args:
        session: the session's id, which is the process id of its leader. The leader must not have been reaped by a
            ``wait`` with other members gone, or the id could name somebody else's session.
        spare: members that stay.
        timeout: seconds to wait for all of them to be gone.

    Returns:
        The members that outlived the timeout; empty as a rule.
    """
    if not PROC.is_dir():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(session, signal.SIGKILL)
        return []
    names: set[str] = set()
    deadline = time.monotonic() + timeout
    tracker_deadline = time.monotonic() + TRACKER_GRACE
    while members := [pid for pid in living_members(session) if pid not in spare]:
        trackers = [pid for pid in members if _is_tracker(pid)]
        others = [pid for pid in members if pid not in trackers]
        _stop(others)
        names |= shared_segments(others)
        _signal_all(others, signal.SIGKILL)
        now = time.monotonic()
        if now > tracker_deadline:
            _signal_all(trackers, signal.SIGKILL)
        if now > deadline:
            break
        time.sleep(ENDING_POLL)
    for name in names:
        with contextlib.suppress(OSError):
            (SHARED_MEMORY / name).unlink()
    return members

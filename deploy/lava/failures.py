"""What went wrong inside, as this project's errors: what, where, what Lava said, what to do."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

from deploy.lava.find import FIX
from deploy.lava.inside.messages import (
    WORKER,
    BoardError,
    Died,
    Ended,
    FailedEvent,
    LatentsError,
    NetError,
    UnsupportedError,
)
from deploy.lava.jobs import LavaJob
from deploy.lava.results import LavaProgress
from esvae.errors import (
    DataError,
    EsvaeError,
    LavaDiedError,
    LavaError,
    LavaMissingError,
    NetFileError,
    UnsupportedLayerError,
)

__all__ = ["Stderr", "died", "ended", "failed"]

TAIL_LINES = 3  # of the worker's stderr, in messages
TAIL_BYTES = 4096


class Stderr:
    """The file that the worker's stderr goes to.

    Args:
        path: the file; it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0

    def forget(self) -> None:
        """What is there by now belongs to a job that is over."""
        self._read = self.path.stat().st_size if self.path.exists() else 0

    def tail(self) -> str:
        """The last lines, as the end of a one-line message."""
        try:
            with self.path.open("rb") as handle:
                handle.seek(max(self._read, handle.seek(0, os.SEEK_END) - TAIL_BYTES))
                text = handle.read().decode("utf-8", "replace")
        except OSError:
            return ""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return f" (stderr ends: {' | '.join(lines[-TAIL_LINES:])})" if lines else ""


def failed(
    event: FailedEvent, job: LavaJob, now: LavaProgress, python: Path, scratch: Path, said: Stderr
) -> EsvaeError:
    """An exception in the worker or in the job's own process.

    Args:
        event: of it.
        job: that was being done.
        now: how far it had come.
        python: the interpreter.
        scratch: the run's temporary folder.
        said: the worker's stderr.
    """
    kind, about = event.kind, job.about
    text = " ".join(event.message.split()) or "no message"
    if kind == LatentsError.__name__:
        return DataError(f"{text}; the file is {about}")
    if kind == NetError.__name__:
        return NetFileError(f"{about}: not a readable .net file: {text}; export it again")
    if kind == BoardError.__name__:
        return LavaMissingError(text)
    if kind == "OSError" and event.errno == errno.ENOSPC:
        return LavaError(f"Lava ran out of space while {now}: {text}; free space in {scratch.parent}")
    if kind in (UnsupportedError.__name__, "NotImplementedError"):
        return UnsupportedLayerError(f"{about}: {job.builder} cannot run it: {text}")
    if event.job == WORKER:
        return LavaMissingError(f"{python} cannot import Lava: {kind}: {text}; {FIX}")
    if event.stage == "building" and kind != "MemoryError":
        return NetFileError(f"{about}: {job.builder} cannot build it: {kind}: {text}")
    return LavaError(f"Lava failed while {now}: {kind}: {text}{said.tail()}")


def died(event: Died, now: LavaProgress, said: Stderr) -> LavaDiedError:
    """One of Lava's own processes ended before the run was complete."""
    if event.how == "signal":
        how = f"was killed by {_signal_name(event.number)}"
    elif event.exception:
        how = f"raised {event.exception}"
    else:
        how = f"left with exit status {event.number}"
    return LavaDiedError(f"Lava's process for {event.name}, pid {event.pid}, {how} while {now}{said.tail()}")


def ended(event: Ended, now: LavaProgress, python: Path, said: Stderr) -> LavaError:
    """The worker, or the job's own process, ended without a result."""
    if event.how == "silence":
        return LavaDiedError(f"Lava's worker, pid {event.pid}, fell silent while {now}{said.tail()}")
    how = f"with exit status {event.number}" if event.how == "exit" else f"by {_signal_name(event.number)}"
    if now.stage == "starting" and event.how == "exit":
        return LavaMissingError(f"{python} cannot run Lava's worker, it ended {how}{said.tail()}; {FIX}")
    return LavaDiedError(f"Lava's worker, pid {event.pid}, ended {how} while {now}{said.tail()}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

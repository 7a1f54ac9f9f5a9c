"""One worker process, from its start until it and all that it started are gone; never waits for it forever."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from deploy.lava.environment import lava_environment
from deploy.lava.failures import Stderr
from deploy.lava.find import FIX
from deploy.lava.inside import cleanup
from deploy.lava.inside.messages import WORKER, Ended, Event, Running, StageEvent, decode_message
from esvae.errors import LavaError, LavaMissingError

__all__ = ["Silence", "Worker"]

INSIDE = Path(__file__).with_name("inside") / "__main__.py"
POLL_SECONDS = 0.5  # between looks at the clock while nothing arrives
EXIT_GRACE = 1.0  # seconds for a worker that has closed its pipe to be gone
SHUTDOWN_GRACE = 3.0  # seconds for Lava's own shutdown once the last result is here
# Share of a processor from which on silent processes are at work: a Lava that waits for what never comes, with all that
# watches over it, was measured at half a percent, one that loads, compiles or computes at a hundred and more.
WORKING_SHARE = 0.05


class Silence(Exception):
    """There was no event for longer than the parent's patience, and hardly any processor time was taken meanwhile.

    Attributes:
        seconds: that.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"{round(seconds, 3):g} s")
        self.seconds = seconds


class Worker:
    """The process; a context whose end is the end of all that it started.

    Args:
        python: the interpreter.
        scratch: folder for all files of the run, which holds the list of jobs.
        patience: seconds without an event, and without work, after which :meth:`events` gives up.

    Raises:
        LavaMissingError: on entering: the interpreter cannot be run.
    """

    def __init__(self, python: Path, scratch: Path, patience: float) -> None:
        self.python = python
        self.scratch = scratch
        self.patience = patience
        self.stderr = Stderr(scratch / "stderr")
        self._receive = -1
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Worker:
        self._receive, send = os.pipe()
        try:
            self._process = self._started(send)
        except OSError as error:
            os.close(self._receive)
            raise LavaMissingError(f"cannot run {self.python}: {error.strerror}; {FIX}") from error
        finally:
            os.close(send)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._receive)
        process = self._running
        cleanup.end_group(process.pid)
        process.wait()
        if process.stdin is not None:
            process.stdin.close()

    @property
    def pid(self) -> int:
        """Process id of the worker, which is also its session's."""
        return self._running.pid

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the worker was not started")
        return self._process

    def _started(self, send: int) -> subprocess.Popen[bytes]:
        with (self.scratch / "stdout").open("wb") as out, (self.scratch / "stderr").open("wb") as err:
            return subprocess.Popen(
                [str(self.python), str(INSIDE), str(self.scratch), str(send)],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                cwd=self.scratch,
                env=lava_environment(self.python, self.scratch),
                pass_fds=(send,),
                start_new_session=True,
            )

    def events(self) -> Iterator[Event]:
        """What the worker and its jobs tell, until the worker ends; that is the last, an :class:`Ended`.

        The time that the caller spends on an event does not count as silence; nor does that in which the worker's
        processes compute, however long one step of a large network takes.

        Raises:
            Silence: the events stopped coming.
            LavaError: something else than an event came.
        """
        buffer = b""
        poll = select.poll()  # not select(): that one cannot take descriptors from 1024 up
        poll.register(self._receive, select.POLLIN)
        since, allowed = time.monotonic(), 0.0
        taken: float | None = None  # processor time, looked at only once there is silence
        while True:
            gone = self._how_it_ended() is not None
            left = since + self.patience + allowed - time.monotonic()
            if not poll.poll(0 if gone else 1000 * max(0.0, min(left, POLL_SECONDS))):
                if gone:
                    break
                before = taken
                if taken is None or left <= 0:
                    taken = cleanup.cpu_seconds(self.pid)
                if left <= 0:
                    if before is None or taken - before < WORKING_SHARE * (self.patience + allowed):
                        raise Silence(self.patience + allowed)
                    since = time.monotonic()
                continue
            block = os.read(self._receive, 1 << 16)
            if not block:
                break
            *lines, buffer = (buffer + block).split(b"\n")
            for line in lines:
                event = _event(line)
                yield event
                if isinstance(event, (StageEvent, Running)):
                    allowed = event.allow
            since, taken = time.monotonic(), None
        yield self._end()

    def wait_for_its_jobs(self) -> None:
        """Waits a little until the worker has no job left, and so closes its end of the pipe."""
        poll = select.poll()
        poll.register(self._receive, select.POLLIN)
        deadline = time.monotonic() + min(SHUTDOWN_GRACE, self.patience)
        while (left := deadline - time.monotonic()) > 0 and poll.poll(1000 * left):
            if not os.read(self._receive, 1 << 16):
                return

    def let_go(self) -> None:
        """Waits a little for a worker whose work is done to leave by itself."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._running.wait(min(SHUTDOWN_GRACE, self.patience))

    def _end(self) -> Ended:
        deadline = time.monotonic() + EXIT_GRACE
        while (end := self._how_it_ended()) is None and time.monotonic() < deadline:
            time.sleep(0.01)
        how, number = end or ("silence", 0)
        return Ended(WORKER, "", self.pid, how, number)

    def _how_it_ended(self) -> tuple[str, int] | None:
        """``exit`` and status, or ``signal`` and number, without reaping: the id must go on naming its session."""
        if not hasattr(os, "waitid"):  # macOS
            status = self._running.poll()
            return None if status is None else ("signal", -status) if status < 0 else ("exit", status)
        try:
            end = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return "exit", 0
        return None if end is None else ("exit" if end.si_code == os.CLD_EXITED else "signal", end.si_status)


def _event(line: bytes) -> Event:
    """What the worker said in a line."""
    event: object = None
    with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
        event = decode_message(line.decode())
    if not isinstance(event, Event):
        raise LavaError(f"Lava's worker said {line[:80]!r}, which is no message; run it again")
    return event

"""The watch over Lava's own processes, inside the process that runs a job."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from typing import Any, NoReturn

from .messages import Died
from .reporter import Reporter

__all__ = ["Watch", "finish"]

WATCH_SECONDS = 0.1  # between two looks at Lava's processes
SETTLE_SECONDS = 0.3  # after one has ended, for the others that go with it and for its exception to arrive


class Watch(threading.Thread):
    """Looks at Lava's processes and, when one ends before the run is complete, says which and ends this process.

    Lava's runtime waits forever for a process that is gone. Ended children are looked at without being reaped, so that
    multiprocessing's own bookkeeping is not disturbed.

    Args:
        reporter: where to report.
        network: the Lava process whose runtime starts the others; it need not have one yet.
        names: what to call Lava's processes, in the order in which the runtime starts them.
    """

    def __init__(self, reporter: Reporter, network: Any, names: list[str]) -> None:
        super().__init__(name="watch", daemon=True)
        self.reporter = reporter
        self.network = network
        self.names = names
        self.quiet = threading.Event()
        self._pids: dict[str, int] = {}
        self._reporting = threading.Lock()

    def processes(self) -> list[tuple[str, Any]]:
        """Name and multiprocessing process of each of Lava's processes that has been started so far."""
        infrastructure = getattr(self.network.runtime, "_messaging_infrastructure", None)
        if infrastructure is None:
            return []
        found = list(zip(self.names, infrastructure.actors))  # noqa: B905 - these grow while Lava starts
        manager = getattr(getattr(infrastructure.smm, "_manager", None), "_process", None)
        return [*found, ("shared memory manager", manager)] if manager is not None else found

    def pids(self) -> dict[str, int]:
        """Process ids by name, of those that have been started so far."""
        for name, process in self.processes():
            if getattr(process, "_popen", None) is not None:
                self._pids[name] = process._popen.pid
        return dict(self._pids)

    def run(self) -> None:
        while not self.quiet.wait(WATCH_SECONDS):
            self.pids()
            if any(_ended(process) for _, process in self.processes()):
                self.report()

    def report(self) -> None:
        """Sends ``died`` and exits where one of Lava's processes has ended; returns where none has."""
        with self._reporting:
            time.sleep(SETTLE_SECONDS)
            if self.quiet.is_set():
                return
            pids = self.pids()
            told = [(*end, _exception(process), name) for name, process in self.processes() if (end := _ended(process))]
            if not told:
                return
            # first what was killed, then what raised, then what left with an error, then what just left
            told.sort(key=lambda each: (each[0] != "signal", not each[2], each[1] == 0))
            how, number, exception, name = told[0]
            self.reporter.tell(Died, name=name, pid=pids.get(name, 0), how=how, number=number, exception=exception)
            finish(1)


def _ended(process: Any) -> tuple[str, int] | None:
    """How a child ended, as ``("signal", number)`` or ``("exit", status)``; ``None`` where it runs."""
    popen = getattr(process, "_popen", None)
    if popen is None:  # not started, or joined by the runtime after an error
        return ("exit", 0) if getattr(process, "_is_done", False) else None
    if popen.returncode is not None:
        return ("signal", -popen.returncode) if popen.returncode < 0 else ("exit", popen.returncode)
    if not hasattr(os, "waitid"):  # macOS: a process that ends is noticed by the parent's patience alone
        return None
    try:
        end = os.waitid(os.P_PID, popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    if end is None:
        return None
    return ("exit" if end.si_code == os.CLD_EXITED else "signal"), end.si_status


def _exception(process: Any) -> str:
    """The last line of the exception that a Lava process sent before it ended, or nothing."""
    try:
        pair = process.exception
    except Exception:
        return ""
    return str(pair[1]).strip().splitlines()[-1] if pair else ""


def finish(status: int) -> NoReturn:
    """Leaves at once: no exit handler of Lava's or multiprocessing's, which may hang, runs."""
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)

"""What the worker and its jobs tell the parent: events through a pipe, and the seconds that each stage took."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

from .messages import WORKER, Event, StageEvent, encode_message

__all__ = ["Reporter"]


class Reporter:
    """Writes events; safe to use from threads.

    Of the processes that are forked, only those for which :attr:`shared` was set hold on to the pipe: its end is to
    tell the parent that the worker and its job are gone, whatever Lava's processes do.

    Args:
        descriptor: the pipe's write end.
    """

    def __init__(self, descriptor: int) -> None:
        self.job = WORKER
        self.stage = "importing"
        self.seconds: dict[str, float] = {}
        self.shared = False
        self._descriptor = descriptor
        self._since = time.perf_counter()
        self._allow = 0.0
        self._lock = threading.Lock()
        os.set_inheritable(descriptor, False)
        os.register_at_fork(after_in_child=self._close_in_child)
        self.tell(StageEvent, allow=0.0)

    def tell(self, event: type[Event], **fields: Any) -> None:
        """Sends an event of the present job and stage."""
        with self._lock:
            data = (encode_message(event(self.job, self.stage, **fields)) + "\n").encode()
            while data:
                data = data[os.write(self._descriptor, data) :]

    def begin(self, job: int) -> None:
        """The next job begins, with its first stage."""
        self.job, self._allow = job, 0.0
        self.enter("building")

    def be_patient(self, seconds: float) -> None:
        """Asks the parent to wait so much longer than usual, in this stage and the rest of the job."""
        self._allow = seconds
        self.tell(StageEvent, allow=seconds)

    def enter(self, stage: str, event: type[Event] = StageEvent, **fields: Any) -> None:
        """Ends the present stage, keeps its seconds and announces the next."""
        now = time.perf_counter()
        self.seconds[self.stage] = round(now - self._since, 4)
        self.stage, self._since = stage, now
        self.tell(event, allow=self._allow, **fields)

    def close(self) -> None:
        """Says that there is nothing more to tell."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _close_in_child(self) -> None:
        self._lock = threading.Lock()  # a thread of the parent's may have held it
        if not self.shared:
            self.close()
        self.shared = False

"""Long silence is told: what is being done, and for how long, until something else is printed.

At a terminal it is one line, rewritten from the first second on and cleared before anything else is printed; in a file
or a pipe it is a line after ten seconds, and another each time that the wait has doubled. A thread tells it, so that
it is told whatever the program is busy with, its imports too.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TextIO

from esvae.machine.launched import launched_rank

__all__ = ["Waiting", "displayed", "doing", "speaking"]

#: Seconds of silence after which it is first told: at a terminal, and elsewhere.
_FIRST, _FIRST_IN_FILE = 1.0, 10.0
_LOOK_SECONDS = 0.25
_WIDTH = 80  # of a terminal that does not say
_CLEAR = "\r\x1b[2K"


class Waiting:
    """The telling; a context for the whole of a command.

    Args:
        what: is being done, until :func:`doing` says it more closely.
        stream: that it is told on; the error stream where None.
        clock: seconds, from any moment on.
    """

    #: Of this process, while its command runs.
    current: Waiting | None = None

    def __init__(self, what: str, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._what, self._stream, self._clock = what, stream, clock
        self._lock = threading.RLock()
        self._displays = 0
        self._line = False  # whether one is there to be cleared
        self._since = self._clock()
        self._next = _FIRST_IN_FILE
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="waiting", daemon=True)

    def __enter__(self) -> Waiting:
        Waiting.current = self
        if launched_rank() == 0:  # of several processes that train
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        Waiting.current = None
        self._over.set()
        with self.silent():
            pass

    def look(self) -> None:
        """Tells of the silence where it has lasted long enough."""
        with self._lock:
            stream = self._stream or sys.stderr
            passed = self._clock() - self._since
            with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
                if stream.isatty():
                    if passed >= _FIRST and not self._displays:
                        end = f": {passed:.0f} s"
                        room = (shutil.get_terminal_size().columns or _WIDTH) - len(end) - 1
                        stream.write(_CLEAR + self._what[: max(room, 0)] + end)
                        stream.flush()
                        self._line = True
                elif passed >= self._next:
                    stream.write(f"{self._what}: {passed:.0f} s\n")
                    stream.flush()
                    self._next = 2 * passed

    @contextmanager
    def silent(self) -> Iterator[None]:
        """While something else is printed, which begins on an empty line; the silence begins anew."""
        with self._lock:
            if self._line:
                self._line = False
                with contextlib.suppress(OSError, ValueError):
                    stream = self._stream or sys.stderr
                    stream.write(_CLEAR)
                    stream.flush()
            try:
                yield
            finally:
                self._since, self._next = self._clock(), _FIRST_IN_FILE

    def doing(self, what: str) -> str:
        """Says what is being done from now on; gives what was being done."""
        before, self._what = self._what, what
        return before

    @contextmanager
    def displayed(self) -> Iterator[None]:
        """While a terminal shows progress by itself."""
        with self.silent():
            self._displays += 1
        try:
            yield
        finally:
            with self.silent():
                self._displays -= 1

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            self.look()


def doing(what: str) -> str:
    """Says what is being done from now on, should it last; gives what was being done."""
    return "" if Waiting.current is None else Waiting.current.doing(what)


@contextmanager
def speaking() -> Iterator[None]:
    """While something is printed."""
    with Waiting.current.silent() if Waiting.current is not None else contextlib.nullcontext():
        yield


@contextmanager
def displayed() -> Iterator[None]:
    """While a terminal shows progress by itself."""
    with Waiting.current.displayed() if Waiting.current is not None else contextlib.nullcontext():
        yield

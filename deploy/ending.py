"""Signals that end the program: each comes as one exception, so that all that is open is closed on its way out.

Without this, SIGTERM ends Python where it stands, with its temporary files and its children left behind. A second
signal does not cut short what the first one has begun: the cleaning up takes seconds at the most, SIGKILL ends it.
"""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Ending", "SignalReceived", "Undivided"]

#: What is said of each. A shell knows the end by a signal from the exit code 128 + its number.
SIGNALS = {
    getattr(signal, name): said
    for name, said in (("SIGINT", "interrupted"), ("SIGTERM", "terminated"), ("SIGHUP", "terminated: hung up"))
    if hasattr(signal, name)
}
#: Seconds after which an exception that could not be raised where it came is raised elsewhere.
_AGAIN_SECONDS = 0.02


class SignalReceived(KeyboardInterrupt):
    """A signal came.

    Python takes the mere KeyboardInterrupt in what it compiles at run time for its own end, and then exits by SIGINT.
    """


class Ending:
    """Raises :class:`SignalReceived` inside its context when such a signal comes; one that the caller ignores stays so.

    Attributes:
        number: of the signal that came, or None.
        undivided: how many :class:`Undivided` it waits for.
    """

    #: Of this process, while its command runs.
    current: Ending | None = None

    def __init__(self) -> None:
        self.number: int | None = None
        self.undivided = 0
        self._before: dict[int, Any] = {}
        self._hook = sys.unraisablehook
        self._outer: Ending | None = None
        self._cut_short = False  # whether a destructor or a callback was

    @property
    def message(self) -> str:
        """What to say of the end."""
        return SIGNALS.get(self.number or signal.SIGINT, "interrupted")

    @property
    def code(self) -> int:
        """The exit code."""
        return 128 + (self.number or signal.SIGINT)

    def __enter__(self) -> Ending:
        self._hook, sys.unraisablehook = sys.unraisablehook, self._unraisable
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._came)
        self._outer, Ending.current = Ending.current, self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        Ending.current = self._outer
        for number, handler in self._before.items():
            signal.signal(number, handler)
        sys.unraisablehook = self._hook

    def ignore(self) -> None:
        """All is done: a signal that comes from now on, while the process is taken down, changes nothing."""
        for number in self._before:
            self._before[number] = signal.SIG_IGN
            signal.signal(number, signal.SIG_IGN)

    def _came(self, number: int, frame: FrameType | None) -> None:
        if self.number is None:
            self.number = number
            if not self.undivided:
                raise SignalReceived

    def _unraisable(self, lost: sys.UnraisableHookArgs) -> None:
        """Python drops an exception that is raised in a destructor or a callback of C: that one must not be lost.

        What a destructor that was cut short stumbles over later on is nothing that a user could mend, and is not told.
        """
        if self.number is not None and issubclass(lost.exc_type, SignalReceived):
            number, self.number = self.number, None
            self._cut_short = True
            threading.Timer(_AGAIN_SECONDS, signal.pthread_kill, [threading.main_thread().ident, number]).start()
        elif not self._cut_short and self.number is None:
            self._hook(lost)


class Undivided:
    """What is done inside its context in the main thread is done whole: a signal that comes meanwhile is raised after.

    For what takes milliseconds and leaves the terminal or a library broken where it is cut short.
    """

    def __enter__(self) -> None:
        in_main = threading.current_thread() is threading.main_thread()
        self._ending = Ending.current if in_main else None
        if self._ending is not None:
            self._came_before = self._ending.number
            self._ending.undivided += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ending is not None:
            self._ending.undivided -= 1
            if self._ending.number != self._came_before and not self._ending.undivided:
                raise SignalReceived

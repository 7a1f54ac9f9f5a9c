"""Stages of a long piece of work: how long each took, and where its progress lies in the whole."""

from __future__ import annotations

import time

from deploy.backends import Progress

__all__ = ["Stopwatch", "within"]


class Stopwatch:
    """Times stages, one after the other."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._stage, self._since = "", 0.0

    def start(self, stage: str) -> None:
        """Ends the stage before and begins this one."""
        self.stop()
        self._stage, self._since = stage, time.perf_counter()

    def stop(self) -> dict[str, float]:
        """Ends the last stage; gives the seconds of all."""
        if self._stage:
            self._seconds[self._stage] = round(time.perf_counter() - self._since, 2)
            self._stage = ""
        return dict(self._seconds)


def within(progress: Progress | None, low: float, high: float) -> Progress:
    """Progress of a part, 0 to 1, as that of the whole, ``low`` to ``high``; one that says nothing where None."""
    if progress is None:
        return lambda share, text: None
    whole: Progress = progress
    return lambda share, text: whole(low + (high - low) * share, text)

"""Bars that are interrupted wherever they are: the terminal is as it was before, and no thread draws on."""

from __future__ import annotations

import io
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
from rich.console import Console

from deploy.ending import Ending
from deploy.view import console

#: Places at which a bar is interrupted; the line of Python that each is moves from one to the next.
MOMENTS = 24
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


def stages_with_warning() -> None:
    with console.stages() as start:
        start("count")(0.5, "half")
        console.warn("one of them is odd")
        start("compare")(0.25, "first")


@contextmanager
def interrupted_at(line: int) -> Iterator[list[tuple[str, int]]]:
    """SIGINT before the given line, of all that this thread runs; gives the lines that it ran until then."""
    lines: list[tuple[str, int]] = []

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            lines.append((frame.f_code.co_filename, frame.f_lineno))
            if len(lines) == line:
                sys.settrace(before)
                signal.raise_signal(signal.SIGINT)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield lines
    finally:
        sys.settrace(before)


def drawing() -> list[threading.Thread]:
    """Threads of rich that draw and are not told to end."""
    threads = [each for each in threading.enumerate() if type(each).__name__ == "_RefreshThread"]
    return [each for each in threads if not each.done.is_set()]  # type: ignore[attr-defined]


def test_the_terminal_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    streams = sys.stdout, sys.stderr
    for _ in range(2):  # the first fills what is cached
        monkeypatch.setattr(console, "_err", Console(file=io.StringIO(), force_terminal=True, width=80))
        with interrupted_at(0) as whole:
            stages_with_warning()
    ended = 0
    for moment in range(MOMENTS):
        out = io.StringIO()
        monkeypatch.setattr(console, "_err", Console(file=out, force_terminal=True, width=80))
        with Ending() as ending:
            try:
                with interrupted_at(1 + moment * len(whole) // MOMENTS + moment % 7) as lines:
                    stages_with_warning()
            except KeyboardInterrupt:
                ended += 1
            assert ending.number in (signal.SIGINT, None)
        assert (sys.stdout, sys.stderr) == streams, lines[-1]
        assert out.getvalue().count(HIDE) == out.getvalue().count(SHOW), lines[-1]
        assert drawing() == [], lines[-1]
    assert ended > MOMENTS * 3 // 4

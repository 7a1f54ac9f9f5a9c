"""Long silence is told: when, what, and that nothing of it stays beside what is printed."""

from __future__ import annotations

import io

import pytest

from deploy.view import console
from deploy.view.waiting import Waiting, displayed, doing, speaking


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def begun(stream: io.StringIO, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Waiting:
    """Without its thread: the test looks."""
    waiting = Waiting("esvae fit f.net", stream, clock)
    monkeypatch.setattr(Waiting, "current", waiting)
    return waiting


def test_a_terminal_has_one_line_from_the_first_second_on(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    waiting = begun(stream, clock, monkeypatch)
    for clock.now in (100.0, 100.9):
        waiting.look()
    assert stream.getvalue() == ""
    for clock.now in (101.0, 102.2):
        waiting.look()
    assert stream.getvalue() == "\r\x1b[2Kesvae fit f.net: 1 s\r\x1b[2Kesvae fit f.net: 2 s"
    assert doing("mapping") == "esvae fit f.net"
    clock.now = 103.0
    waiting.look()
    assert stream.getvalue().endswith("\r\x1b[2Kmapping: 3 s")
    with speaking():
        assert stream.getvalue().endswith("s\r\x1b[2K")
        stream.write("said\n")
    clock.now = 103.9
    waiting.look()
    assert stream.getvalue().endswith("said\n")  # the silence has begun anew
    clock.now = 104.0
    waiting.look()
    assert stream.getvalue().endswith("said\n\r\x1b[2Kmapping: 1 s")


def test_it_is_one_line_at_a_narrow_terminal(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "12")
    stream = Terminal()
    waiting = begun(stream, clock, monkeypatch)
    clock.now = 117.0
    waiting.look()
    assert stream.getvalue() == "\r\x1b[2Kesvae: 17 s"


def test_a_file_has_a_line_each_time_that_the_wait_has_doubled(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    waiting = begun(stream, clock, monkeypatch)
    for tenths in range(0, 450):
        clock.now = 100 + tenths / 10
        waiting.look()
    assert stream.getvalue().splitlines() == [f"esvae fit f.net: {seconds} s" for seconds in (10, 20, 40)]
    assert "\x1b" not in stream.getvalue()


def test_nothing_is_told_while_a_bar_shows(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    waiting = begun(stream, clock, monkeypatch)
    with displayed():
        clock.now = 200.0
        waiting.look()
    assert stream.getvalue() == ""
    clock.now = 202.0
    waiting.look()
    assert stream.getvalue().endswith("esvae fit f.net: 2 s")


def test_in_a_file_it_says_how_far_a_bar_is(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    waiting = begun(stream, clock, monkeypatch)
    with console.bar("count") as report:
        report(0.034, "image 12")
        clock.now = 112.0
        waiting.look()
    assert stream.getvalue() == "count: 3%, image 12: 12 s\n"
    assert doing("") == "esvae fit f.net"


def test_its_thread_ends_with_the_command_and_leaves_no_line() -> None:
    stream = Terminal()
    with Waiting("esvae fit", stream, Clock()) as waiting:
        assert Waiting.current is waiting
    assert Waiting.current is None
    waiting._thread.join(5)
    assert not waiting._thread.is_alive()
    assert stream.getvalue() == ""


def test_a_closed_stream_is_no_error(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    waiting = begun(stream, clock, monkeypatch)
    stream.close()
    clock.now = 110.0
    waiting.look()


def test_it_needs_no_command() -> None:
    assert Waiting.current is None
    assert doing("something") == ""
    with speaking(), displayed():
        pass

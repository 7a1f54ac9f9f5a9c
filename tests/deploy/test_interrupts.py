"""Interrupts at random moments: a few of those that ``python tests/interrupt.py`` makes."""

from __future__ import annotations

import random
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from deploy.ending import Ending, Undivided
from interrupt import JOBS, SIGNALS, Bench
from warm import Warm

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")


@pytest.fixture(scope="module")
def bench(ready: Warm) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="i", dir="/tmp") as folder:
        yield Bench(ready, Path(folder))


@pytest.mark.parametrize(
    ("name", "signals"),
    [
        ("generate", SIGNALS),
        ("train", SIGNALS),
        pytest.param("lava", [signal.SIGINT, signal.SIGKILL], marks=pytest.mark.lava),
    ],
)
def test_nothing_is_left_and_going_on_gives_the_same(
    name: str, signals: Sequence[signal.Signals], bench: Bench
) -> None:
    for number in signals:
        share = random.Random(f"{name} {number}").random()
        outcome = bench.interrupt(name, number, share, fresh=False)
        assert outcome.faults == [], outcome


def test_jobs_cover_what_can_be_continued() -> None:
    assert {"train", "sweep", "generate", "lava"} <= JOBS.keys()


class Careless:
    """What drops an exception on its way, as destructors and callbacks of C do."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def test_a_signal_in_a_destructor_is_not_lost() -> None:
    with Ending() as ending:
        try:
            Careless()
            while True:
                signal.pause()
        except KeyboardInterrupt:
            pass
        assert (ending.number, ending.code, ending.message) == (signal.SIGTERM, 143, "terminated")


class Broken:
    """What has lost, as its destructor was cut short, what it looks for when it is called again."""

    def __del__(self) -> None:
        raise AttributeError("_as_parameter_")


def test_what_a_destructor_stumbles_over_is_told_until_a_signal_came(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: told.append(str(lost.exc_value)))
    with Ending() as ending:
        Broken()
        assert told == ["_as_parameter_"]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        Broken()
        assert ending.code == 143
    assert told == ["_as_parameter_"]


def test_a_second_signal_does_not_cut_short_what_the_first_began() -> None:
    with Ending() as ending:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            signal.raise_signal(signal.SIGTERM)
        assert ending.code == 130


def test_what_is_undivided_is_done_whole() -> None:
    done = []
    with Ending() as ending:
        try:
            with Undivided():
                with Undivided():
                    signal.raise_signal(signal.SIGTERM)
                    done.append("inner")
                done.append("outer")
            done.append("more")
        except KeyboardInterrupt:
            with Undivided():  # what is cleared away after it ends as well
                done.append("cleared")
        assert ending.code == 143
    assert done == ["inner", "outer", "cleared"]


def test_what_another_thread_does_undivided_holds_nothing_back() -> None:
    begun, over = threading.Event(), threading.Event()

    def work() -> None:
        with Undivided():
            begun.set()
            over.wait(10)

    thread = threading.Thread(target=work)
    with Ending():
        thread.start()
        begun.wait(10)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        over.set()
        thread.join()


def test_what_the_caller_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with Ending() as ending:
            signal.raise_signal(signal.SIGTERM)
        assert ending.number is None
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)

"""The console: what is left of a progress bar, and sentences in columns."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console
from rich.text import Text

from deploy.view import console


@pytest.fixture(params=[False, True], ids=["file", "terminal"])
def errors(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    out = io.StringIO()
    monkeypatch.setattr(console, "_err", Console(file=out, force_terminal=request.param, width=80))
    return out


def test_a_bar_stays_above_what_was_done(errors: io.StringIO) -> None:
    with console.bar("count") as report:
        report(0.5, "half")
    assert "100 %" in errors.getvalue()


def failing_bar() -> None:
    with console.bar("count") as report:
        report(0.25, "first")
        raise ValueError("no such file")


def failing_stages() -> None:
    with console.stages() as start:
        start("count")(0.25, "first")
        raise ValueError("no such file")


@pytest.mark.parametrize("failing", [failing_bar, failing_stages])
def test_nothing_of_a_bar_stays_above_an_error(errors: io.StringIO, failing: Callable[[], None]) -> None:
    with pytest.raises(ValueError, match="no such file"):
        failing()
    left = errors.getvalue()
    assert "count" not in left or left.rstrip().endswith("\x1b[2K")  # the line is erased


def test_sentences_in_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(console, "_out", Console(file=out, width=30))
    for columns in (False, True):
        monkeypatch.setattr(console, "_in_columns", columns)
        console.say("as the compiler cuts it; 2 would do by capacity")
    assert out.getvalue().splitlines() == [
        "as the compiler cuts it; 2 would do by capacity",
        "as the compiler cuts it; 2",
        "would do by capacity",
    ]


def test_a_long_text_stands_below_its_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_err", Console(width=80, file=io.StringIO()))
    assert console._placed("images", "preparing MNIST, train") == {"text": "preparing MNIST, train", "below": ""}
    long = "MSE 1.1321, rate 0.000, 0.00 synops an image"
    assert console._placed("train mnist_systematic", long) == {"text": "", "below": long}
    with console._display(shown=False) as display:
        display.add_task("train mnist_systematic", total=1.0, text="", below=long)
        display.add_task("images", total=1.0, text="preparing", below="")
        shown = list(display.get_renderables())
    assert [str(line) for line in shown if isinstance(line, Text)] == [f"  {long}"]
    assert len(shown) == 3

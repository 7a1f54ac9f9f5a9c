"""What every command shares: errors as one line, ``--json`` as one object, progress bars on the error stream."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.text import Text

from deploy.ending import Undivided
from deploy.view.prose import in_lines
from deploy.view.table import Table, save_csv
from deploy.view.terminal import blocks
from deploy.view.waiting import displayed, doing, speaking

if TYPE_CHECKING:
    from rich.progress import Progress

    from esvae.machine.progress import Progress as Report

__all__ = [
    "bar",
    "emit_json",
    "print_tables",
    "say",
    "say_text",
    "say_written",
    "show_result",
    "stages",
    "tell",
    "warn",
    "write_csv",
]

#: Width of what does not go to a terminal, unless COLUMNS says another.
_FILE_WIDTH = 120
#: Columns of a bar with its share and times, a short one.
_BAR_WIDTH = 44


class _Console(Console):
    """rich's, which leaves it to the command line what to do where nobody reads what is printed."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


#: Whether somebody reads it in columns; a file gets each sentence as one line.
_in_columns = sys.stdout.isatty() or "COLUMNS" in os.environ
_out = _Console(highlight=False, width=None if _in_columns else _FILE_WIDTH)
_err = _Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """Prints a line on standard output: at a terminal broken at words, elsewhere as it is, however long."""
    with speaking():
        _out.print(in_lines(text, _out.width) if _in_columns else text, markup=False, soft_wrap=True)


def say_text(text: str) -> None:
    """Prints text of several lines on standard output, each as it is, for a file or another program to read."""
    with speaking():
        _out.print(text, end="", markup=False, soft_wrap=True)


def tell(text: str) -> None:
    """Prints one line on the error stream."""
    with speaking(), Undivided():  # what rich holds back where it is cut short would hold back the bars as well
        _err.print(text, markup=False, soft_wrap=True)


def warn(text: str) -> None:
    """Prints one line on the error stream, as a warning."""
    tell(f"warning: {text}")


def emit_json(result: Any) -> None:
    """Prints one JSON object, and nothing else, on standard output."""
    with speaking():
        sys.stdout.write(json.dumps(result, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _display(*, shown: bool = True) -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    class Display(Progress):
        """What is being done stands behind its bar; where there is no room, below it, so that neither is squeezed."""

        def get_renderables(self) -> Iterable[RenderableType]:
            for task in self.tasks:
                yield self.make_tasks_table([task])
                if below := task.fields["below"]:
                    yield Text(f"  {below}")

    return Display(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
        console=_err,
        disable=not shown,
    )


def _placed(title: str, text: str) -> dict[str, Any]:
    """The fields of a task for what is being done."""
    beside = len(title) + len(text) + _BAR_WIDTH <= _err.width
    return {"text": text if beside else "", "below": "" if beside else text}


@contextmanager
def _on_display(display: Progress) -> Iterator[None]:
    """While the bars are shown; leaves nothing of them where what they told of has failed: the error stands alone."""
    try:
        with Undivided():
            display.start()
        with displayed() if display.console.is_terminal and not display.disable else nullcontext():
            yield
        with Undivided():
            display.stop()
    except BaseException:
        display.live.transient = True
        display.live.stop()
        raise


@contextmanager
def bar(title: str, *, shown: bool = True) -> Iterator[Report]:
    """A progress bar; gives the callback that takes the share done, 0 to 1, and what is being done."""
    with stages(shown=shown) as start:
        yield start(title)


@contextmanager
def stages(*, shown: bool = True, width: int = 0) -> Iterator[Callable[[str], Report]]:
    """A bar for each stage of longer work; gives a function from a stage's name to its callback, as :func:`bar`'s.

    Args:
        shown: whether there are bars at all.
        width: columns that the names take at least, so that the bars begin below each other.
    """
    before = None
    display = _display(shown=shown)
    with _on_display(display):

        def end() -> None:
            with Undivided():
                if display.tasks:
                    display.update(display.task_ids[-1], completed=1.0, text="", below="")

        def start(stage: str) -> Report:
            nonlocal before
            end()
            title = f"{stage:{width}s}"
            with Undivided():
                task, was = display.add_task(title, total=1.0, text="", below=""), doing(stage)
            before = was if before is None else before

            def report(share: float, text: str) -> None:
                with Undivided():
                    display.update(task, completed=share, **_placed(title, text))
                doing(f"{stage}: {share:.0%}, {text}")

            return report

        yield start
        end()
        if before is not None:
            doing(before)


def print_tables(tables: Iterable[Table]) -> None:
    """Prints tables below each other, each as wide as the terminal allows, with what is to be known to read it."""
    captioned = False
    for table in tables:
        if captioned:
            say("")
        say(table.title)
        with speaking():
            for block in blocks(table, _out.width):
                _out.print(block)
                _out.print()
        if captioned := bool(table.caption):
            say(table.caption)


def show_result(
    result: Any,
    tables: Sequence[Table],
    *,
    json: bool,
    csv: Path | None,
    people: Callable[[], None] | None = None,
    files: Sequence[Path] = (),
) -> None:
    """Ends a command: its tables as CSV where asked for, then one JSON object, or what people read.

    Args:
        result: for JSON.
        tables: of the result.
        json, csv: the options.
        people: says it to people; the tables alone where None.
        files: that were written already.
    """
    written = [*files, *write_csv(tables, csv)]
    if json:
        emit_json(result)
        return
    if people is None:
        print_tables(tables)
    else:
        people()
    say_written(*written)


def write_csv(tables: Sequence[Table], target: Path | None) -> list[Path]:
    """Tables as CSV where a file was asked for; gives what was written."""
    return [] if target is None else save_csv(tables, target)


def say_written(*paths: Path) -> None:
    """Names files that were written, if any."""
    if paths:
        say("written: " + ", ".join(map(str, paths)))

"""Tables at the terminal: what does not fit the width goes below, and no number is ever cut or broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table as Grid
from rich.text import Text

from deploy.view.prose import in_lines
from deploy.view.table import Column, Table

__all__ = ["blocks"]

#: Blanks between columns.
_GAP = 2
#: To which words are folded where space is short.
_FOLDED = 16
#: From this length on words are prose, which is read in lines of at least so many.
_PROSE, _SENTENCE = 60, 40


@dataclass(frozen=True)
class _Sized:
    """A column with its texts, the width that it cannot do without and the one that it takes where there is room."""

    column: Column
    cells: list[str]
    least: int
    full: int


def blocks(table: Table, width: int) -> list[Grid]:
    """The table as one block, or where it is wider than ``width`` as several below each other.

    Each block begins with the column that names the rows. Words are folded; headings are broken at blanks.
    """
    texts = table.texts()
    sized = [_sized(column, [row[k] for row in texts]) for k, column in enumerate(table.columns)]
    return [_grid(table, group, width) for group in _groups(sized, width)]


def _sized(column: Column, cells: list[str]) -> _Sized:
    full = max(map(len, cells), default=0)
    least = full
    if column.words:
        longest = max((len(word) for cell in cells for word in cell.split()), default=0)
        least = min(full, max(longest, _FOLDED), 2 * _FOLDED) if full < _PROSE else _SENTENCE
    heading = max(map(len, in_lines(column.name, 1).splitlines()))
    return _Sized(column, cells, max(least, heading), max(full, heading))


def _groups(sized: Sequence[_Sized], width: int) -> list[list[_Sized]]:
    """As few groups of columns as fit the width, about equally wide; the first column is in each of them."""
    groups = _filled(sized, width)
    for less in range(width, 0, -1):
        even = _filled(sized, less)
        if len(even) > len(groups):
            break
        groups = even
    return groups


def _filled(sized: Sequence[_Sized], width: int) -> list[list[_Sized]]:
    """Groups filled one after another, each with at least one column beside the first."""
    first, *others = sized
    groups = [[first]]
    used = first.least
    for one in others:
        if used + _GAP + one.least > width and len(groups[-1]) > 1:
            groups.append([first])
            used = first.least
        groups[-1].append(one)
        used += _GAP + one.least
    return groups


def _grid(table: Table, group: Sequence[_Sized], width: int) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0))
    for one, wide in zip(group, _widths(group, width), strict=True):
        heading = Text(in_lines(one.column.name, wide))
        grid.add_column(heading, justify="left" if one.column.words else "right", width=wide, overflow="fold")
    for index in range(len(table.rows)):
        last = table.total and index == len(table.rows) - 2
        grid.add_row(*(Text(one.cells[index]) for one in group), end_section=last)
    return grid


def _widths(group: Sequence[_Sized], width: int) -> list[int]:
    """Full widths; where these are too wide, columns of words give way, the widest first, to no less than they need."""
    widths = [max(one.full, len(one.column.name)) for one in group]
    room = width - _GAP * (len(group) - 1)
    if sum(widths) > room:
        widths = [one.full for one in group]
    while sum(widths) > room:
        spare = [(wide, k) for k, (wide, one) in enumerate(zip(widths, group, strict=True)) if wide > one.least]
        if not spare:
            break
        widths[max(spare)[1]] -= 1
    return widths

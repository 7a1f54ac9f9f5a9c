"""A result as a table: values in rows, and for each column its name, unit, and how a person reads it.

The tables of each result stand once, in :mod:`deploy.view.tables`. Terminal, report and CSV only render them, so all
three have the same rows; ``pandas.DataFrame(table.to_records())`` has them too.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deploy.view import numbers as n
from esvae.machine.files import write_text

__all__ = [
    "Column",
    "Table",
    "count_column",
    "interval_column",
    "joules",
    "layer",
    "number_column",
    "plain",
    "range_of",
    "save_csv",
    "seconds_column",
    "share",
    "words",
]


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: the heading; unique in its table.
        show: a value as text; a missing one too, which is None.
        unit: of the values in records, where they have one.
        help: what the values are and rest on, where the name does not say it.
        words: text, set to the left and folded where space is short; numbers are never broken.
        parts: keys of a value that is a mapping, such as an estimate with its interval; each is a field in records.
    """

    name: str
    show: Callable[[Any], str] = str
    unit: str = ""
    help: str = ""
    words: bool = False
    parts: tuple[str, ...] = ()

    def record(self, value: Any) -> dict[str, Any]:
        """Names and plain values that stand for one cell in a record."""
        unit = f" [{self.unit}]" if self.unit else ""
        if not self.parts:
            return {self.name + unit: value}
        named = {part: self.name if part == "value" else f"{self.name} {part}" for part in self.parts}
        return {name + unit: None if value is None else value[part] for part, name in named.items()}


@dataclass(frozen=True)
class Table:
    """Rows of values, of which the first names its row.

    Attributes:
        name: a short word for it, unique among the tables of a result.
        title: what it holds.
        columns: of all rows.
        rows: plain values, as JSON has them.
        caption: what a reader must know to read it.
        total: whether the last row sums up the others.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    caption: str = ""
    total: bool = False

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if len(set(names)) != len(names):
            raise ValueError(f"table {self.name}: two columns of one name in {names}")
        for row in self.rows:
            if len(row) != len(names):
                raise ValueError(f"table {self.name}: a row of {len(row)} values, expected {len(names)}: {row}")

    def texts(self) -> list[list[str]]:
        """The rows as a person reads them."""
        return [
            [n.NONE if value is None else column.show(value) for column, value in zip(self.columns, row, strict=True)]
            for row in self.rows
        ]

    def to_records(self) -> list[dict[str, Any]]:
        """A mapping a row, from a name with its unit to the plain value; the ends of intervals in fields of their own.

        A row that sums up the others is left out.
        """
        rows = self.rows[:-1] if self.total else self.rows
        return [
            {
                key: cell
                for column, value in zip(self.columns, row, strict=True)
                for key, cell in column.record(value).items()
            }
            for row in rows
        ]

    def to_csv(self) -> str:
        """The records as CSV with a header, RFC 4180; nothing where there is no value."""
        text = io.StringIO()
        header = [key for column in self.columns for key in column.record(None)]
        writer = csv.DictWriter(text, header, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.to_records())
        return text.getvalue()


def save_csv(tables: Sequence[Table], target: str | os.PathLike[str]) -> list[Path]:
    """Writes one table to ``target``; of several, each to a file with the table's name before the ending.

    Raises:
        EsvaeError: a file cannot be written.
    """
    target = Path(target)
    several = len(tables) > 1
    paths = [target.with_name(f"{target.stem}.{table.name}{target.suffix}") if several else target for table in tables]
    for table, path in zip(tables, paths, strict=True):
        write_text(path, table.to_csv())
    return paths


def words(name: str, show: Callable[[Any], str] = str, *, help: str = "") -> Column:
    """Text, or values that are shown as text."""
    return Column(name, show, help=help, words=True)


def layer() -> Column:
    """The layer's label, without the word that is the heading."""
    return Column("layer", n.layer_name, words=True)


def count_column(name: str, *, help: str = "") -> Column:
    """Whole numbers, or means of such."""
    return Column(name, n.whole, help=help)


def number_column(name: str, digits: int = 3, *, unit: str = "", help: str = "") -> Column:
    """So many significant digits."""
    return Column(name, lambda value: n.rounded(value, digits), unit, help)


def share(name: str, digits: int = 1, *, help: str = "") -> Column:
    """A share, 0 to 1, shown as per cent."""
    return Column(name, lambda value: n.percent(value, digits), help=help)


def interval_column(name: str, *, help: str = "") -> Column:
    """A value with its 95 % interval."""
    return Column(name, n.interval, help=help, parts=("value", "low", "high"))


def joules(name: str, *, help: str = "") -> Column:
    """Energies."""
    return Column(name, lambda value: n.si(value, "J"), "J", help)


def seconds_column(name: str, *, help: str = "") -> Column:
    """Times."""
    return Column(name, lambda value: n.si(value, "s"), "s", help)


def range_of(name: str, unit: str, *, help: str = "") -> Column:
    """The low and the high end of an estimate."""
    return Column(name, lambda value: n.si_range(value["low"], value["high"], unit), unit, help, parts=("low", "high"))


def plain(value: Any) -> Any:
    """Dataclasses, arrays, paths and tuples as what JSON has; numbers that are not finite as None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value

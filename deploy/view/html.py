"""Results in a notebook: their tables as HTML, which takes its looks from the notebook."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from deploy.view.table import Table

__all__ = ["tables_html"]


def tables_html(tables: Iterable[Table], note: str = "") -> str:
    """Tables below each other, numbers to the right; all text from files is escaped."""
    return "".join(map(_table, tables)) + (f"<p>{escape(note)}</p>" if note else "")


def _table(table: Table) -> str:
    sides = ["left" if column.words else "right" for column in table.columns]
    head = "".join(
        f'<th style="text-align:{side}" title="{escape(column.help)}">{escape(column.name)}</th>'
        for side, column in zip(sides, table.columns, strict=True)
    )
    rows = "".join(
        "<tr>"
        + "".join(f'<td style="text-align:{side}">{escape(cell)}</td>' for side, cell in zip(sides, row, strict=True))
        + "</tr>"
        for row in table.texts()
    )
    caption = f"<p>{escape(table.caption)}</p>" if table.caption else ""
    return (
        f"<table><caption>{escape(table.title)}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        + caption
    )

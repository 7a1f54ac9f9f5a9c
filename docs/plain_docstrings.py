"""For the guide's API page: docstrings as Markdown and its reader of sections understand them.

A role becomes a literal; a line that ends in two colons ends in one; two colons alone on a line go. Names that share a
description, ``stride, padding: (y, x)``, are listed one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from griffe import Extension, Object

__all__ = ["PlainDocstrings", "plain"]

_ROLE = re.compile(r":[a-z]+:`~?([^`]+)`")
_ALONE = re.compile(r"^[ \t]*::[ \t]*\n", re.MULTILINE)
_DOUBLE_COLON = re.compile(r"::[ \t]*$", re.MULTILINE)
_SECTION = re.compile(r"(Args|Attributes|Raises):$")
_SHARED = re.compile(r" {4}(\w+(?:, \w+)+): (.*)")


def plain(text: str) -> str:
    """A docstring, cleaned of its indentation, as above."""
    text = _ALONE.sub("", _ROLE.sub(r"`\1`", text))
    return "\n".join(_one_by_one(_DOUBLE_COLON.sub(":", text).splitlines()))


def _one_by_one(lines: list[str]) -> Iterator[str]:
    inside = False
    while lines:
        line, lines = lines[0], lines[1:]
        if line and not line.startswith(" "):
            inside = _SECTION.match(line) is not None
        shared = _SHARED.match(line) if inside else None
        if shared is None:
            yield line
            continue
        more = 0
        while more < len(lines) and lines[more].startswith(" " * 5):
            more += 1
        for name in shared[1].split(", "):
            yield f"    {name}: {shared[2]}"
            yield from lines[:more]
        lines = lines[more:]


class PlainDocstrings(Extension):
    """Puts every docstring through :func:`plain`."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = plain(obj.docstring.value)

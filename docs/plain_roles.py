"""For the guide's API page: docstrings without reStructuredText's roles and double colons, strange to Markdown."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

__all__ = ["PlainRoles"]

_ROLE = re.compile(r":[a-z]+:`~?([^`]+)`")
_DOUBLE_COLON = re.compile(r"::[ \t]*$", re.MULTILINE)


class PlainRoles(Extension):
    """``:class:`~sim.engine.Engine``` becomes a literal, and a line that ends in two colons ends in one."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        if obj.docstring is not None:
            text = _ROLE.sub(r"`\1`", obj.docstring.value)
            obj.docstring.value = _DOUBLE_COLON.sub(":", text)

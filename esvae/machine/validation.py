"""What pydantic found wrong with a value, in this project's words: what was expected, and what was there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from esvae.machine.arguments import shown

__all__ = ["fault"]

_WHOLE = {
    "missing": "is missing",
    "extra_forbidden": "unknown key",
    "unexpected_keyword_argument": "unknown key",
}
_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
    "dict": "keys with values",
    "model": "keys with values",
    "dataclass": "keys with values",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "greater_than": ("gt", "more than"),
    "less_than": ("lt", "less than"),
}


def fault(error: Mapping[str, Any]) -> str:
    """A sentence on one entry of ``ValidationError.errors()``, without the place, which the caller knows.

    Args:
        error: with ``type``, ``msg``, ``input`` and, of a bound or a choice, ``ctx``.
    """
    kind = str(error["type"])
    if kind in _WHOLE:
        return _WHOLE[kind]
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        expected = f"{words} {error['ctx'][key]:g}"
    elif kind == "literal_error":
        expected = str(error["ctx"]["expected"])
    elif kind.partition("_")[0] in _TYPES:
        expected = _TYPES[kind.partition("_")[0]]
    else:
        return str(error["msg"]).removeprefix("Value error, ")
    return f"expected {expected}, got {_shown(error['input'])}"


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "keys with values"
    return shown(value)

"""Counts and shapes that a caller gives: numpy's integers are taken, all else is refused in one line."""

from __future__ import annotations

import contextlib
import operator
import os
from collections.abc import Iterable
from pathlib import Path
from typing import SupportsIndex

from esvae.errors import ConfigError, DataError

__all__ = ["listed", "path_argument", "shape_argument", "shown", "whole_number"]

_MOST = 60  # characters of a value in an error


def whole_number(value: SupportsIndex, name: str) -> int:
    """A whole number as Python's own.

    Args:
        value: Python's or numpy's integer.
        name: of the argument, for the error.

    Raises:
        DataError: it is none, such as 5.0.
    """
    try:
        return operator.index(value)
    except TypeError:
        raise DataError(f"{name} {shown(value)}: expected a whole number, got {type(value).__name__}") from None


def shape_argument(value: SupportsIndex | Iterable[SupportsIndex], name: str = "input_shape") -> tuple[int, ...]:
    """A shape as a tuple of Python's integers; a number alone is that of features.

    Raises:
        DataError: neither a whole number nor a sequence of such.
    """
    with contextlib.suppress(TypeError):
        return (operator.index(value),)  # type: ignore[arg-type]
    if not isinstance(value, Iterable) or isinstance(value, str):
        raise DataError(f"{name} {shown(value)}: expected (features,) or (C, H, W)")
    return tuple(whole_number(size, name) for size in value)


def listed(value: str | Iterable[str], name: str) -> tuple[str, ...]:
    """Names; one alone stands for a sequence of it.

    Raises:
        DataError: neither a name nor a sequence of such.
    """
    found = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else ()
    if not isinstance(value, str | Iterable) or not all(isinstance(each, str) for each in found):
        raise DataError(f"{name} {shown(value)}: expected a name or a sequence of names")
    return found


def path_argument(value: str | os.PathLike[str], name: str, expected: str) -> Path:
    """A path; ``expected`` says in the error what it may be.

    Raises:
        ConfigError: it is none, such as None.
    """
    if not isinstance(value, str | os.PathLike):
        raise ConfigError(f"{name} {shown(value)}: expected {expected}, got {type(value).__name__}")
    return Path(value)


def shown(value: object) -> str:
    """A value in an error: on one line, and no longer than a line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _MOST else f"{text[: _MOST - 3]}..."

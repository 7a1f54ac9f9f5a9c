"""Syntax trees of files that many rules look at, each parsed once a process."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

__all__ = ["parsed"]


@functools.cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file; shared, so that nobody may change it."""
    return ast.parse(path.read_text("utf-8"), str(path))

"""The project's source files as syntax trees, for the tests in ``tests/house`` that read them: each parsed once."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

__all__ = ["PACKAGES", "ROOT", "dotted", "python_files", "sources", "walk"]

ROOT = Path(__file__).resolve().parents[1]
#: Each may import itself and those before it.
PACKAGES = ("esvae", "export", "sim", "deploy")


def python_files(*folders: str) -> list[str]:
    """Paths of the Python files below ``folders``, from the root of the project, with forward slashes."""
    found = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


@cache
def sources() -> dict[str, ast.Module]:
    """The tree of every file of the packages, by its path as :func:`python_files` gives it."""
    return {path: ast.parse((ROOT / path).read_text("utf-8"), path) for path in python_files(*PACKAGES)}


@cache
def walk(tree: ast.Module) -> tuple[ast.AST, ...]:
    """All nodes of a tree, in the order of ``ast.walk``."""
    return tuple(ast.walk(tree))


def dotted(node: ast.AST) -> str:
    """A name with its dots; an empty string for what is none."""
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return before and f"{before}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""

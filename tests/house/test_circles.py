"""Files import each other without circles."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Mapping

import pytest

from sources import sources, walk


def module_name(path: str) -> str:
    """Dotted name of a file; of ``__init__.py`` that of its folder."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def modules() -> dict[str, ast.Module]:
    """Every module of the project by its dotted name."""
    return {module_name(path): tree for path, tree in sources().items()}


def named(node: ast.AST, files: Collection[str]) -> set[str]:
    """Modules of the project that an import names."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names} & set(files)
    if isinstance(node, ast.ImportFrom) and node.module is not None:
        inner = {f"{node.module}.{alias.name}" for alias in node.names}
        return {each if each in files else node.module for each in inner} & set(files)
    return set()


def file_imports() -> dict[str, set[str]]:
    """What each file imports of the project, anywhere in it; what folders hand on is left out."""
    files = modules()
    plain = {module_name(path) for path in sources() if not path.endswith("/__init__.py")}
    return {name: set().union(*(named(node, files) for node in walk(files[name]))) & plain for name in plain}


def imports_at_once() -> dict[str, set[str]]:
    """What is imported when a module is: also the folders around what it names, unless it lies in them itself."""
    files = modules()
    found: dict[str, set[str]] = {}
    for name, tree in files.items():
        wanted: set[str] = set()
        for node in tree.body:
            for each in named(node, files):
                parts = each.split(".")
                around = {".".join(parts[:k]) for k in range(1, len(parts))}
                wanted |= {each} | {folder for folder in around if not f"{name}.".startswith(f"{folder}.")}
        found[name] = wanted - {name}
    return found


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of nodes that all reach each other (strongly connected components of more than one node)."""
    reach: dict[str, set[str]] = {}
    for start in graph:
        seen, waiting = set(), [start]
        while waiting:
            for after in graph.get(waiting.pop(), ()):
                if after not in seen:
                    seen.add(after)
                    waiting.append(after)
        reach[start] = seen
    groups = {tuple(sorted(b for b in reach[a] if a in reach.get(b, ()))) for a in graph if a in reach[a]}
    return [list(group) for group in sorted(groups)]


def test_a_planted_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]
    assert circles({"a": {"b"}, "b": set()}) == []


@pytest.mark.parametrize("graph", [file_imports, imports_at_once])
def test_there_are_no_circles(graph: Callable[[], dict[str, set[str]]]) -> None:
    found = graph()
    assert len(found) > 100
    assert circles(found) == []

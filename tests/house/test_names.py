"""A public name means one thing in the whole project: no two modules define the same one."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

from sources import sources

#: A command is called as the function that does its work: both are that one thing, from the shell and from Python.
COMMANDS = "deploy/commands/"
#: Names that may stand twice, and why: each is called as what of the report it shows, and only through its module.
SHOWN = "names a section or filter of the report"
ALLOWED = {"energy": SHOWN, "fit": SHOWN, "main": "where a program starts"}
ALLOWED["simulate"] = "the reference, of a network in memory; for a notebook, as the command does, of whatever is named"
ALLOWED |= dict.fromkeys(("compare", "train", "verify"), "for a notebook, in its words, of whatever is named")


def defined_in_public(tree: ast.Module) -> set[str]:
    """Names without an underscore that a module defines itself, not those that it hands on: of functions, classes,
    aliases and constants, listed in ``__all__`` or not."""
    defined: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            defined.add(node.name)
        targets: list[ast.expr] = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        names = (name for target in targets for name in ast.walk(target) if isinstance(name, ast.Name))
        defined |= {name.id for name in names if isinstance(name.ctx, ast.Store)}
    return {name for name in defined if not name.startswith("_")}


def defined_twice(modules: dict[str, ast.Module]) -> dict[str, list[str]]:
    """Public names that several modules define, with their paths."""
    places = defaultdict(list)
    for path, tree in modules.items():
        for name in defined_in_public(tree):
            if not (path.startswith(COMMANDS) and name == Path(path).stem):
                places[name].append(path)
    return {name: paths for name, paths in places.items() if len(paths) > 1}


def test_every_public_name_is_defined_once() -> None:
    twice = defined_twice(sources())
    assert {name: paths for name, paths in twice.items() if name not in ALLOWED} == {}
    assert set(ALLOWED) <= set(twice), "an exception that is no longer needed"


def test_a_planted_second_definition_is_found() -> None:
    one = ast.parse("__all__ = ['Thing']\nclass Thing: ...\nLIMIT: int = 3")
    other = ast.parse("__all__ = ['Thing']\nfrom one import LIMIT\ndef Thing(): ...")
    found = defined_twice({"esvae/one.py": one, "sim/other.py": other})
    assert found == {"Thing": ["esvae/one.py", "sim/other.py"]}
    for unlisted in ("def Thing(): ...", "Thing = dict[str, int]", "Thing: TypeAlias = int"):
        assert defined_twice({"esvae/one.py": one, "sim/other.py": ast.parse(unlisted)}) == found
    for constant in ("LIMIT = 4", "LIMIT, _MOST = 4, 5", "LIMIT: Final = 4", "__all__ = ['LIMIT']\nLIMIT = 3"):
        found = defined_twice({"esvae/one.py": one, "sim/other.py": ast.parse(constant)})
        assert found == {"LIMIT": ["esvae/one.py", "sim/other.py"]}
    private = ast.parse("_LIMIT = 3\ndef _Thing(): ...")
    assert defined_twice({"esvae/one.py": one, "sim/other.py": private}) == {}
    command = ast.parse("__all__ = ['fit']\ndef fit(): ...")
    assert defined_twice({"deploy/commands/fit.py": command, "sim/fit.py": command}) == {}

"""What others call takes at most eight arguments; more belong together, in a dataclass that says what they are.

How many ways lead through a function is held by the linter (``mccabe`` in ``pyproject.toml``). Commands take as many
options as their users are offered, which is no call that anybody writes.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from sources import dotted, sources

MOST = 8
COMMANDS = "deploy/commands/"
#: Decorates what a compiler puts into a kernel in its place: nobody calls that.
INSTRUCTION = "instruction"
Function = ast.FunctionDef | ast.AsyncFunctionDef


def public_functions(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    """Functions of a module, and methods of its classes, whose names begin with no underscore; ``__init__`` as well."""
    for node in tree.body:
        if isinstance(node, Function):
            yield node.name, node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from ((f"{node.name}.{part.name}", part) for part in node.body if isinstance(part, Function))


def arguments(function: Function) -> int:
    """Those that a caller gives: without ``self`` and ``cls``."""
    given = function.args
    names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def too_many(modules: dict[str, ast.Module]) -> dict[str, int]:
    """Public functions above the most, with the number of their arguments."""
    return {
        f"{path}: {name}": arguments(function)
        for path, tree in modules.items()
        if not path.startswith(COMMANDS)
        for name, function in public_functions(tree)
        if not any(dotted(each) == INSTRUCTION for each in function.decorator_list)
        if arguments(function) > MOST and (not function.name.startswith("_") or function.name == "__init__")
    }


def test_public_functions_take_few_arguments() -> None:
    assert too_many(sources()) == {}


def test_a_planted_one_is_found() -> None:
    names = ", ".join(f"a{k}" for k in range(MOST + 1))
    tree = ast.parse(
        f"def much({names}): ...\ndef keywords(*, {names}): ...\ndef _own({names}): ...\ndef few(a, *, b): ...\n"
        f"class Wide:\n    def __init__(self, {names}): ...\n    def narrow(self, a): ...\n"
    )
    found = {f"sim/one.py: {name}": MOST + 1 for name in ("much", "keywords", "Wide.__init__")}
    assert too_many({"sim/one.py": tree, "deploy/commands/two.py": tree}) == found

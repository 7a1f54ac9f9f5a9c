"""Arrays' axes and kinds, which the annotations of functions and dataclasses state, checked while tests run.

In each test a function's first twenty calls are checked and then every hundredth, as a check takes longer than many a
function; in a thorough run (:mod:`depth`) every call is. Outside of tests nothing is checked, and beartype is not
imported.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, TypeVar

from beartype import BeartypeConf, beartype
from jaxtyping import jaxtyped

__all__ = ["ARRAY_KINDS", "Loader", "check_arrays", "checked_modules", "count_anew"]

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("esvae", "export", "sim", "deploy")
FIRST, THEN_EVERY = 20, 100

#: The names of :mod:`esvae.arrays`.
ARRAY_KINDS = ("Bool", "Float", "Float32", "Float64", "Int32", "Int64", "Integer", "Real", "Shaped", "UInt8", "UInt32")

#: An int may stand for a float, as PEP 484 says.
_CHECKER = beartype(conf=BeartypeConf(is_pep484_tower=True))
_NAME = "__checked__"
_ARRAY = re.compile(rf"\b({'|'.join(ARRAY_KINDS)})\[")

_calls: dict[int, int] = {}
_unchecked = True
_Thing = TypeVar("_Thing", bound=Callable[..., Any])


def checked_modules() -> list[str]:
    """Modules that annotate arrays, but for those that numba compiles, which takes no function that is wrapped."""
    found = []
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        text = path.read_text("utf-8")
        compiled = "\nimport numba\n" in text or "\nfrom esvae.machine.jit import" in text
        if "\nfrom esvae.arrays import" in text and not compiled:
            found.append(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return found


def check_arrays() -> None:
    """Wraps what annotates arrays in :func:`checked_modules`; before any of them is imported."""
    sys.meta_path.insert(0, _Finder(frozenset(checked_modules())))


def count_anew(*, all_calls: bool) -> None:
    """Another test begins: its calls are the first ones, or all are to be checked."""
    global _unchecked
    _unchecked = not all_calls
    _calls.clear()


def checked(thing: _Thing) -> _Thing:
    """A function, or a dataclass, whose calls are checked if it annotates an array; else as it is."""
    if inspect.isclass(thing):
        if "__init__" in vars(thing) and hasattr(thing, "__dataclass_fields__"):
            thing.__init__ = checked(thing.__init__)
        return thing
    if not any(_ARRAY.search(str(annotation)) for annotation in thing.__annotations__.values()):
        return thing
    checking: list[Callable[..., Any]] = []

    @wraps(thing)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        _calls[key] = count = _calls.get(key, 0) + 1
        if count > FIRST and count % THEN_EVERY and _unchecked:
            return thing(*args, **kwargs)
        if not checking:  # what the annotations name is all there by now
            checking.append(jaxtyped(thing, typechecker=_CHECKER))
        return checking[0](*args, **kwargs)

    key = id(wrapper)
    return wrapper  # type: ignore[return-value]


class Loader(SourceFileLoader):
    """Compiles a module as it stands, with a decorator for every function, its innermost, and class, its outermost."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        tree = ast.parse(self.get_data(path), path)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                decorator = ast.copy_location(ast.Name(_NAME, ast.Load()), node)
                node.decorator_list.insert(0 if isinstance(node, ast.ClassDef) else len(node.decorator_list), decorator)
        return compile(tree, path, "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        vars(module)[_NAME] = checked
        super().exec_module(module)


class _Finder(MetaPathFinder):
    def __init__(self, modules: frozenset[str]) -> None:
        self.modules = modules

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self.modules:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = Loader(fullname, spec.origin)
        return spec

"""Rules of the source tree that no linter knows: which way imports run, what may be imported, how long files may be.

Each rule is a function from one file's syntax tree to a list of complaints, and is shown to fail on planted faults.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from sources import PACKAGES, ROOT, dotted, python_files, sources, walk

# This runs in Lava's own interpreter, which has none of the project's packages. It imports lava inside functions,
# so that the other side can import its messages, but for one folder that holds Lava processes and nothing else.
INSIDE = "deploy/lava/inside/"
LAVA_PROCESSES = f"{INSIDE}processes/"
LAVA_HAS = {"numpy", "scipy", "h5py", "lava"}  # beside the standard library
LAVA_SHARES = {"messages", "cleanup"}  # modules of the folder that both sides import
# Training with Lava-DL's neurons happens here, in this interpreter; inside functions too.
SLAYER_SIDE = {"esvae/neurons/slayer.py"}
PICKLES = {"pickle", "_pickle", "cloudpickle", "dill", "shelve"}
# The table by which ``import esvae`` offers functions of all four packages, and the installed command: nothing in the
# packages uses them, so imports still run one way.
DOORS = {"esvae/doors.py", "esvae/program.py"}
IMPORTERS = {"import_module", "importlib.import_module", "__import__"}
MAX_LINES = 400

Rule = Callable[[str, ast.Module], list[str]]


def package_dirs() -> list[str]:
    return sorted({str(Path(file).parent) for file in python_files(*PACKAGES)})


def imports(path: str, nodes: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of every import among ``nodes``, also by ``import_module`` with a literal name."""
    package = Path(path).parent.parts
    for node in nodes:
        match node:
            case ast.Import():
                yield from ((node.lineno, alias.name) for alias in node.names)
            case ast.ImportFrom():
                base = package[: len(package) - (node.level - 1)] if node.level else ()
                parts = [*base, *([node.module] if node.module else [])]
                yield from ((node.lineno, ".".join([*parts, alias.name])) for alias in node.names)
            case ast.Call(args=[ast.Constant(value=str(name)), *_]) if dotted(node.func) in IMPORTERS:
                yield node.lineno, name


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below ``node`` that run when the module is imported: all but those in functions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield child
            yield from at_import(child)


def arrows_against_the_layers(path: str, tree: ast.Module) -> list[str]:
    own = PACKAGES.index(Path(path).parts[0])
    wrong = {*PACKAGES[own + 1 :], "tests", "benchmarks"}
    return [
        f"{path}:{line}: imports {name}, but imports run one way, {' <- '.join(PACKAGES)}"
        for line, name in imports(path, walk(tree))
        if name.split(".")[0] in wrong
    ]


def imports_by_a_variable(path: str, tree: ast.Module) -> list[str]:
    """What an import names must be there to read; a table of names stands in one file, for people at a prompt."""
    if path in DOORS or path.startswith(INSIDE) or path.endswith("/__init__.py"):  # which hands on its own modules
        return []
    calls = (node for node in walk(tree) if isinstance(node, ast.Call) and dotted(node.func) in IMPORTERS)
    return [
        f"{path}:{node.lineno}: imports what a variable names, which no rule can follow; only {sorted(DOORS)} may"
        for node in calls
        if not (node.args and isinstance(node.args[0], ast.Constant))
    ]


def lava_outside_its_worker(path: str, tree: ast.Module) -> list[str]:
    if path.startswith(LAVA_PROCESSES):
        return []
    inside = path.startswith(INSIDE) or path in SLAYER_SIDE
    nodes = at_import(tree) if inside else walk(tree)
    where = "inside its functions alone" if inside else f"only {INSIDE} may"
    return [
        f"{path}:{line}: imports {name}; {where}" for line, name in imports(path, nodes) if name.split(".")[0] == "lava"
    ]


def absent_from_lavas_interpreter(path: str, tree: ast.Module) -> list[str]:
    if not path.startswith(INSIDE):
        return []
    own = INSIDE.replace("/", ".")
    relative = {node.lineno for node in walk(tree) if isinstance(node, ast.ImportFrom) and node.level}
    return [
        f"{path}:{line}: imports {name}, which Lava's interpreter does not have; neighbours are imported relatively"
        for line, name in imports(path, walk(tree))
        if name.split(".")[0] not in LAVA_HAS | sys.stdlib_module_names
        and not (line in relative and f"{name}.".startswith(own))
    ]


def inside_from_outside(path: str, tree: ast.Module) -> list[str]:
    own = INSIDE.replace("/", ".").rstrip(".")
    if path.startswith(INSIDE):
        return []
    return [
        f"{path}:{line}: imports {name}; of what runs inside Lava's interpreter only {sorted(LAVA_SHARES)} are shared"
        for line, name in imports(path, walk(tree))
        if f"{name}.".startswith(f"{own}.") and not LAVA_SHARES & set(name.removeprefix(own).lstrip(".").split(".")[:1])
    ]


def torchvision_at_import(path: str, tree: ast.Module) -> list[str]:
    return [
        f"{path}:{line}: imports {name} at module level; it may be missing, or not fit the build of torch"
        for line, name in imports(path, at_import(tree))
        if name.split(".")[0] == "torchvision"
    ]


def unsafe_loading(path: str, tree: ast.Module) -> list[str]:
    found = [
        f"{path}:{line}: imports {name}"
        for line, name in imports(path, walk(tree))
        if name.split(".")[0] in PICKLES or name in ("torch.load", "torch.jit.load")
    ]
    for node in (node for node in walk(tree) if isinstance(node, ast.Call)):
        name = dotted(node.func)
        pickles = [ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg == "allow_pickle"]
        # With weights_only or without, a TorchScript archive is compiled.
        if name in ("torch.load", "torch.jit.load"):
            found.append(f"{path}:{node.lineno}: {name} may run code from the file; use read_torch_archive")
        if pickles not in ([], ["False"]):
            found.append(f"{path}:{node.lineno}: {name} with allow_pickle runs code from the file")
    return found


RULES: dict[Rule, list[tuple[str, str]]] = {
    arrows_against_the_layers: [
        ("esvae/model/esvae.py", "import export"),
        ("esvae/model/esvae.py", "import numpy, sim.twin.engine"),
        ("export/ir/network.py", "from deploy.report import write"),
        ("export/passes/fold.py", "from ...sim import engine"),
        ("export/pipeline.py", "from .. import sim"),
        ("sim/twin/engine.py", "def f():\n    from deploy import cli"),
        ("sim/twin/engine.py", "import importlib\nimportlib.import_module('deploy.cli')"),
        ("sim/twin/engine.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import deploy"),
    ],
    imports_by_a_variable: [
        ("esvae/run.py", "import importlib\nimportlib.import_module(NAME)"),
        ("export/pipeline.py", "from importlib import import_module\nimport_module('sim.' + name)"),
    ],
    lava_outside_its_worker: [
        ("deploy/lava/client.py", "import lava.lib.dl.netx"),
        ("sim/twin/engine.py", "def f():\n    from lava.magma.core import run_configs"),
        ("deploy/lava/inside/nodes.py", "import lava"),
        ("esvae/neurons/slayer.py", "from lava.lib.dl import slayer"),
        ("esvae/neurons/norse.py", "def f():\n    from lava.lib.dl import slayer"),
    ],
    absent_from_lavas_interpreter: [
        ("deploy/lava/inside/processes/sampler.py", "from sim.sampler import LFSR_TAPS"),
        ("deploy/lava/inside/netx.py", "def f():\n    import torch"),
        ("deploy/lava/inside/netx.py", "from deploy.lava.inside.messages import Work"),
        ("deploy/lava/inside/netx.py", "from ..rates import Rates"),
    ],
    inside_from_outside: [
        ("deploy/lava/graph.py", "from deploy.lava.inside.processes.sampler import RateSampler"),
        ("deploy/lava/run.py", "from .inside.worker import main"),
    ],
    torchvision_at_import: [
        ("esvae/data.py", "import torchvision"),
        ("esvae/data.py", "try:\n    from torchvision import datasets\nexcept ImportError:\n    pass"),
        ("esvae/data.py", "class A:\n    import torchvision.transforms"),
    ],
    unsafe_loading: [
        ("esvae/a.py", "import pickle"),
        ("esvae/a.py", "from torch import load"),
        ("esvae/a.py", "import torch\ntorch.load('x')"),
        ("esvae/a.py", "import torch\ntorch.load('x', weights_only=True)"),
        ("esvae/a.py", "import torch\ntorch.jit.load('x')"),
        ("esvae/a.py", "import numpy as np\nnp.load('x', allow_pickle=True)"),
        ("esvae/a.py", "import numpy\nnumpy.load('x', allow_pickle=flag)"),
    ],
}
ALLOWED: dict[Rule, list[tuple[str, str]]] = {
    arrows_against_the_layers: [
        ("deploy/cli.py", "import esvae, export.ir\nfrom sim import engine\nfrom . import report"),
        ("export/passes/fold.py", "from ..ir import Layer\nfrom .sim import local"),
        ("esvae/model/esvae.py", "import simplejson, exporter"),
    ],
    imports_by_a_variable: [("esvae/doors.py", "import importlib\nimportlib.import_module(NAME)")],
    lava_outside_its_worker: [
        ("deploy/lava/inside/worker.py", "def f():\n    import lava"),
        ("esvae/neurons/slayer.py", "def f():\n    from lava.lib.dl import slayer"),
        ("deploy/lava/inside/processes/sampler.py", "import lava"),
        ("deploy/cli.py", "from deploy.lava import client"),
    ],
    absent_from_lavas_interpreter: [
        ("deploy/lava/inside/processes/sampler.py", "import os, numpy, lava"),
        ("deploy/lava/inside/nodes.py", "from . import netx\nfrom .processes.sampler import RateSampler"),
        ("deploy/lava/graph.py", "import sim"),
    ],
    inside_from_outside: [
        ("deploy/lava/run.py", "from deploy.lava.inside.messages import Work\nfrom deploy.lava.inside import cleanup"),
        ("deploy/lava/inside/worker.py", "from .run_job import run_job"),
    ],
    torchvision_at_import: [("esvae/data.py", "def f():\n    import torchvision")],
    unsafe_loading: [("esvae/a.py", "import numpy as np\nnp.load('x')")],
}


@pytest.mark.parametrize(("rule", "path", "text"), [(rule, *case) for rule, cases in RULES.items() for case in cases])
def test_rule_sees_a_planted_fault(rule: Rule, path: str, text: str) -> None:
    assert len(rule(path, ast.parse(text))) == 1


@pytest.mark.parametrize(("rule", "path", "text"), [(rule, *case) for rule, cases in ALLOWED.items() for case in cases])
def test_rule_passes_what_is_allowed(rule: Rule, path: str, text: str) -> None:
    assert rule(path, ast.parse(text)) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_source_keeps_the_rule(rule: Rule) -> None:
    assert sources()
    faults = [fault for path, tree in sources().items() for fault in rule(path, tree)]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("folder", package_dirs())
def test_package_hands_on_the_names_it_promises(folder: str) -> None:
    assert (ROOT / folder / "__init__.py").is_file(), f"{folder} has no __init__.py"
    package = importlib.import_module(folder.replace("/", "."))
    names = getattr(package, "__all__", None)
    assert names is not None, f"{folder}/__init__.py has no __all__"
    assert len(names) == len(set(names)), f"{folder}: __all__ names something twice"
    missing = [name for name in names if not hasattr(package, name)]
    assert not missing, f"{folder}: __all__ names what is not there: {missing}"


def test_files_are_short_enough_to_read() -> None:
    lengths = {
        path: len((ROOT / path).read_text("utf-8").splitlines())
        for path in python_files(*PACKAGES, "tests", "benchmarks", "scripts")
    }
    long = {path: lines for path, lines in lengths.items() if lines > MAX_LINES}
    assert not long, f"longer than {MAX_LINES} lines; split by the one thing each file holds: {long}"

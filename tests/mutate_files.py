"""Damaged and hostile inputs of every kind through what reads them: what CI runs a few of.

    python tests/mutate_files.py -n 10000 --seed 0 --out mutated
    python tests/mutate_files.py --kind pth --kind sweep -n 500
    python tests/mutate_files.py --kind pth --seed 0 --first 123 -n 1

Each case is a sound input, changed once or a few times; what reads it runs in a fork of this process, whose time and
memory are watched; ``tests/mutated/cases.py`` says what is right. The inputs are spread evenly over the kinds. What
fails is kept in ``OUT/KIND-NUMBER``, with ``case.json``; seed, kind and number make it again, as in the last line.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["NUMBA_NUM_THREADS"] = "1"  # a fork has no threads but its own
os.environ["NUMBA_THREADING_LAYER"] = "workqueue"  # the others do not work in a fork of a process that used them
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mutated.cases import Cases, Verdict
from mutated.kinds import KINDS
from mutated.samples import shared

__all__ = ["run_kind", "warm_up"]

#: What the readers import, so that the forks need not.
_IMPORTS = [
    "deploy.app",
    "deploy.cli",
    "deploy.simulate",
    "deploy.generate",
    "deploy.cost",
    "deploy.autoencode",
    "deploy.sweep",
    "deploy.report.sections",
]
_IMPORTS += [
    "deploy.view.console",
    "deploy.inspection",
    "esvae.machine.outputs",
    "pydantic.type_adapter",
    "rich._emoji_codes",
    "deploy.view.tables",
    "esvae.data",
    "esvae.metrics.features",
    "esvae.training",
    "esvae.official",
]
_IMPORTS += [
    "export.netx.check",
    "export.netx.survey",
    "export.pipeline",
    "export.relower",
    "export.nir.write",
    "export.onnx.write",
    "sim.twin.engine",
    "sim.energy.validation",
    "rich.table",
    "torchvision",
    "PIL.Image",
]


def warm_up() -> None:
    """Imports, and draws the little that compiles functions, which the forks then share."""
    for name in _IMPORTS:
        importlib.import_module(name)
    from PIL import Image

    Image.init()


def run_kind(cases: Cases, first: int, count: int, out: Path) -> dict[str, Any]:
    """Judges cases, keeps what fails, and says how many ended how."""
    ends: Counter[str] = Counter()
    failed, started, peak, longest = 0, time.perf_counter(), 0, 0.0
    computed = _computed()
    for done, verdict in enumerate(cases.verdicts(first, count), 1):
        ends.update(f"{reader} {end.partition(':')[0]}" for reader, end in verdict.ends.items())
        peak, longest = max(peak, verdict.peak), max(longest, verdict.seconds)
        if verdict.wrong:
            failed += 1
            _keep(cases, verdict, out)
        each = (time.perf_counter() - started) / done
        sys.stderr.write(f"\r{cases.name}: {done} of {count}, {failed} handled badly, {each:.2f} s each ")
    sys.stderr.write("\n")
    seconds = round(time.perf_counter() - started, 1)
    return {
        "inputs": count,
        "failed": failed,
        "ends": dict(sorted(ends.items())),
        "peak_mb": peak >> 20,
        "longest": round(longest, 2),
        "seconds": seconds,
        "computed": round(_computed() - computed, 1),
    }


def _computed() -> float:
    """Seconds of processor time, of this process and those that it waited for."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _keep(cases: Cases, verdict: Verdict, out: Path) -> None:
    case = verdict.case
    for reader, wrong in verdict.wrong.items():
        last = (wrong["said"].splitlines() or [""])[-1][:200]
        sys.stdout.write(
            f"{cases.name} {case.number} ({case.sample}, {case.file}: {', '.join(case.changes)}): "
            f"{reader}: {wrong['what']} {last}\n"
        )
    sys.stdout.flush()
    folder = out / f"{cases.name}-{case.number}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    changed = cases.place / case.file
    if changed.is_file():
        shutil.copy(changed, folder / changed.name)
    about = {"kind": cases.name, "seed": cases.seed, **asdict(case), "wrong": verdict.wrong}
    (folder / "case.json").write_text(json.dumps(about, indent=1), "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=1000, help="inputs in all")
    parser.add_argument("--kind", action="append", choices=sorted(KINDS), help="may be repeated; all where left out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case of each kind")
    parser.add_argument("--seconds", type=float, default=60, help="that a reader may take")
    parser.add_argument("--out", type=Path, default=Path("mutated"), help="folder for what fails, and summary.json")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    names: list[str] = options.kind or list(KINDS)
    summary: dict[str, dict[str, Any]] = {}
    out = options.out.resolve()
    with tempfile.TemporaryDirectory(prefix="mutated-") as name:
        os.chdir(name)  # whatever a changed name leads to is in here
        warm_up()
        made = shared(Path(name) / "shared")
        for index, kind in enumerate(names):
            count = options.n // len(names) + (index < options.n % len(names))
            gc.freeze()  # what is there is not looked through, and so not copied, in a fork
            cases = Cases(kind, KINDS[kind](made), Path(name) / str(index), seed=options.seed, seconds=options.seconds)
            summary[kind] = run_kind(cases, options.first, count, out)
            total = _summed(summary, options.seed, out)
        os.chdir(out.anchor)
    sys.stdout.write(f"{json.dumps(total)}\n")
    sys.exit(1 if total["failed"] else 0)


def _summed(kinds: dict[str, dict[str, Any]], seed: int, out: Path) -> dict[str, Any]:
    """The sums over the kinds so far; with these they are written down."""
    total = {name: round(sum(kind[name] for kind in kinds.values()), 1) for name in ("inputs", "failed", "seconds")}
    out.mkdir(parents=True, exist_ok=True)
    (out / "summary.json").write_text(json.dumps({"seed": seed, **total, "kinds": kinds}, indent=1), "utf-8")
    return total


if __name__ == "__main__":
    main()

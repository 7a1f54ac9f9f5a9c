"""The first minutes of a new user, timed: from a clone to an own Norse network on netx, held against Lava.

    python -m benchmarks.first_minutes [--keep FOLDER]

Clones this repository into a temporary folder, makes its environment there as a user does, and runs one command after
the other with it, each a process of its own; writes ``benchmarks/first_minutes.md``. Nothing of this checkout's
environment is used; pip's cache is the user's own. A folder that is kept holds the seconds of each step in
``seconds.json``: a run that was stopped goes on there behind the last of them.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["NORSE", "STEPS", "Step", "page", "run_steps"]

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "benchmarks" / "first_minutes.md"

#: The user's own file, ``mine.py``.
NORSE = """\
import norse.torch as norse
import numpy as np
import torch

import esvae

torch.manual_seed(0)
cell = norse.LIFBoxParameters(tau_mem_inv=torch.tensor(250.0), v_th=torch.tensor(0.1))
network = norse.SequentialState(
    torch.nn.Conv2d(1, 8, 3, stride=2, padding=1),
    norse.LIFBoxCell(cell),
    torch.nn.Flatten(),
    torch.nn.Linear(8 * 4 * 4, 10),
    norse.LIFBoxCell(cell),
).eval()
esvae.export(esvae.from_norse(network, (1, 8, 8), time_steps=16), "mine.net", weight_bits=8)
np.save("spikes.npy", np.random.default_rng(0).random((4, 16, 1, 8, 8)) < 0.3)
"""


@dataclass(frozen=True)
class Step:
    """One thing that a user does.

    Attributes:
        aim: what for.
        command: as typed; ``esvae`` and ``python`` are those of the environment.
    """

    aim: str
    command: str


#: In a folder that holds the clone as ``esvae-loihi``.
STEPS: tuple[Step, ...] = (
    Step("the sources", "git clone {source} esvae-loihi"),
    Step("the environment, Lava and Norse included", "sh esvae-loihi/scripts/setup"),
    Step("pictures by a generator that comes with it", "esvae simulate pretrained:mnist -n 64 -o digits.png"),
    Step("its file", "esvae export pretrained:mnist -o decoder.net"),
    Step("every integer against the reference and Lava", "esvae verify decoder.net -n 1"),
    Step("an own generator, on the digits of scikit-learn", "esvae train digits --out runs/digits"),
    Step("all that is known of it, as one page", "esvae report runs/digits -o report.html"),
    Step("the own Norse network's file", "python mine.py"),
    Step("what is in it, and a drawing", "esvae inspect mine.net -o mine.svg"),
    Step("what it does at each step", "esvae simulate mine.net --spikes spikes.npy --trace mine.npz"),
    Step("every integer against the reference and Lava", "esvae verify mine.net"),
)


def run_steps(steps: Sequence[Step], folder: Path, source: str) -> list[tuple[Step, float]]:
    """Runs the steps in a folder; gives the seconds of each.

    Raises:
        SystemExit: a command failed; says which, and what it printed.
    """
    (folder / "mine.py").write_text(NORSE, "utf-8")
    programs = folder / "esvae-loihi" / ".venv" / "bin"
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
    environment["ESVAE_CACHE"] = str(folder / "cache")
    kept = folder / "seconds.json"
    done_before = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
    timed: list[tuple[Step, float]] = []
    for step in steps:
        if step.command in done_before:
            timed.append((step, done_before[step.command]))
            continue
        words = shlex.split(step.command.format(source=shlex.quote(source)))
        if words[0] in ("esvae", "python"):
            words[0] = str(programs / words[0])
        start = time.perf_counter()
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
        seconds = time.perf_counter() - start
        if done.returncode != 0:
            raise SystemExit(f"{step.command}: exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        timed.append((step, seconds))
        kept.write_text(json.dumps({one.command: took for one, took in timed}, indent=1), "utf-8")
        print(f"{seconds:8.1f} s  {step.command}", flush=True)
    return timed


def page(timed: Sequence[tuple[Step, float]], about: str) -> str:
    """The figures as Markdown."""
    lines = ["# The first minutes", "", __doc__.splitlines()[0], "", about, ""]
    lines += ["| what for | command | seconds | since the start |", "|---|---|---:|---:|"]
    since = 0.0
    for step, seconds in timed:
        since += seconds
        minutes, rest = divmod(round(since), 60)
        command = step.command.format(source="URL")
        lines.append(f"| {step.aim} | `{command}` | {seconds:.1f} | {minutes}:{rest:02d} |")
    lines += ["", "`mine.py`, the network of the user:", "", "```python", NORSE.rstrip(), "```", ""]
    lines += ["Made by `python -m benchmarks.first_minutes`; every command exited 0.", ""]
    return "\n".join(lines)


def _about() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    busy = f", kept busy by other work (load {load:.0f})" if load > (cores or 1) else ""
    today = datetime.date.today().isoformat()
    return f"{platform.system()} {platform.machine()}, {cores} cores{busy}, {today}."


def main() -> None:
    """Runs all and writes the page."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--keep", type=Path, help="work there, in a new folder or one that was kept, and leave it")
    given = options.parse_args()
    about = _about()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        timed = run_steps(STEPS, folder.resolve(), str(ROOT))
    PAGE.write_text(page(timed, about), "utf-8")
    print(f"written: {PAGE}", file=sys.stderr)


if __name__ == "__main__":
    main()

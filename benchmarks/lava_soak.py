"""Runs Lava many times in a row and looks for what is left: processes, shared memory, temporary files, memory.

    python benchmarks/lava_soak.py [--runs 50] [--out benchmarks/lava_soak.json]

Runs alternate between stock netx and the native graph, spikes from outside and the sampler inside. Exits with 1 where
anything is left, or where a run gives other integers than the twin.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import re
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import numpy as np

from deploy.backends import BackendJob, LavaSettings, run_backend
from deploy.entering import InputOptions, enter
from deploy.lava.inside.cleanup import shared_segments
from esvae.machine.files import write_text
from export.ir import Conv, Lif, Network, Prior
from export.netx.write import write_netx
from sim.twin.engine import Engine

WAYS = [
    LavaSettings("stock", "host"),
    LavaSettings("native", "graph"),
    LavaSettings("stock", "graph"),
    LavaSettings("native", "host"),
]
WARM_UP = 4  # runs after which this process has imported and cached what it ever will


LOKY = re.compile(r"sem\.loky-(\d+)-")


@dataclass(frozen=True)
class Soak:
    """What was found.

    Attributes:
        runs: how many.
        wrong: runs whose integers differed from the twin's.
        processes: that this process's children left running, at the most after any run.
        segments: names under /dev/shm that were not there before the first run and belong to no living process.
        files: names in the temporary folder that were not there before the first run.
        descriptors: growth of open file descriptors from the warm-up to the end.
        growth_mib: growth of this process's resident memory from the warm-up to the end.
        seconds: a run, median.
    """

    runs: int
    wrong: int
    processes: int
    segments: list[str]
    files: list[str]
    descriptors: int
    growth_mib: float
    seconds: float

    @property
    def clean(self) -> bool:
        """Nothing wrong, nothing left, and less than 8 MiB of growth, which is within the allocator's noise."""
        return not (self.wrong or self.processes or self.segments or self.files or self.descriptors > 0) and (
            self.growth_mib < 8
        )


def network() -> Network:
    """A tiny generator."""
    rng = np.random.default_rng(2)
    prior = Prior(rng.normal(0, 1, (1, 6, 3)).astype(np.float32), np.zeros((1, 6), np.float32), np.ones(1, np.float32))
    layers = (
        Conv(rng.integers(-60, 90, (3, 6, 2, 2)) * 2, None, Lif(4096, 3072, 200), padding=(1, 1)),
        Conv(rng.integers(-60, 90, (1, 3, 1, 1)) * 2, np.array([7]), Lif(4096, 819, 131071)),
    )
    return Network((6, 1, 1), layers, 4, prior)


def descendants() -> set[int]:
    """Living processes below this one."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except (OSError, ValueError):
                continue
            if state not in "ZX":
                parents[int(entry.name)] = int(parent)
    found, edge = set[int](), {os.getpid()}
    while edge := {pid for pid, parent in parents.items() if parent in edge}:
        found |= edge
    return found


def names(folder: str) -> set[str]:
    try:
        return {each.name for each in Path(folder).iterdir()}
    except OSError:
        return set()


def orphans(before: set[str]) -> set[str]:
    """Shared memory that was not there before and that no living process has mapped: others at work here map theirs.

    joblib's semaphores, which their maker need not have mapped, name it.
    """
    new = {each for each in names("/dev/shm") - before if each.startswith(("psm_", "sem.", "__KMP"))}
    living = {each for each in names("/proc") if each.isdigit()}
    new = {each for each in new if not ((maker := LOKY.match(each)) and maker[1] in living)}
    return new - shared_segments(map(int, living))


def resident_mib() -> float:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def soak(runs: int) -> Soak:
    """Runs Lava ``runs`` times, which must be more than the warm-up."""
    net = network()
    wrong = processes = descriptors = 0
    resident, seconds = 0.0, []
    # A temporary folder and names of shared memory of our own, so that others at work here do not count
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        tempfile.tempdir = folder
        path = write_netx(net, Path(folder) / "generator.net")
        before_files, before_shared, before_processes = names(folder), names("/dev/shm"), descendants()
        for run in range(runs):
            settings = WAYS[run % len(WAYS)]
            job = BackendJob(path, enter(net, InputOptions(2, run)), trace=run % 3 == 0, lava=settings)
            spikes = job.stimulus
            started = time.perf_counter()
            done = run_backend("lava", job)
            seconds.append(time.perf_counter() - started)
            wrong += not np.array_equal(done.potentials, Engine(net).final_potentials(spikes))
            processes = max(processes, len(descendants() - before_processes))
            if run == WARM_UP - 1:
                resident, descriptors = resident_mib(), len(names("/proc/self/fd"))
        files = sorted(names(folder) - before_files)
        segments = sorted(orphans(before_shared))
        time.sleep(1)
        segments = sorted(orphans(before_shared) & set(segments))
        growth, more = resident_mib() - resident, len(names("/proc/self/fd")) - descriptors
        tempfile.tempdir = None
    return Soak(runs, wrong, processes, segments, files, more, round(growth, 2), round(float(np.median(seconds)), 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("lava_soak.json"))
    options = parser.parse_args()
    found = soak(options.runs)
    about = {"date": date.today().isoformat(), "machine": f"{platform.machine()}, {os.cpu_count()} cores"}
    write_text(options.out, json.dumps({"about": about, "clean": found.clean, **asdict(found)}, indent=1) + "\n")
    print(json.dumps(asdict(found)))
    sys.exit(0 if found.clean else 1)


if __name__ == "__main__":
    main()

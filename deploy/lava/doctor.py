"""Says whether Lava can be run here, with what, and what to do where it cannot."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deploy.lava.find import FIX, LAVA_PYTHON_VARIABLE, find_lava_python, remembered_python
from deploy.lava.jobs import WindowsJob
from deploy.lava.run import run_lava
from esvae.chip.formats import DECAY_UNITY, THRESHOLD
from esvae.errors import EsvaeError, LavaMissingError
from export.ir import Conv, Dense, Flatten, Lif, Network
from export.netx.write import write_netx
from sim import reference

__all__ = ["Check", "examine", "self_test"]

SHARED_MEMORY = Path("/dev/shm")
#: Lava's ports are shared memory; a small network needs a few megabytes of it, the paper's decoder some tens.
SHARED_MEMORY_BYTES = 64 << 20
SELF_TEST_SEED = 7


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what.
        good: True, False, or None where it is for information alone.
        found: what was found.
        fix: what to do, where it is not good.
    """

    name: str
    good: bool | None
    found: str
    fix: str = ""


def examine(*, test: bool = True, stall_timeout: float = 60.0) -> list[Check]:
    """Looks at everything that a Lava run needs; raises nothing.

    Args:
        test: also run a tiny network in Lava and compare every integer.
        stall_timeout: seconds without progress after which that run is given up.
    """
    checks = [
        Check("this Python", None, f"{platform.python_version()} ({platform.system()} {platform.machine()})"),
        Check(LAVA_PYTHON_VARIABLE, None, os.environ.get(LAVA_PYTHON_VARIABLE) or "not set"),
        Check("esvae lava install", None, str(remembered_python() or "not run")),
        _shared_memory(),
    ]
    try:
        python = find_lava_python()
    except LavaMissingError as error:
        return [*checks, Check("interpreter with Lava", False, str(error).removesuffix(f"; {FIX}"), FIX)]
    checks.append(Check("interpreter with Lava", True, str(python)))
    if test:
        checks.append(_tested(stall_timeout))
    return checks


def _shared_memory() -> Check:
    name = "shared memory"
    if not SHARED_MEMORY.is_dir():
        return Check(name, None, f"no {SHARED_MEMORY} on this system")
    free = shutil.disk_usage(SHARED_MEMORY).free
    found = f"{free >> 20:,} MiB free in {SHARED_MEMORY}"
    if free >= SHARED_MEMORY_BYTES and os.access(SHARED_MEMORY, os.W_OK):
        return Check(name, True, found)
    return Check(name, False, found, "give it more, in Docker for instance with --shm-size=1g")


def _tested(stall_timeout: float) -> Check:
    name = "self-test"
    started = time.perf_counter()
    try:
        integers, versions = self_test(stall_timeout=stall_timeout)
    except EsvaeError as error:
        return Check(name, False, str(error), "" if FIX in str(error) else "run: esvae lava install")
    about = ", ".join(f"{package} {versions[package]}" for package in ("lava-nc", "lava-dl", "python", "numpy"))
    return Check(name, True, f"{integers} integers equal in {time.perf_counter() - started:.1f} s ({about})")


def self_test(*, stall_timeout: float = 60.0) -> tuple[int, dict[str, str]]:
    """Runs a small convolution and a dense layer in Lava and compares u, v and s of every step with the reference.

    Returns:
        How many integers were compared, and the versions of what computed them.

    Raises:
        EsvaeError: Lava does not run, or differs.
    """
    rng = np.random.default_rng(SELF_TEST_SEED)
    layers = (
        Conv(
            rng.integers(-60, 90, (2, 1, 2, 2)) * 2,
            rng.integers(-30, 30, 2),
            Lif(DECAY_UNITY, 3072, 100),
            padding=(1, 1),
        ),
        Flatten(),
        Dense(rng.integers(-60, 60, (3, 32)) * 2, rng.integers(-30, 30, 3), Lif(2048, 819, THRESHOLD.max)),
    )
    network = Network((1, 3, 3), layers, time_steps=4)
    spikes = (rng.random((2, 4, 1, 3, 3)) < 0.5).astype(np.uint8)
    with tempfile.TemporaryDirectory(prefix="esvae-doctor-") as folder:
        path = write_netx(network, Path(folder) / "self-test.net")
        run = run_lava(WindowsJob(path, spikes, trace=True), stall_timeout=stall_timeout)
    assert run.trace is not None
    integers = 0
    for k, layer in enumerate(reference.simulate(network, spikes)):
        for name in ("u", "v", "s"):
            expected, got = getattr(layer, name), run.trace[f"layer{k}.{name}"]
            if not np.array_equal(expected, got):
                raise EsvaeError(f"Lava computes other integers than the reference: layer{k}.{name} differs")
            integers += expected.size
    return integers, run.versions

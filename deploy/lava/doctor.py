"""Says whether Lava can be run here, with what, and what to do where it cannot."""

from __future__ import annotations

import os
import platform
import shutil
import time
from dataclasses import dataclass

from deploy.lava.find import FIX, LAVA_PYTHON_VARIABLE, find_lava_python, remembered_python
from deploy.lava.inside.cleanup import SHARED_MEMORY
from esvae.errors import EsvaeError, LavaMissingError

__all__ = ["Check", "examine"]

#: Lava's ports are shared memory; a small network needs a few megabytes of it, the paper's decoder some tens.
SHARED_MEMORY_BYTES = 64 << 20


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
    from deploy.lava.self_test import self_test  # which computes; looking alone answers at once

    name = "self-test"
    started = time.perf_counter()
    try:
        integers, versions = self_test(stall_timeout=stall_timeout)
    except EsvaeError as error:
        return Check(name, False, str(error), "" if FIX in str(error) else "run: esvae lava install")
    about = ", ".join(f"{package} {versions[package]}" for package in ("lava-nc", "lava-dl", "python", "numpy"))
    return Check(name, True, f"{integers} integers equal in {time.perf_counter() - started:.1f} s ({about})")

"""Runs stimuli of any LIF ``.net`` files in stock netx on Lava: spikes or images, resets, staggered time, in bulk."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deploy.lava.find import find_lava_python
from deploy.lava.group import end_group
from esvae.errors import LavaDiedError, LavaError, LavaTimeoutError
from sim.stimulus import Stimulus

__all__ = ["LavaJob", "replay"]

JUDGE = Path(__file__).with_name("judge.py")
POLL_SECONDS = 0.02
# Lava's models are many small processes: threads within each would only get in each other's way
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True, eq=False)
class LavaJob:
    """One stimulus for one file.

    Attributes:
        net: the ``.net`` file.
        stimulus: checked against the network (see :func:`sim.stimulus.as_stimulus`).
        layers: how many of the file's layer groups netx builds, or None for all.
        sparse: have netx load dense layers as sparse ones.
    """

    net: Path
    stimulus: Stimulus
    layers: int | None = None
    sparse: bool = False


def replay(
    jobs: Sequence[LavaJob],
    *,
    stall_timeout: float = 60.0,
    progress: Callable[[int], None] | None = None,
    about: dict[str, str] | None = None,
) -> Iterator[dict[str, np.ndarray] | LavaError]:
    """Runs jobs one after the other in one interpreter that imports Lava once.

    Args:
        jobs: what to run.
        stall_timeout: seconds that one job may take; after that everything is ended.
        progress: called with the number of jobs done.
        about: receives the version numbers by name.

    Yields:
        For each job its traces by name, ``(images, steps, *layer shape)``, u and v int32, s uint8; or the error that
        Lava answered it with.

    Raises:
        LavaMissingError: there is no interpreter with Lava.
        LavaTimeoutError: a job took too long.
        LavaDiedError: the interpreter ended.
    """
    python = find_lava_python()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"} | THREADS
    if python != Path(sys.executable):
        environment = {name: value for name, value in environment.items() if name not in ("PYTHONHOME", "PYTHONPATH")}
    with tempfile.TemporaryDirectory(prefix="esvae-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        written = [_written(job, folder / f"{number}") for number, job in enumerate(jobs)]
        (folder / "jobs.json").write_text(json.dumps(written), encoding="utf-8")
        with (folder / "log").open("wb") as log:
            judge = subprocess.Popen(
                [str(python), str(JUDGE), str(folder / "jobs.json")],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=folder,
                env=environment,
                start_new_session=True,
            )
        try:
            for number, job in enumerate(written):
                answer = _awaited(judge, Path(job["result"]), stall_timeout, folder)
                if about is not None:
                    about.update(json.loads((folder / "versions.json").read_text(encoding="utf-8")))
                yield answer
                if progress is not None:
                    progress(number + 1)
        finally:
            end_group(judge.pid)
            judge.wait()
            if judge.stdin is not None:
                judge.stdin.close()


def _written(job: LavaJob, stem: Path) -> dict[str, Any]:
    """The job as ``judge.py`` reads it."""
    given, timing = job.stimulus, job.stimulus.timing
    entering = stem.with_suffix(".npy")
    np.save(entering, given.values)
    return {
        "net": str(job.net.absolute()),
        "spikes": str(entering) if given.spikes is not None else None,
        "images": str(entering) if given.spikes is None else None,
        "steps": given.steps,
        "layers": job.layers,
        "reset_interval": timing.reset_interval,
        "reset_offset": timing.reset_offset,
        "stagger": timing.stagger,
        "sparse": job.sparse,
        "result": str(stem.with_suffix(".npz")),
    }


def _awaited(
    judge: subprocess.Popen[bytes], result: Path, timeout: float, folder: Path
) -> dict[str, np.ndarray] | LavaError:
    failed = Path(f"{result}.error")
    deadline = time.monotonic() + timeout
    while not (result.exists() or failed.exists()):
        if judge.poll() is not None and not (result.exists() or failed.exists()):
            raise LavaDiedError(f"Lava ended with exit status {judge.returncode}{_tail(folder)}")
        if time.monotonic() > deadline:
            raise LavaTimeoutError(f"Lava did not finish within {timeout:g} s: the run was ended{_tail(folder)}")
        time.sleep(POLL_SECONDS)
    if failed.exists() and not result.exists():
        return LavaError(f"Lava failed: {failed.read_text(encoding='utf-8')}{_tail(folder)}")
    with np.load(result) as arrays:
        traces = {name: arrays[name] for name in arrays.files}
    result.unlink()
    return traces


def _tail(folder: Path) -> str:
    with contextlib.suppress(OSError):
        text = (folder / "log").read_text(encoding="utf-8", errors="replace")[-2000:]
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return f" (it said: {' | '.join(lines[-2:])})" if lines else ""
    return ""

"""Runs jobs in Lava, in a process of their own: one way for every kind of job."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from deploy.lava.environment import scratch_place
from deploy.lava.failures import died, ended, failed
from deploy.lava.find import find_lava_python
from deploy.lava.inside.messages import (
    JOBS,
    RESULT,
    WORKER,
    Died,
    DoneEvent,
    Ended,
    Event,
    FailedEvent,
    Image,
    Ready,
    Running,
    Step,
    encode_message,
)
from deploy.lava.jobs import LavaJob
from deploy.lava.results import LavaProgress, LavaRun
from deploy.lava.session import Silence, Worker
from esvae.errors import DataError, EsvaeError, LavaError, LavaTimeoutError
from esvae.machine.arrays import load_arrays

__all__ = ["run_lava", "run_lava_jobs"]

logger = logging.getLogger(__name__)


def run_lava(
    job: LavaJob,
    *,
    stall_timeout: float = 60.0,
    progress: Callable[[LavaProgress], None] | None = None,
    python: str | os.PathLike[str] | None = None,
) -> LavaRun:
    """Runs one job in Lava, on its bit-accurate CPU models or on a board.

    Whatever happens, no process, no shared memory and no file of the run is left when this function returns or raises.

    Args:
        job: what to run.
        stall_timeout: seconds without any progress after which the run is given up: a stage begun, a time step done,
            or processor time taken by Lava's processes. Networks with many weights get more, in proportion. There is no
            limit on the whole.
        progress: called with a :class:`LavaProgress` whenever the run has come further.
        python: the interpreter to run Lava with; :func:`~deploy.lava.find.find_lava_python` finds it otherwise.

    Raises:
        DataError: the latents do not fit the network's input.
        NetFileError: the file is missing, corrupt, or netx cannot build it.
        UnsupportedLayerError: netx or this runner does not support a layer or neuron of the file.
        LavaMissingError: there is no interpreter with Lava, the one given does not work, or there is no board.
        LavaTimeoutError: no progress for ``stall_timeout`` seconds.
        LavaDiedError: one of Lava's processes was killed or raised.
        LavaError: anything else that Lava raised.
    """
    [answer] = run_lava_jobs([job], stall_timeout=stall_timeout, progress=progress, python=python)
    if isinstance(answer, EsvaeError):
        raise answer
    return answer


def run_lava_jobs(
    jobs: Sequence[LavaJob],
    *,
    stall_timeout: float = 60.0,
    progress: Callable[[LavaProgress], None] | None = None,
    python: str | os.PathLike[str] | None = None,
) -> Iterator[LavaRun | EsvaeError]:
    """Runs jobs one after the other in one interpreter that imports Lava once, each in a process of its own.

    Args:
        jobs: what to run.
        stall_timeout, progress, python: as for :func:`run_lava`; the time that the caller takes between two answers
            does not count.

    Yields:
        For each job what Lava computed, or the error that :func:`run_lava` would raise.

    Raises:
        LavaMissingError, LavaTimeoutError, LavaDiedError: the interpreter as a whole failed; no job is left to do.
        LavaError: the jobs could not be written to disk.
    """
    if not stall_timeout > 0:
        raise DataError(f"stall_timeout is {stall_timeout}; expected seconds above 0")
    for job in jobs:
        job.check()
    interpreter = Path(python) if python is not None else find_lava_python()
    try:
        folder = tempfile.TemporaryDirectory(prefix="esvae-", dir=scratch_place(), ignore_cleanup_errors=True)
    except OSError as error:
        raise LavaError(f"cannot make a temporary folder: {error.strerror}; free space or set TMPDIR") from error
    with folder as name:
        scratch = Path(name)
        with Worker(interpreter, scratch, stall_timeout) as worker:  # first: its guard clears up if this is killed
            try:
                _write(jobs, scratch)
            except OSError as error:
                raise LavaError(f"cannot write to {scratch}: {error.strerror}; free space or set TMPDIR") from error
            yield from _Run(jobs, worker, progress or (lambda _: None)).answers()
            worker.wait_for_its_jobs()  # which still shut down, by sockets in the folder
            folder.cleanup()  # for which the worker waits: until then its guard would do it, were this process killed
            worker.let_go()


def _write(jobs: Sequence[LavaJob], scratch: Path) -> None:
    """Writes what the worker reads, the list of jobs last."""
    work = []
    for number, job in enumerate(jobs):
        folder = _folder(scratch, number)
        folder.mkdir()
        work.append(job.write(folder))
    listed = scratch / f"{JOBS}.part"
    listed.write_text(encode_message(work), encoding="utf-8")
    listed.replace(scratch / JOBS)


def _folder(scratch: Path, number: int) -> Path:
    return scratch / str(number)


class _Run:
    """Follows a worker through its jobs."""

    def __init__(self, jobs: Sequence[LavaJob], worker: Worker, report: Callable[[LavaProgress], None]) -> None:
        self.jobs = jobs
        self.worker = worker
        self.report = report
        self.now = LavaProgress(jobs=len(jobs))
        self.versions: dict[str, str] = {}
        self.since = time.perf_counter()

    def answers(self) -> Iterator[LavaRun | EsvaeError]:
        """As :func:`run_lava_jobs`."""
        try:
            for event in self.worker.events():
                if event.job not in (WORKER, self.now.job):  # the last words of a job that was answered
                    continue
                answer = self._taken(event)
                if answer is None:
                    continue
                if event.job == WORKER:
                    raise answer if isinstance(answer, EsvaeError) else LavaError("Lava's worker did no job")
                yield answer
                shutil.rmtree(_folder(self.worker.scratch, self.now.job), ignore_errors=True)
                self.worker.stderr.forget()
                self.since = time.perf_counter()
                if self.now.job + 1 == len(self.jobs):
                    return
                self.now = LavaProgress("building", job=self.now.job + 1, jobs=len(self.jobs))
        except Silence as silence:
            raise LavaTimeoutError(
                f"Lava made no progress for {silence} while {self.now}: the run was ended; "
                f"raise the stall timeout (--stall-timeout) if it only needs longer{self.worker.stderr.tail()}"
            ) from None

    def _taken(self, event: Event) -> LavaRun | EsvaeError | None:
        """Takes an event; gives the job's answer where it is one, and passes on progress where it is that."""
        worker, job = self.worker, self.jobs[self.now.job]
        if isinstance(event, Ready):
            self.versions = event.versions
            return None
        if isinstance(event, DoneEvent):
            return self._result(event)
        if isinstance(event, Ended):
            return ended(event, self.now, worker.python, worker.stderr)
        now = replace(self.now, stage=event.stage)
        if isinstance(event, FailedEvent):
            logger.debug("inside Lava's interpreter: %s", event.traceback)
            return failed(event, job, now, worker.python, worker.scratch, worker.stderr)
        if isinstance(event, Died):
            return died(event, now, worker.stderr)
        if isinstance(event, Step):
            now = replace(now, step=event.done)
        elif isinstance(event, Image):
            now = replace(now, image=event.done)
        elif isinstance(event, Running):
            now = replace(now, processes=event.processes, images=event.images, steps=event.total)
        self.now = now
        self.report(now)
        return None

    def _result(self, event: DoneEvent) -> LavaRun | LavaError:
        """Reads what the job left in its folder."""
        try:
            left = load_arrays(_folder(self.worker.scratch, self.now.job) / RESULT, "potentials and states")
            arrays = self.jobs[self.now.job].shaped(left)
            readout = arrays.pop("readout")
        except (DataError, LookupError, ValueError) as error:
            return LavaError(f"what Lava computed was damaged on its way: {error}; run it again")
        seconds = event.seconds | {"total": round(time.perf_counter() - self.since, 4)}
        traced = self.jobs[self.now.job].trace
        return LavaRun(readout, arrays if traced else None, self.versions, seconds, event.measured)

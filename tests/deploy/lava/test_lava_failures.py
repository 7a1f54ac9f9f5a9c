"""What goes wrong in every kind of Lava run, on purpose: each has its own error, and leaves nothing behind.

Nothing here measures time: what must come at once is told from what comes by patience by its error. Waits end with the
event that they wait for; the suite's own limit ends a test that waits in vain.

Jobs that fail alone share an interpreter, one of every kind. Where the whole interpreter fails, which is one path for
all kinds, one stands for those that netx builds and one for graphs: between them they have both ways to run.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from deploy.lava.inside.cleanup import living_members, shared_segments, state_of
from deploy.lava.jobs import GraphJob, LavaJob
from deploy.lava.results import LavaProgress, LavaRun
from deploy.lava.run import run_lava, run_lava_jobs
from deploy.lava.session import Worker
from esvae.errors import (
    LavaDiedError,
    LavaError,
    LavaMissingError,
    LavaTimeoutError,
    NetFileError,
)
from lava_kinds import KINDS, NETX, Kind, break_model, patched_python

pytestmark = pytest.mark.lava

LONG = 200_000  # time steps: minutes, if nothing ended it
SHORT = 5
ROOT = Path(__file__).parents[3]
#: Of an autoencoder the decoder's, which a word before it says.
NEURON = r"(decoder )?layer 1 \(dense\) neuron \((LIFReset|SigmaDelta)\)"

every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
TWO = ("samples", "graph_with_sampler")
two_kinds = pytest.mark.parametrize("kind", [KINDS[name] for name in TWO], ids=TWO)
Act = Callable[[LavaProgress], None]


class Watched:
    """Follows runs: the sessions, and the shared memory that they had; acts once the first steps of a job are done.

    Attributes:
        acts: what to do, by the job's number.
    """

    def __init__(self) -> None:
        self.workers: list[Worker] = []
        self.sessions: set[int] = set()
        self.segments: set[str] = set()
        self.acts: dict[int, Act] = {}
        self._seen: set[tuple[int, bool]] = set()

    def __call__(self, now: LavaProgress) -> None:
        runs = now.stage == "running" and now.step >= 2
        if now.processes and (now.job, runs) not in self._seen:
            self._seen.add((now.job, runs))
            for pid in now.processes.values():
                with contextlib.suppress(ProcessLookupError):
                    self.sessions.add(os.getsid(pid))
            self.segments |= shared_segments(now.processes.values())
        if runs and now.job in self.acts:
            self.acts.pop(now.job)(now)

    def left(self) -> tuple[list[int], list[str]]:
        """Processes and segments that are still there."""
        pids = [pid for session in self.sessions for pid in living_members(session)]
        return pids, [name for name in self.segments if Path("/dev/shm", name).exists()]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch, temporary: Path) -> Iterator[Watched]:
    """Afterwards no process, no shared memory and no temporary file of the run is left."""
    watched = Watched()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    enter = Worker.__enter__

    def noting(worker: Worker) -> Worker:
        entered = enter(worker)
        watched.workers.append(entered)
        watched.sessions.add(entered.pid)
        return entered

    monkeypatch.setattr(Worker, "__enter__", noting)
    yield watched
    assert watched.left() == ([], [])
    assert list(temporary.iterdir()) == []


def process_of(name: str) -> Callable[[LavaProgress], int]:
    return lambda now: next(pid for each, pid in now.processes.items() if each.startswith(name))


def neuron(now: LavaProgress) -> int:
    return next(pid for name, pid in now.processes.items() if re.fullmatch(NEURON, name))


def own_process(now: LavaProgress) -> int:
    """The process that runs the job, and started Lava's."""
    stat = state_of(neuron(now))
    assert stat is not None
    return stat[1]


def leader(now: LavaProgress) -> int:
    return os.getsid(neuron(now))


def signalled(pick: Callable[[LavaProgress], int], number: int) -> Act:
    return lambda now: os.kill(pick(now), number)


def jobs_of(kinds: Iterable[Kind], folder: Path, steps: int) -> list[LavaJob]:
    """One job of each, with a folder of its own."""
    made = []
    for number, kind in enumerate(kinds):
        (folder / str(number)).mkdir()
        made.append(kind(folder / str(number), steps))
    return made


def errors_of(
    jobs: list[LavaJob], watched: Watched, acts: Sequence[Act] = (), python: Path | None = None
) -> list[LavaError]:
    """What jobs that share an interpreter fail with, each after its act."""
    watched.acts = dict(enumerate(acts))
    found = []
    for answer in run_lava_jobs(jobs, progress=watched, python=python):
        assert isinstance(answer, LavaError), answer
        found.append(answer)
    assert len(found) == len(jobs)
    return found


def test_killed_lava_process(tmp_path: Path, watched: Watched) -> None:
    jobs = jobs_of(KINDS.values(), tmp_path, LONG)
    told = rf"Lava's process for {NEURON}, pid \d+, was killed by SIGKILL while running \(time step \d+ of 20"
    acts = [signalled(neuron, signal.SIGKILL)] * len(jobs)
    for name, error in zip(KINDS, errors_of(jobs, watched, acts), strict=True):
        assert isinstance(error, LavaDiedError), name
        assert re.match(told, str(error)), name
    assert watched.segments, "Lava passes messages through shared memory"


def test_other_process_is_killed(tmp_path: Path, watched: Watched) -> None:
    encoding = ("current source", "encoder layer 0 (input) neuron", "encoder layer 1 (conv) synapse", "spike counter")
    decoding = ("sampler", "decoder layer 1 (dense) synapse", "readout")
    others = {"graph": ("spike source",), "graph_of_images": ("layer 0 (input) neuron",)}
    cases = [(kind, name) for kind, names in (others | {"autoencoder": encoding + decoding}).items() for name in names]
    jobs = jobs_of([KINDS[kind] for kind, _ in cases], tmp_path, LONG)
    acts = [signalled(process_of(name), signal.SIGKILL) for _, name in cases]
    for (_, name), error in zip(cases, errors_of(jobs, watched, acts), strict=True):
        assert isinstance(error, LavaDiedError), name
        assert re.match(rf"Lava's process for {re.escape(name)} \(\w+\), pid \d+, was killed by SIGKILL", str(error))


def test_killed_runtime_service(tmp_path: Path, watched: Watched) -> None:
    watched.acts[0] = signalled(process_of("runtime service"), signal.SIGTERM)
    with pytest.raises(LavaDiedError, match=r"Lava's process for runtime service .* was killed by SIGTERM"):
        run_lava(KINDS["windows"](tmp_path, LONG), progress=watched)


def test_killed_process_of_a_job(tmp_path: Path, watched: Watched) -> None:
    jobs = jobs_of(KINDS.values(), tmp_path, LONG)
    acts = [signalled(own_process, signal.SIGKILL)] * len(jobs)
    for name, error in zip(KINDS, errors_of(jobs, watched, acts), strict=True):
        assert isinstance(error, LavaDiedError), name
        assert re.match(r"Lava's worker, pid \d+, ended by SIGKILL while running", str(error)), name


@pytest.mark.parametrize("pick", [own_process, leader])
@two_kinds
def test_killed_worker(kind: Kind, tmp_path: Path, watched: Watched, pick: Callable[[LavaProgress], int]) -> None:
    watched.acts[0] = signalled(pick, signal.SIGKILL)
    with pytest.raises(LavaDiedError, match=r"Lava's worker, pid \d+, ended by SIGKILL while running"):
        run_lava(kind(tmp_path, LONG), progress=watched)


@pytest.mark.parametrize("pick", [neuron, own_process])
@two_kinds
def test_stall(kind: Kind, tmp_path: Path, watched: Watched, pick: Callable[[LavaProgress], int]) -> None:
    """Patience is cut short once there can be no progress, so that a slow start is not taken for a stall."""

    def stop(now: LavaProgress) -> None:
        os.kill(pick(now), signal.SIGSTOP)
        watched.workers[-1].patience = 2

    watched.acts[0] = stop
    with pytest.raises(LavaTimeoutError, match=r"no progress for 2 s while running \(time step \d+ of 20"):
        run_lava(kind(tmp_path, LONG), progress=watched)


def test_exception_in_a_model(tmp_path: Path, watched: Watched) -> None:
    jobs = jobs_of(KINDS.values(), tmp_path, LONG)
    for job in jobs:
        break_model(job)
    told = rf"Lava's process for {NEURON}, pid \d+, raised ValueError: .* broadcast .* while (running|compiling)"
    for name, error in zip(KINDS, errors_of(jobs, watched), strict=True):
        assert isinstance(error, LavaDiedError), name
        assert re.match(told, str(error)), name


@two_kinds
def test_interrupt(kind: Kind, tmp_path: Path, watched: Watched) -> None:
    def interrupt(now: LavaProgress) -> None:
        raise KeyboardInterrupt

    watched.acts[0] = interrupt
    with pytest.raises(KeyboardInterrupt):
        run_lava(kind(tmp_path, LONG), progress=watched)


HANGING = """
import time
import lava.magma.runtime.runtime as runtime
runtime.Runtime.stop = lambda self: time.sleep(600)
"""
FULL = """
import errno, numpy
def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")
numpy.savez = full
"""


def test_hang_of_shutdown_does_not_keep_the_result(tmp_path: Path, watched: Watched) -> None:
    """Nor the job behind it."""
    jobs = jobs_of([KINDS[name] for name in TWO], tmp_path, SHORT)
    for answer in run_lava_jobs(jobs, progress=watched, python=patched_python(tmp_path, HANGING)):
        assert isinstance(answer, LavaRun), answer
        assert answer.readout.shape == (1, 3)


def test_disk_is_full_when_the_result_is_written(tmp_path: Path, watched: Watched) -> None:
    jobs = jobs_of(KINDS.values(), tmp_path, SHORT)
    told = r".*ran out of space while collecting .*No space left on device; free"
    for name, error in zip(KINDS, errors_of(jobs, watched, python=patched_python(tmp_path, FULL)), strict=True):
        assert re.match(told, str(error)), name


@every_kind
def test_disk_is_full_before_lava_starts(
    kind: Kind, tmp_path: Path, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    job = kind(tmp_path, SHORT)
    with monkeypatch.context() as patched:
        patched.setattr(np, "save", full)
        patched.setattr(Path, "write_text", full)  # of the list of jobs: where nothing enters there is no array
        with pytest.raises(LavaError, match=r"cannot write to .*: No space left on device; free space or set TMPDIR"):
            run_lava(job, progress=watched)


@every_kind
def test_no_temporary_folder(kind: Kind, tmp_path: Path, watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(tempfile, "tempdir", "/none")
        with pytest.raises(LavaError, match=r"cannot make a temporary folder: No such file .* set TMPDIR"):
            run_lava(kind(tmp_path, SHORT), progress=watched)


@every_kind
def test_wrong_interpreter(kind: Kind, tmp_path: Path, watched: Watched) -> None:
    with pytest.raises(LavaMissingError, match=r"cannot run .*none: No such file or directory; run: esvae lava"):
        run_lava(kind(tmp_path, SHORT), python=tmp_path / "none")


@pytest.mark.parametrize("name", [name for name in KINDS if name not in NETX])
def test_graph_that_lava_cannot_build(name: str, tmp_path: Path, watched: Watched) -> None:
    job = KINDS[name](tmp_path, SHORT)
    assert isinstance(job, GraphJob)
    pointers = f"{job.graph.last}.indptr.npy"
    job.graph.arrays[pointers] = job.graph.arrays[pointers][:-1]
    with pytest.raises(NetFileError, match="the network: Lava cannot build it: ValueError: index pointer size"):
        run_lava(job)


def test_jobs_that_share_an_interpreter_fail_alone(tmp_path: Path, watched: Watched) -> None:
    """One that raises, one that is killed, one whose own process is killed: the others run, of whatever kind."""
    sound = jobs_of(KINDS.values(), tmp_path, SHORT)
    (tmp_path / "failing").mkdir()
    broken, *killed = jobs_of([KINDS[name] for name in ("samples", "windows", "graph")], tmp_path / "failing", LONG)
    break_model(broken)
    watched.acts = {2: signalled(neuron, signal.SIGKILL), 3: signalled(own_process, signal.SIGKILL)}
    first, *others = sound
    answers = list(run_lava_jobs([first, broken, *killed, *others], progress=watched))
    told = ["raised ValueError", "was killed by SIGKILL", "ended by SIGKILL"]
    for answer, part in zip(answers[1:4], told, strict=True):
        assert isinstance(answer, LavaDiedError)
        assert part in str(answer)
    for answer, alone in zip([answers[0], *answers[4:]], run_lava_jobs(sound), strict=True):
        assert isinstance(answer, LavaRun)
        assert isinstance(alone, LavaRun)
        np.testing.assert_array_equal(answer.readout, alone.readout)

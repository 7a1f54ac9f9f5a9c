"""Runs a ``.net`` file in Lava, in a process of its own, and never waits for it forever."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deploy.lava.find import FIX, find_lava_python
from deploy.lava.group import end_group
from deploy.lava.inputs import Rates
from esvae.errors import (
    DataError,
    EsvaeError,
    LavaDiedError,
    LavaError,
    LavaMissingError,
    LavaTimeoutError,
    NetFileError,
    UnsupportedLayerError,
)

__all__ = ["LavaProgress", "LavaRun", "carry_out", "run_lava"]

WORKER = Path(__file__).with_name("worker.py")
POLL_SECONDS = 0.5  # between looks at the clock while nothing arrives
EXIT_GRACE = 1.0  # seconds for a worker that has closed its pipe to be gone
STOP_GRACE = 3.0  # seconds for Lava's own shutdown once the result is here
TAIL_LINES = 3  # of the worker's stderr, in error messages
# Lava's models are many small processes: threads within each would only get in each other's way
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
SOCKET_PATH = 107  # characters that Linux takes for the path of a socket
SOCKET_NAME = len("/pymp-xxxxxxxx/listener-xxxxxxxx")  # what multiprocessing puts below the temporary folder
FOREIGN = ("PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__")  # of the running interpreter, not of Lava's


@dataclass(frozen=True)
class LavaProgress:
    """How far a run has come; given to ``progress`` whenever it has come further.

    Attributes:
        stage: ``starting``, ``importing``, ``building``, ``compiling``, ``running``, ``collecting`` or ``stopping``.
        step, steps: time steps done and to do, of all images together; 0 before ``running``.
        image, images: images done and to do; 0 before ``running``.
        processes: process ids of Lava's processes by name; empty before ``running``.
    """

    stage: str = "starting"
    step: int = 0
    steps: int = 0
    image: int = 0
    images: int = 0
    processes: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        where = f" (time step {self.step} of {self.steps}, image {self.image} of {self.images} done)"
        return self.stage + (where if self.steps else "")


@dataclass(frozen=True)
class LavaRun:
    """What Lava computed.

    Attributes:
        readout: membrane potential v of the last layer at the end of each image's window, int32, shape
            ``(images, C, H, W)`` or ``(images, features)``.
        trace: ``None`` unless asked for; else by name ``layer{k}.u``, ``.v`` (int32) and ``.s`` (uint8), k counting the
            layers with neurons from 0; shape ``(images, steps, C, H, W)`` or ``(images, steps, features)``, aligned by
            sample.
        versions: of ``lava-nc``, ``lava-dl``, ``python`` and ``numpy``.
        seconds: wall time by stage.
        measured: what a board's own probes measured, by name with unit; empty on a CPU.
    """

    readout: NDArray[np.int32]
    trace: dict[str, NDArray[Any]] | None
    versions: dict[str, str]
    seconds: dict[str, float]
    measured: dict[str, float] = field(default_factory=dict)


def run_lava(
    net_file: str | os.PathLike[str],
    entering: NDArray[Any] | Rates,
    *,
    trace: bool = False,
    sparse: bool = False,
    stall_timeout: float = 60.0,
    progress: Callable[[LavaProgress], None] | None = None,
    python: str | os.PathLike[str] | None = None,
) -> LavaRun:
    """Runs latent spikes through a ``.net`` file in stock netx on Lava's bit-accurate CPU models.

    All images run back to back in one Lava run, each layer reset at the start of each image's window. Whatever
    happens, no process and no shared memory of the run is left when this function returns or raises.

    Args:
        net_file: the ``.net`` file.
        entering: spikes, 0/1 in a boolean or integer dtype, shape ``(images, steps, features)`` or
            ``(images, steps, C, H, W)``; or the rates at which a sampler in the graph fires, whose spikes are then
            traced as ``latent.s`` and whose images are read by a process in the graph.
        trace: record u, v and s of every layer at every step, too.
        sparse: have netx load dense layers as sparse ones (``sparse_fc_layer``).
        stall_timeout: seconds without any progress after which the run is given up. Files with many weights get more
            for being loaded and compiled, in proportion to the number of weights.
        progress: called with a :class:`LavaProgress` whenever the run has come further.
        python: the interpreter to run Lava with; :func:`~deploy.lava.find.find_lava_python` finds it otherwise.

    Raises:
        DataError: the latents are not 0/1 spikes of such a shape, or do not fit the network's input.
        NetFileError: the file is missing, corrupt, or netx cannot build it.
        UnsupportedLayerError: netx or this runner does not support a layer or neuron of the file.
        LavaMissingError: there is no interpreter with Lava, or the one given does not work.
        LavaTimeoutError: no progress for ``stall_timeout`` seconds.
        LavaDiedError: one of Lava's processes was killed or raised.
        LavaError: anything else that Lava raised.
    """
    spikes = None if isinstance(entering, Rates) else _checked(entering)
    _check_patience(stall_timeout)
    net = Path(net_file).absolute()
    if not net.is_file():
        raise NetFileError(f"{net_file}: no such file")

    def fill(scratch: Path) -> dict[str, Any]:
        job = {"loader": "stock", "net": str(net), "sparse": bool(sparse), "sampler": None, "readout": False}
        if isinstance(entering, Rates):
            neurons = entering.states.shape[1:]
            return job | {
                "sampler": entering.write(scratch),
                "readout": True,
                "images": entering.images,
                "steps": entering.steps,
                "sample": neurons,
            }
        assert spikes is not None
        np.save(scratch / "latents.npy", spikes)
        images, steps, *sample = spikes.shape
        return job | {"latents": str(scratch / "latents.npy"), "images": images, "steps": steps, "sample": sample}

    return carry_out(fill, net, trace=trace, stall_timeout=stall_timeout, progress=progress, python=python)


def carry_out(
    fill: Callable[[Path], dict[str, Any]],
    about: str | os.PathLike[str],
    *,
    trace: bool = False,
    target: str = "cpu",
    stall_timeout: float = 60.0,
    progress: Callable[[LavaProgress], None] | None = None,
    python: str | os.PathLike[str] | None = None,
) -> LavaRun:
    """Carries out one job of the worker; arguments and errors as for :func:`run_lava`.

    Args:
        fill: writes what the job needs into the folder that it is given, and returns the job's entries.
        about: what is run, for error messages.
        target: ``cpu``, or ``loihi2`` for a board.
    """
    _check_patience(stall_timeout)
    interpreter = Path(python) if python is not None else find_lava_python()
    with tempfile.TemporaryDirectory(prefix="esvae-", ignore_cleanup_errors=True) as folder:
        scratch = Path(folder)
        try:
            job = fill(scratch)
            job |= {"trace": bool(trace), "target": target, "result": str(scratch / "result.npz"), "scratch": folder}
            (scratch / "job.json").write_text(json.dumps(job), encoding="utf-8")
        except OSError as error:
            raise LavaError(f"cannot write to {folder}: {error.strerror}; free space or set TMPDIR") from error
        run = _Run(interpreter, Path(about), scratch, stall_timeout, progress or (lambda _: None))
        run.carry_out()
        with np.load(scratch / "result.npz") as result:
            readout = result["readout"]
            traces = {name: result[name] for name in result.files if name != "readout"} if trace else None
    return LavaRun(readout, traces, run.versions, run.seconds, run.measured)


def _check_patience(stall_timeout: float) -> None:
    if not stall_timeout > 0:
        raise DataError(f"stall_timeout is {stall_timeout}; expected seconds above 0")


def _checked(latents: NDArray[Any]) -> NDArray[np.uint8]:
    array = np.asarray(latents)
    if array.ndim not in (3, 5):
        raise DataError(
            f"latents have shape {array.shape}; expected (images, steps, features) or (images, steps, C, H, W)"
        )
    if array.dtype.kind not in "bui":
        raise DataError(f"latents have dtype {array.dtype}; expected bool or an integer dtype: use .astype('uint8')")
    if 0 in array.shape:
        raise DataError(f"latents have shape {array.shape}; expected at least one image, one step and one feature")
    if array.min() < 0 or array.max() > 1:
        raise DataError(f"latents range from {array.min()} to {array.max()}; expected spikes, 0 or 1")
    return array.astype(np.uint8)


class _Run:
    """One worker, from its start until it and all that it started are gone."""

    def __init__(
        self, python: Path, net: Path, scratch: Path, stall_timeout: float, progress: Callable[[LavaProgress], None]
    ) -> None:
        self.python = python
        self.net = net
        self.scratch = scratch
        self.stall_timeout = stall_timeout
        self.report = progress
        self.now = LavaProgress()
        self.versions: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.measured: dict[str, float] = {}

    def carry_out(self) -> None:
        """Starts the worker and follows it to its result; raises what :func:`run_lava` raises."""
        receive, send = os.pipe()
        worker: subprocess.Popen[bytes] | None = None
        started = time.perf_counter()
        try:
            try:
                worker = self._start(send)
            finally:
                os.close(send)
            for event in self._events(worker, receive):
                if event["event"] == "done":
                    self.seconds.update(event["seconds"])
                    self.measured.update(event["measured"])
                    break
                self._take(event)
            else:
                raise self._ended(worker)
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(min(STOP_GRACE, self.stall_timeout))
        finally:
            os.close(receive)
            if worker is not None:
                end_group(worker.pid)
                worker.wait()
                if worker.stdin is not None:
                    worker.stdin.close()
        self.seconds["total"] = round(time.perf_counter() - started, 4)

    def _start(self, send: int) -> subprocess.Popen[bytes]:
        foreign = FOREIGN if self.python != Path(sys.executable) else ()
        environment = {name: value for name, value in os.environ.items() if name not in (*foreign, "PYTHONWARNINGS")}
        for name in THREADS:
            environment.setdefault(name, "1")
        if len(str(self.scratch)) + SOCKET_NAME <= SOCKET_PATH:
            environment["TMPDIR"] = str(self.scratch)  # multiprocessing leaves a folder behind when it is killed
        try:
            with (self.scratch / "stdout").open("wb") as out, (self.scratch / "stderr").open("wb") as err:
                return subprocess.Popen(
                    [str(self.python), str(WORKER), str(self.scratch / "job.json"), str(send)],
                    stdin=subprocess.PIPE,
                    stdout=out,
                    stderr=err,
                    cwd=self.scratch,
                    env=environment,
                    pass_fds=(send,),
                    start_new_session=True,
                )
        except OSError as error:
            raise LavaMissingError(f"cannot run {self.python}: {error.strerror}; {FIX}") from error

    def _events(self, worker: subprocess.Popen[bytes], receive: int) -> Iterator[dict[str, Any]]:
        """The worker's events until it ends; raises :class:`LavaTimeoutError` when they stop coming."""
        buffer = b""
        poll = select.poll()  # not select(): that one cannot take descriptors from 1024 up
        poll.register(receive, select.POLLIN)
        since, patience = time.monotonic(), self.stall_timeout
        while True:
            left = since + patience - time.monotonic()
            if left <= 0:
                raise LavaTimeoutError(
                    f"Lava made no progress for {patience:g} s while {self.now}: the run was ended;"
                    f" raise stall_timeout if it only needs longer{self._tail()}"
                )
            if not poll.poll(1000 * min(left, POLL_SECONDS)):
                if _has_ended(worker):
                    return
                continue
            block = os.read(receive, 1 << 16)
            if not block:
                return
            *lines, buffer = (buffer + block).split(b"\n")
            for line in lines:
                event = json.loads(line)
                yield event
                since, patience = time.monotonic(), self.stall_timeout + event.get("allow", 0.0)

    def _take(self, event: dict[str, Any]) -> None:
        """Keeps what an event says and passes it on; raises where it is the end."""
        if event["event"] == "error":
            raise self._error(event)
        if event["event"] == "died":
            raise self._died(event)
        now = replace(self.now, stage=event["stage"], step=event.get("done", self.now.step))
        if event["event"] == "image":
            now = replace(now, image=event["image"])
        if "versions" in event:
            self.versions = event["versions"]
        if "processes" in event:
            now = replace(now, processes=event["processes"], images=event["images"], steps=event["total"])
        self.now = now
        self.report(now)

    def _error(self, event: dict[str, Any]) -> EsvaeError:
        """An exception in the worker itself, as this project's error for it."""
        stage, kind = event["stage"], event["type"]
        said = " ".join(str(event["message"]).split()) or "no message"
        if kind == "LatentsError":
            return DataError(f"{said}; the file is {self.net}")
        if kind == "NetError":
            return NetFileError(f"{self.net}: not a readable .net file: {said}; export it again")
        if kind == "BoardError":
            return LavaMissingError(said)
        if kind == "OSError" and event.get("errno") == errno.ENOSPC:
            return LavaError(f"Lava ran out of space while {self.now}: {said}; free space in {self.scratch.parent}")
        if kind in ("UnsupportedError", "NotImplementedError"):
            return UnsupportedLayerError(f"{self.net}: netx cannot run it: {said}")
        if stage == "importing":
            return LavaMissingError(f"{self.python} cannot import Lava: {kind}: {said}; {FIX}")
        if stage == "building" and kind != "MemoryError":
            builder = "netx" if self.net.suffix else "Lava"
            return NetFileError(f"{self.net}: {builder} cannot build it: {kind}: {said}")
        return LavaError(f"Lava failed while {self.now}: {kind}: {said}{self._tail()}")

    def _died(self, event: dict[str, Any]) -> LavaDiedError:
        """One of Lava's own processes ended before the run was complete."""
        if event["how"] == "signal":
            how = f"was killed by {_signal_name(event['number'])}"
        elif event["exception"]:
            how = f"raised {event['exception']}"
        else:
            how = f"left with exit status {event['number']}"
        now = replace(self.now, stage=event["stage"])
        return LavaDiedError(f"Lava's process for {event['name']}, pid {event['pid']}, {how} while {now}{self._tail()}")

    def _ended(self, worker: subprocess.Popen[bytes]) -> LavaError:
        """The worker itself ended without a result."""
        deadline = time.monotonic() + EXIT_GRACE
        while not (ended := _has_ended(worker)) and time.monotonic() < deadline:
            time.sleep(0.01)
        if not ended:
            return LavaDiedError(f"Lava's worker, pid {worker.pid}, fell silent while {self.now}{self._tail()}")
        code, status = ended
        how = f"with exit status {status}" if code == os.CLD_EXITED else f"by {_signal_name(status)}"
        if self.now.stage == "starting" and code == os.CLD_EXITED:
            return LavaMissingError(f"{self.python} cannot run Lava's worker, it ended {how}{self._tail()}; {FIX}")
        return LavaDiedError(f"Lava's worker, pid {worker.pid}, ended {how} while {self.now}{self._tail()}")

    def _tail(self) -> str:
        """The last lines of the worker's stderr, as the end of a one-line message."""
        try:
            with (self.scratch / "stderr").open("rb") as handle:
                handle.seek(max(0, handle.seek(0, os.SEEK_END) - 4096))
                text = handle.read().decode("utf-8", "replace")
        except OSError:
            return ""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return f" (stderr ends: {' | '.join(lines[-TAIL_LINES:])})" if lines else ""


def _has_ended(worker: subprocess.Popen[bytes]) -> tuple[int, int] | None:
    """How the worker ended (``CLD_*`` code, status), without reaping it: its id must go on naming its session."""
    if not hasattr(os, "waitid"):  # macOS
        status = worker.poll()
        return None if status is None else (os.CLD_KILLED, -status) if status < 0 else (os.CLD_EXITED, status)
    try:
        end = os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return os.CLD_EXITED, 0
    return None if end is None else (end.si_code, end.si_status)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

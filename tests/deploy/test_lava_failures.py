"""What goes wrong in Lava, on purpose: each has its own error, soon, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from deploy.lava import LavaProgress, find_lava_python, run_lava, runner
from deploy.lava.group import living_members, shared_segments
from esvae.errors import (
    EsvaeError,
    LavaDiedError,
    LavaMissingError,
    LavaTimeoutError,
    NetFileError,
    UnsupportedLayerError,
)

try:
    PYTHON: Path | None = find_lava_python()
    MISSING = ""
except LavaMissingError as error:
    PYTHON, MISSING = None, str(error)
pytestmark = [pytest.mark.lava, pytest.mark.skipif(PYTHON is None, reason=MISSING)]

SOON = 15.0  # seconds: many times what each error takes, for a machine that is busy
LONG = np.ones((1, 200_000, 4), np.uint8)  # minutes, if nothing ended it
ROOT = Path(__file__).parents[2]


def write_dense(path: Path, **changes: Any) -> Path:
    """A ``.net`` file of one dense layer of 3 neurons; ``changes`` replace its data sets."""
    values = {"shape": 3, "weight": np.arange(-12, 12, 2).reshape(3, 4), "bias": np.zeros(3, int)}
    values |= {"neuron/iDecay": 4096, "neuron/vDecay": 819, "neuron/vThMant": 131071, "neuron/gradedSpike": 0}
    types = {"type": changes.pop("type", b"dense"), "neuron/type": b"CUBA"}
    with h5py.File(path, "w") as file:
        file.create_dataset("layer/0/type", (1,), "S10", [b"input"])
        file.create_dataset("layer/0/shape", data=[4])
        for name, value in types.items():
            file.create_dataset(f"layer/1/{name}", (1,), "S10", [value])
        for name, value in (values | changes).items():
            file.create_dataset(f"layer/1/{name}", data=value)
    return path


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return write_dense(tmp_path / "dense.net")


class Watched:
    """The sessions that were started and the shared memory that they had; does ``act`` once ``stage`` is reached."""

    def __init__(self) -> None:
        self.sessions: set[int] = set()
        self.segments: set[str] = set()
        self.stage = "running"
        self.act: Callable[[LavaProgress], None] | None = None

    def __call__(self, now: LavaProgress) -> None:
        for pid in now.processes.values():
            with contextlib.suppress(ProcessLookupError):
                self.sessions.add(os.getsid(pid))
        self.segments |= shared_segments(now.processes.values())
        if now.stage == self.stage and (now.stage != "running" or now.step >= 2) and self.act is not None:
            act, self.act = self.act, None
            act(now)

    def left(self) -> tuple[list[int], list[str]]:
        """Processes and segments that are still there."""
        pids = [pid for session in self.sessions for pid in living_members(session)]
        return pids, [name for name in self.segments if Path("/dev/shm", name).exists()]


@pytest.fixture
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of its own for temporary files, with a path short enough for sockets."""
    return tmp_path_factory.mktemp("t")


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch, temporary: Path) -> Iterator[Watched]:
    """Afterwards: no process, no shared memory, no temporary file of the run is left, and it did not take long."""
    watched = Watched()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    end_group = runner.end_group

    def noting(session: int) -> list[int]:
        watched.sessions.add(session)
        return end_group(session)

    monkeypatch.setattr(runner, "end_group", noting)
    since = time.monotonic()
    yield watched
    assert time.monotonic() - since < SOON
    assert watched.sessions
    assert watched.left() == ([], [])
    assert list(temporary.iterdir()) == []


def killer(pick: Callable[[LavaProgress], int], number: int) -> Callable[[LavaProgress], None]:
    return lambda now: os.kill(pick(now), number)


def of_layer(now: LavaProgress) -> int:
    return now.processes["layer 0 neuron (LIFReset)"]


def worker(now: LavaProgress) -> int:
    return os.getsid(of_layer(now))


def test_killed_lava_process(net: Path, watched: Watched) -> None:
    watched.act = killer(of_layer, signal.SIGKILL)
    told = r"layer 0 neuron \(LIFReset\), pid \d+, was killed by SIGKILL while running \(time step \d+ of 200001"
    with pytest.raises(LavaDiedError, match=told):
        run_lava(net, LONG, progress=watched, python=PYTHON)
    assert watched.segments, "Lava passes messages through shared memory"


def test_killed_runtime_service(net: Path, watched: Watched) -> None:
    watched.act = killer(
        lambda now: next(pid for name, pid in now.processes.items() if name.startswith("runtime service")),
        signal.SIGTERM,
    )
    with pytest.raises(LavaDiedError, match=r"Lava's process for runtime service .* was killed by SIGTERM"):
        run_lava(net, LONG, progress=watched, python=PYTHON)


@pytest.mark.parametrize("trace", [False, True])
def test_killed_worker(net: Path, watched: Watched, trace: bool) -> None:
    watched.act = killer(worker, signal.SIGKILL)
    with pytest.raises(LavaDiedError, match=r"Lava's worker, pid \d+, ended by SIGKILL while running"):
        run_lava(net, LONG, progress=watched, python=PYTHON, trace=trace)


@pytest.mark.parametrize("pick", [of_layer, worker])
def test_stall(net: Path, watched: Watched, pick: Callable[[LavaProgress], int]) -> None:
    watched.act = killer(pick, signal.SIGSTOP)
    with pytest.raises(LavaTimeoutError, match=r"no progress for 3 s while running \(time step \d+ of 200001"):
        run_lava(net, LONG, progress=watched, python=PYTHON, stall_timeout=3)


HANGING = """
import runpy, sys, time
import lava.magma.runtime.runtime as runtime
runtime.Runtime.stop = lambda self: time.sleep(600)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_hang_of_shutdown_does_not_keep_the_result(net: Path, tmp_path: Path, watched: Watched) -> None:
    script = tmp_path / "hanging.py"
    script.write_text(HANGING, encoding="utf-8")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {PYTHON} {script} "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    run = run_lava(net, LONG[:, :5], progress=watched, python=python)
    assert run.readout.shape == (1, 3)


def test_exception_in_a_process_model_while_running(tmp_path: Path, watched: Watched) -> None:
    net = write_dense(tmp_path / "a.net", **{"neuron/vThMant": np.array([1, 2, 3, 4, 5])})
    told = r"layer 0 neuron \(LIFReset\), pid \d+, raised ValueError: operands could not be broadcast .* while running"
    with pytest.raises(LavaDiedError, match=told):
        run_lava(net, LONG, progress=watched, python=PYTHON)


def test_exception_in_a_process_model_while_it_is_built(tmp_path: Path, watched: Watched) -> None:
    net = write_dense(tmp_path / "a.net", bias=np.zeros(5, int))
    told = r"layer 0 neuron \(LIFReset\), pid \d+, raised ValueError: could not broadcast .* while compiling"
    with pytest.raises(LavaDiedError, match=told):
        run_lava(net, LONG, progress=watched, python=PYTHON)


def test_exception_in_progress(net: Path, watched: Watched) -> None:
    def interrupt(now: LavaProgress) -> None:
        raise KeyboardInterrupt

    watched.act = interrupt
    with pytest.raises(KeyboardInterrupt):
        run_lava(net, LONG, progress=watched, python=PYTHON)


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (
            lambda net: net.write_bytes(b"nonsense" * 99),
            NetFileError,
            "not a readable .net file: .*signature not found",
        ),
        (lambda net: net.write_bytes(net.read_bytes()[:3000]), NetFileError, "not a readable .net file: .*truncated"),
        (lambda net: h5py.File(net, "w").close(), NetFileError, "not a readable .net file: .*'layer' doesn't exist"),
        (
            lambda net: write_dense(net, weight=np.zeros((3, 4), int)),
            NetFileError,
            "netx cannot build it: OverflowError",
        ),
        (lambda net: write_dense(net, type=b"convT"), UnsupportedLayerError, "netx cannot run it: convT is not impl"),
    ],
)
def test_damaged_file(
    net: Path, watched: Watched, damage: Callable[[Path], object], error: type[EsvaeError], message: str
) -> None:
    damage(net)
    with pytest.raises(error, match=message) as caught:
        run_lava(net, LONG, progress=watched, python=PYTHON)
    assert str(net) in str(caught.value)
    assert "\n" not in str(caught.value)


PARENT = """
import sys, numpy, os
from deploy.lava import run_lava
def tell(now):
    if now.step > 1 and not tell.told:
        tell.told = True
        print(os.getsid(next(iter(now.processes.values()))), flush=True)
tell.told = False
run_lava(sys.argv[1], numpy.ones((1, 200000, 4), bool), python=sys.argv[2], progress=tell)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_parent_is_ended(net: Path, temporary: Path, number: signal.Signals) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)}
    command = [sys.executable, "-c", textwrap.dedent(PARENT), str(net), str(PYTHON)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stderr is not None
        session = int(parent.stdout.readline())
        members = living_members(session)
        segments = shared_segments(members)
        assert len(members) > 4
        assert segments
        since = time.monotonic()
        parent.send_signal(number)
        assert parent.wait(SOON) == -number
        assert number == signal.SIGKILL or parent.stderr.read().rstrip().endswith("KeyboardInterrupt")
    while living_members(session) and time.monotonic() - since < SOON:
        time.sleep(0.05)
    assert living_members(session) == []
    while list(temporary.iterdir()) and time.monotonic() - since < SOON:
        time.sleep(0.05)
    assert [name for name in segments if Path("/dev/shm", name).exists()] == []
    assert list(temporary.iterdir()) == []

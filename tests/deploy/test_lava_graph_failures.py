"""What goes wrong in a graph of our own, on purpose: each has its own error, soon, and leaves nothing behind."""

from __future__ import annotations

import errno
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from deploy.lava import LavaProgress, find_lava_python, run_lava, runner
from deploy.lava.graph import Graph, generator_graph
from deploy.lava.group import living_members
from deploy.lava.inputs import Rates
from deploy.lava.native_run import run_graph
from esvae.errors import LavaDiedError, LavaError, LavaMissingError, LavaTimeoutError, NetFileError
from export.ir import Dense, Lif, Network
from export.netx.write import write_netx
from sim.sampler import initial_states

try:
    PYTHON: Path | None = find_lava_python()
    MISSING = ""
except LavaMissingError as error:
    PYTHON, MISSING = None, str(error)
pytestmark = [pytest.mark.lava, pytest.mark.skipif(PYTHON is None, reason=MISSING)]

SOON = 15.0  # seconds: many times what each error takes, for a machine that is busy
NETWORK = Network((4,), (Dense(np.arange(-12, 12, 2).reshape(3, 4), None, Lif(4096, 819, 131071)),), time_steps=200_000)
RATES = Rates(np.full((1, 4), 100), initial_states(0, np.arange(1), 4), 200_000, 8)


@pytest.fixture(autouse=True)
def _nothing_left(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Afterwards: no process and no temporary file of the run is left, and it did not take long."""
    folder = tmp_path_factory.mktemp("t")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    sessions: list[int] = []
    end_group = runner.end_group
    monkeypatch.setattr(runner, "end_group", lambda session: (sessions.append(session), end_group(session))[1])
    since = time.monotonic()
    yield
    assert time.monotonic() - since < SOON
    assert [pid for session in sessions for pid in living_members(session)] == []
    assert list(folder.iterdir()) == []


def graph() -> Graph:
    return generator_graph(NETWORK, RATES)


def once(act: Callable[[LavaProgress], None]) -> Callable[[LavaProgress], None]:
    """Does ``act`` when the run is some steps under way."""
    done: list[bool] = []

    def progress(now: LavaProgress) -> None:
        if now.stage == "running" and now.step >= 2 and not done:
            done.append(True)
            act(now)

    return progress


def signalled(name: str, number: int) -> Callable[[LavaProgress], None]:
    def act(now: LavaProgress) -> None:
        os.kill(next(pid for each, pid in now.processes.items() if each.startswith(name)), number)

    return once(act)


@pytest.mark.parametrize("name", ["sampler", "readout", "layer 0 synapse", "layer 0 neuron"])
def test_a_process_is_killed(name: str) -> None:
    with pytest.raises(LavaDiedError, match=rf"Lava's process for {name} \(\w+\), pid \d+, was killed by SIGKILL"):
        run_graph(graph(), progress=signalled(name, signal.SIGKILL))


def test_a_process_stops() -> None:
    with pytest.raises(LavaTimeoutError, match=r"made no progress for 2 s while running \(time step \d+ of 200001"):
        run_graph(graph(), progress=signalled("sampler", signal.SIGSTOP), stall_timeout=2)


def test_the_worker_is_killed() -> None:
    def act(now: LavaProgress) -> None:
        os.kill(os.getsid(next(iter(now.processes.values()))), signal.SIGTERM)

    with pytest.raises(LavaDiedError, match=r"Lava's worker, pid \d+, ended by SIGTERM while running"):
        run_graph(graph(), progress=once(act))


def test_interrupted() -> None:
    def act(now: LavaProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_graph(graph(), progress=once(act))


def test_a_graph_that_lava_cannot_build() -> None:
    broken = graph()
    broken.arrays["layer0.indptr.npy"] = broken.arrays["layer0.indptr.npy"][:-1]
    with pytest.raises(NetFileError, match="the network: Lava cannot build it: ValueError: index pointer size"):
        run_graph(broken)


def test_a_model_that_raises() -> None:
    broken = graph()
    broken.arrays["layer0.bias.npy"] = np.zeros(5, np.int32)
    with pytest.raises(
        LavaError, match=r"layer 0 neuron \(LIFReset\), pid \d+, raised ValueError: could not broadcast"
    ):
        run_graph(broken)


def test_wrong_interpreter(tmp_path: Path) -> None:
    with pytest.raises(LavaMissingError, match=r"cannot run .*none: No such file or directory; run: esvae lava"):
        run_graph(graph(), python=tmp_path / "none")


FULL = """
import errno, runpy, sys
import numpy
def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")
numpy.savez = full
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_the_disk_is_full_when_the_result_is_written(tmp_path: Path) -> None:
    script, python = tmp_path / "full.py", tmp_path / "python"
    script.write_text(FULL, encoding="utf-8")
    python.write_text(f'#!/bin/sh\nexec {PYTHON} {script} "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    small = Network((4,), NETWORK.layers, time_steps=3)
    path = write_netx(small, tmp_path / "small.net")
    spikes = np.ones((1, 3, 4), np.uint8)
    for run in (
        lambda: run_graph(generator_graph(small, spikes), python=python),
        lambda: run_lava(path, spikes, python=python),
    ):
        with pytest.raises(LavaError, match=r"ran out of space while collecting .*No space left on device; free"):
            run()


def test_the_disk_is_full_before_lava_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(np, "save", full)
        with pytest.raises(LavaError, match=r"cannot write to .*: No space left on device; free space or set TMPDIR"):
            run_graph(graph())


@pytest.mark.slow
def test_eight_runs_in_a_row_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """benchmarks/lava_soak.py does the same for fifty."""
    import importlib.util

    file = Path(__file__).resolve().parents[2] / "benchmarks" / "lava_soak.py"
    spec = importlib.util.spec_from_file_location("lava_soak", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, "lava_soak", module)
    spec.loader.exec_module(module)
    monkeypatch.setitem(globals(), "SOON", 120.0)
    found = module.soak(8)
    assert found.clean, found

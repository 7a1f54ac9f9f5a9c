"""The ways to run an exported network, behind one function: the twin, the reference, Lava, ONNX Runtime."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from deploy.lava import LavaJob, LavaProgress, SamplesJob, WindowsJob, run_lava
from deploy.onnx_run import run_onnx
from export.ir import Dense, Network
from export.netx.rules import check_loadable
from sim import reference
from sim.stimulus import Stimulus, Timing, as_stimulus
from sim.trace import named_traces, save_traces, trace_writer
from sim.twin.engine import Engine

__all__ = ["BACKENDS", "Backend", "BackendRun", "Progress", "run_backend"]

Backend: TypeAlias = Literal["twin", "reference", "lava", "onnx"]
BACKENDS: tuple[Backend, ...] = ("twin", "reference", "lava", "onnx")

#: Called with a share of the work done, 0 to 1, and what is being done.
Progress: TypeAlias = Callable[[float, str], None]

#: Dense matrices above this many elements go into Lava as sparse ones, which holds less and runs faster.
_SPARSE_ABOVE = 1 << 18


@dataclass(frozen=True, eq=False)
class BackendRun:
    """What a backend computed.

    Attributes:
        potentials: membrane potential of the last layer after the last step, ``(images, *layer shape)``.
        traces: by name (see :func:`sim.trace.named_traces`), where asked for.
        seconds: wall-clock time, loading included.
        about: what ran it: version numbers by name.
    """

    potentials: np.ndarray
    traces: dict[str, np.ndarray] | None
    seconds: float
    about: dict[str, str]


def run_backend(
    backend: Backend,
    path: str | os.PathLike[str],
    network: Network,
    entering: np.ndarray | Stimulus,
    *,
    trace: bool = False,
    trace_file: str | os.PathLike[str] | None = None,
    layers: int | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
    stall_timeout: float = 60.0,
) -> BackendRun:
    """Runs spikes or images through a network file.

    Args:
        backend: which.
        path: the ``.net`` file, which Lava loads itself.
        network: what :func:`export.read_netx` made of the same file and number of layers.
        entering: spikes, 0 or 1, ``(images, steps, *input shape)``; or a stimulus.
        trace: also give the states of every layer after every step.
        trace_file: write them to this ``.npz`` or ``.h5`` file; the twin and ONNX Runtime do so as they go on.
        layers: how many of the file's layer groups are meant, or None for all.
        device: of the twin.
        progress: called as the work goes on.
        stall_timeout: seconds without progress after which Lava is ended.

    Raises:
        DataError: a stimulus that does not fit.
        ConfigError: a device that is not there, ONNX Runtime is missing, or resets or staggered time for it.
        LavaError: Lava is missing, died or hung.
        HardwareRangeError, UnsupportedLayerError: stock netx would not load the file as it is.
    """
    stimulus = as_stimulus(network, entering)
    report = progress or (lambda share, text: None)
    started = time.perf_counter()
    if backend == "twin":
        engine = Engine(network, device)
        with contextlib.ExitStack() as stack:
            write = None if trace_file is None else stack.enter_context(trace_writer(trace_file, len(stimulus)))
            potentials, traces = _run_twin(engine, stimulus, trace, write, report)
        return BackendRun(potentials, traces, time.perf_counter() - started, {})
    about: dict[str, str] = {}
    if backend == "onnx":
        potentials, traces = run_onnx(
            network, stimulus, trace=trace, trace_file=trace_file, progress=report, about=about
        )
        return BackendRun(potentials, traces, time.perf_counter() - started, about)
    if backend == "lava":
        check_loadable(network)
        job = _LavaOptions(Path(path), layers, stall_timeout, trace or trace_file is not None)
        potentials, traces = _run_lava(job, network, stimulus, report, about)
    else:
        states = []
        for k, layer in enumerate(reference.simulate(network, stimulus)):
            states.append(layer)
            report((k + 1) / network.depth, "reference")
        potentials, traces = states[-1].v[:, -1], named_traces(states)
    if trace_file is not None and traces is not None:
        save_traces(trace_file, traces)
    return BackendRun(potentials, traces, time.perf_counter() - started, about)


def _run_twin(
    engine: Engine,
    stimulus: Stimulus,
    trace: bool,
    write: Callable[[dict[str, np.ndarray]], None] | None,
    report: Progress,
) -> tuple[np.ndarray, dict[str, np.ndarray] | None]:
    def done(images: int) -> None:
        report(images / len(stimulus), "twin")

    if not trace and write is None:
        return engine.final_potentials(stimulus, progress=done), None
    pieces, ends = [], []
    for activities in engine.run(stimulus, trace=True, progress=done):
        traces = named_traces([layer.trace for layer in activities if layer.trace is not None])
        ends.append(activities[-1].v_end)
        if write is not None:
            write(traces)
        if trace:
            pieces.append(traces)
    kept = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]} if trace else None
    return np.concatenate(ends), kept


@dataclass(frozen=True)
class _LavaOptions:
    path: Path
    layers: int | None
    stall_timeout: float
    trace: bool


def _run_lava(
    job: _LavaOptions, network: Network, stimulus: Stimulus, report: Progress, about: dict[str, str]
) -> tuple[np.ndarray, dict[str, np.ndarray] | None]:
    sparse = any(isinstance(layer, Dense) and layer.weight.size > _SPARSE_ABOVE for layer in network.layers)
    delays = any(isinstance(layer, Dense) and layer.delay is not None for layer in network.layers)

    def at(now: LavaProgress) -> None:
        report(now.step / max(now.steps, 1), f"Lava: {now.stage}")

    whole: LavaJob
    if stimulus.spikes is not None and stimulus.timing == Timing() and job.layers is None and not delays:
        whole = WindowsJob(job.path, stimulus.spikes, job.trace, sparse)
    else:
        whole = SamplesJob(job.path, stimulus, job.layers, job.trace, sparse)
    run = run_lava(whole, stall_timeout=job.stall_timeout, progress=at)
    about.update(run.versions)
    return run.readout, run.trace

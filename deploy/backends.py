"""The three ways to run an exported network, behind one function: the twin, the reference, Lava."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from deploy.lava import LavaProgress, run_lava
from export.ir import Dense, Network
from export.netx_rules import check_loadable
from sim import reference
from sim.engine import Engine
from sim.stimulus import check_spikes
from sim.trace import named_traces

__all__ = ["BACKENDS", "Backend", "BackendRun", "Progress", "run_backend"]

Backend: TypeAlias = Literal["twin", "reference", "lava"]
BACKENDS: tuple[Backend, ...] = ("twin", "reference", "lava")

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
    spikes: np.ndarray,
    *,
    trace: bool = False,
    progress: Progress | None = None,
    stall_timeout: float = 60.0,
) -> BackendRun:
    """Runs input spikes through a network file.

    Args:
        backend: which.
        path: the ``.net`` file, which Lava loads itself.
        network: what :func:`export.read_netx` made of the same file.
        spikes: 0 or 1, ``(images, steps, *input shape)``.
        trace: also give the states of every layer after every step.
        progress: called as the work goes on.
        stall_timeout: seconds without progress after which Lava is ended.

    Raises:
        DataError: spikes that do not fit.
        LavaError: Lava is missing, died or hung.
        HardwareRangeError, UnsupportedLayerError: stock netx would not load the file as it is.
    """
    spikes = check_spikes(network, spikes)
    started = time.perf_counter()
    if backend == "lava":
        return _run_lava(Path(path), network, spikes, trace, progress, stall_timeout)
    if backend == "reference":
        layers = []
        for k, layer in enumerate(reference.simulate(network, spikes)):
            layers.append(layer)
            if progress is not None:
                progress((k + 1) / network.depth, "reference")
        return BackendRun(layers[-1].v[:, -1], named_traces(layers), time.perf_counter() - started, {})
    engine = Engine(network)
    if trace:
        layers = engine.traces(spikes)
        return BackendRun(layers[-1].v[:, -1], named_traces(layers), time.perf_counter() - started, {})

    def report(done: int) -> None:
        if progress is not None:
            progress(done / len(spikes), "twin")

    return BackendRun(engine.final_potentials(spikes, progress=report), None, time.perf_counter() - started, {})


def _run_lava(
    path: Path, network: Network, spikes: np.ndarray, trace: bool, progress: Progress | None, stall_timeout: float
) -> BackendRun:
    check_loadable(network)

    def report(at: LavaProgress) -> None:
        if progress is not None:
            progress(at.step / max(at.steps, 1), f"Lava: {at.stage}")

    started = time.perf_counter()
    sparse = any(isinstance(layer, Dense) and layer.weight.size > _SPARSE_ABOVE for layer in network.layers)
    run = run_lava(path, spikes, trace=trace, sparse=sparse, stall_timeout=stall_timeout, progress=report)
    return BackendRun(run.readout, run.trace, time.perf_counter() - started, dict(run.versions))

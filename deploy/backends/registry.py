"""The backends by name, and the one door to them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from deploy.backend_names import BACKEND_NAMES
from deploy.backends.job import Backend, BackendJob, BackendRun
from deploy.backends.lava import Lava
from deploy.backends.onnx import OnnxRuntime
from deploy.backends.reference import Reference
from deploy.backends.twin import Twin
from esvae.errors import ConfigError
from esvae.machine.progress import Progress
from sim.readout import potentials_from_spikes

__all__ = ["BACKENDS", "backend_named", "check_heeded", "check_job", "other_backends", "run_backend"]

#: A new backend is a file beside these, and an entry here and among the names.
BACKENDS: dict[str, Backend] = dict(zip(BACKEND_NAMES, (Twin(), Reference(), Lava(), OnnxRuntime()), strict=True))

#: Neurons times steps of the images whose traces are held at a time, 9 bytes each: u, v and s.
_TRACES = 1 << 26

#: The settings of one backend alone as people give them, and that backend.
_OPTIONS = {
    "device": ("--device is the twin's", "twin"),
    "lava": ("--loader, --sampler, --target and --stall-timeout are Lava's", "lava"),
}


def backend_named(name: str) -> Backend:
    """The backend of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in BACKENDS:
        raise ConfigError(f"--backend {name}: expected {', '.join(BACKENDS)}")
    return BACKENDS[name]


def other_backends(names: Iterable[str] | None = None, option: str = "--against") -> tuple[str, ...]:
    """Backends to compare with the twin: those named, or all others.

    Raises:
        ConfigError: no name, or one that is no backend other than the twin; calls them ``option``.
    """
    others = tuple(name for name in BACKENDS if name != "twin")
    if names is None:
        return others
    chosen = tuple(names)
    if not chosen or not set(chosen) <= set(others):
        raise ConfigError(f"{option} {','.join(chosen) or 'nothing'}: expected some of {', '.join(others)}")
    return chosen


def check_heeded(names: Sequence[str], changed: Iterable[str], option: str) -> None:
    """Checks that nothing was set that no backend heeds.

    Args:
        names: of the backends that run.
        changed: the settings of one backend alone that are not the default, as in :attr:`Backend.heeds`.
        option: by which backends were named, for the error.

    Raises:
        ConfigError: no such backend, or none that heeds a setting.
    """
    heeded = frozenset().union(*(backend_named(name).heeds for name in names))
    for setting in changed:
        if setting not in heeded:
            whose, backend = _OPTIONS[setting]
            raise ConfigError(f"{option} {','.join(names)}: {whose}; add {option} {backend}")


def check_job(name: str, job: BackendJob) -> None:
    """Asks a backend whether it can do a job, before any work is done.

    Raises:
        ConfigError: no such backend, or the job asks for what it cannot do; names the option.
    """
    check_heeded([name], job.beyond(frozenset()), "--backend")
    BACKENDS[name].check(job)


def run_backend(name: str, job: BackendJob) -> BackendRun:
    """Runs a job on a backend.

    Raises:
        ConfigError: as :func:`check_job`; a device that is not there; a package that is missing.
        DataError: a stimulus that does not fit the network.
        LavaError: Lava is missing, died or hung.
        HardwareRangeError, UnsupportedLayerError: Lava's loader would not load the file as it is.
    """
    check_job(name, job)
    started = time.perf_counter()
    run = BACKENDS[name].run(job) if job.network.spike_readout is None else _told_by_spikes(BACKENDS[name], job)
    return replace(run, seconds=time.perf_counter() - started)


def _told_by_spikes(backend: Backend, job: BackendJob) -> BackendRun:
    """A run whose potentials are those that the last layer's first spikes stand for.

    Unless somebody wants the traces, as many images run at a time as their traces fit the memory.
    """
    network, images = job.network, job.entering.images
    neurons = sum(math.prod(shape) for shape in network.shapes)
    size = images if job.traced else max(1, _TRACES // (neurons * job.entering.steps))
    runs, done = [], 0
    for part in job.entering.chunks(size):
        done += part.images
        share = done / images, part.images / images
        report = None if job.progress is None else partial(_part_done, job.progress, *share)
        run = backend.run(replace(job, entering=part, trace=True, progress=report))
        spikes = (run.traces or {})[f"{network.array_names[-1]}.s"]
        told, traces = potentials_from_spikes(network, spikes), run.traces if job.trace else None
        runs.append(replace(run, potentials=told, traces=traces))
    return replace(runs[-1], potentials=np.concatenate([run.potentials for run in runs]))


def _part_done(progress: Progress, end: float, whole: float, share: float, text: str) -> None:
    """Says how far the work is, ``share`` of a part of it that is ``whole`` and ends at ``end``."""
    progress(end - whole * (1 - share), text)

"""The twin: this project's fast simulator, on the CPU or a GPU."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from deploy.backends.job import BackendJob, BackendRun, kept_traces
from export.ir import Network
from sim.trace import named_traces
from sim.twin.engine import Engine

__all__ = ["Twin"]


class Twin:
    """Runs anything, in chunks that fit the memory; traces go to their file chunk by chunk."""

    heeds = frozenset({"device"})

    def missing(self) -> str | None:
        return None

    def check(self, job: BackendJob) -> None:
        """It takes every job."""

    def run(self, job: BackendJob) -> BackendRun:
        engine, stimulus = _engine(job.network, job.device), job.stimulus

        def done(images: int) -> None:
            job.report(images / len(stimulus), "twin")

        if not job.traced:
            return BackendRun(engine.final_potentials(stimulus, progress=done))
        ends = []
        with kept_traces(job) as keeper:
            for layers in engine.run(stimulus, trace=True, progress=done):
                states = [layer.trace for layer in layers if layer.trace is not None]
                keeper.add(named_traces(states, job.network))
                ends.append(layers[-1].v_end)
        return BackendRun(np.concatenate(ends), keeper.kept)


@lru_cache(maxsize=1)
def _engine(network: Network, device: str) -> Engine:
    """Kept for the next job, which may be the next part of the same network's images."""
    return Engine(network, device)

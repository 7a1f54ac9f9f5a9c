"""The reference: the definition of the arithmetic, slow and plain."""

from __future__ import annotations

from deploy.backends.job import BackendJob, BackendRun, kept_traces
from sim import reference
from sim.trace import named_traces

__all__ = ["Reference"]


class Reference:
    """Runs anything, layer by layer over all images and steps at once."""

    heeds: frozenset[str] = frozenset()

    def missing(self) -> str | None:
        return None

    def check(self, job: BackendJob) -> None:
        """It takes every job."""

    def run(self, job: BackendJob) -> BackendRun:
        states = []
        with kept_traces(job) as keeper:
            for k, layer in enumerate(reference.simulate(job.network, job.stimulus)):
                states.append(layer)
                job.report((k + 1) / job.network.depth, "reference")
            keeper.add(named_traces(states, job.network))
        return BackendRun(states[-1].v[:, -1], keeper.kept)

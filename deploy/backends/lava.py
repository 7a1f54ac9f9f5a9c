"""Lava, in a process of its own: which of its loaders builds the graph, and where the spikes are drawn."""

from __future__ import annotations

from deploy.backends.job import BackendJob, BackendRun, kept_traces
from deploy.lava import GraphJob, LavaJob, LavaProgress, SamplesJob, WindowsJob, find_lava_python, run_lava
from deploy.lava.graph import UNROLL_BELOW, generator_graph
from esvae.errors import ConfigError, LavaMissingError
from export.ir import Dense, RecurrentDense
from export.netx.rules import check_loadable, loads_sparse
from sim.stimulus import Timing

__all__ = ["Lava"]


class Lava:
    """Runs anything with stock netx; its other loader and sampler take whole windows from rest."""

    heeds = frozenset({"lava"})

    def missing(self) -> str | None:
        try:
            find_lava_python()
        except LavaMissingError as error:
            return str(error)
        return None

    def check(self, job: BackendJob) -> None:
        """Refuses what only stock netx with spikes from outside does, and a sampler without rates to draw from."""
        if job.lava.plain:
            return
        driven = job.network.input_neurons is not None
        if driven or job.layers is not None or job.entering.timing != Timing():
            raise ConfigError("--image, --layers, resets and --stagger need --loader stock --sampler host")
        if job.lava.sampler == "graph" and job.entering.sampler is None:
            raise ConfigError(
                "--sampler graph draws the latent spikes itself, over the whole window; leave out --steps and files "
                "of spikes"
            )

    def run(self, job: BackendJob) -> BackendRun:
        """Runs it.

        Raises:
            DataError: a stimulus that does not fit.
            LavaError: Lava is missing, died or hung, or there is no board.
            HardwareRangeError, UnsupportedLayerError: the loader would not load the network as it is.
        """
        if job.lava.loader == "stock":
            check_loadable(job.network)
        find_lava_python()  # so that a missing Lava is told before any work

        def report(at: LavaProgress) -> None:
            job.report(at.step / max(at.steps, 1), f"Lava: {at.stage}")

        with kept_traces(job) as keeper:
            run = run_lava(_lava_job(job), stall_timeout=job.lava.stall_timeout, progress=report)
            if run.trace is not None:
                keeper.add(run.trace)
        about = dict(run.versions) | {f"measured {name}": f"{value:g}" for name, value in run.measured.items()}
        return BackendRun(run.readout, keeper.kept, about)


def _whole(job: BackendJob) -> bool:
    """Whether whole windows of spikes run through the whole file from rest, and none is held back beyond its window."""
    late = any(
        isinstance(layer, RecurrentDense) or (isinstance(layer, Dense) and layer.delay is not None)
        for layer in job.network.layers
    )
    driven = job.network.input_neurons is not None
    return not driven and not late and job.layers is None and job.entering.timing == Timing()


def _lava_job(job: BackendJob) -> LavaJob:
    """What Lava is to run: whole windows back to back, or any stimulus, one image after the other."""
    settings = job.lava
    if settings.plain and not _whole(job):
        return SamplesJob(job.path, job.stimulus, job.layers, job.traced, loads_sparse(job.network))
    entering = job.entering.rates if settings.sampler == "graph" else job.stimulus.spikes
    if entering is None:
        raise ConfigError("Lava takes spikes here, or rates to draw them from")
    if settings.loader == "native":
        graph = generator_graph(job.network, entering, unroll_below=UNROLL_BELOW if settings.target == "cpu" else 0)
        return GraphJob(graph, job.path, job.traced, settings.target)
    return WindowsJob(job.path, entering, job.traced, loads_sparse(job.network))

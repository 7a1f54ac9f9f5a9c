"""Lava, in a process of its own: which of its loaders builds the graph, and where the spikes are drawn."""

from __future__ import annotations

from deploy.backends.job import BackendJob, BackendRun, kept_traces
from deploy.lava import LavaProgress, LavaRun, find_lava_python, run_lava
from deploy.lava.graph import UNROLL_BELOW, generator_graph
from deploy.lava.native_run import run_graph
from deploy.lava.replay import LavaJob, replay
from esvae.errors import ConfigError, LavaError, LavaMissingError
from export.ir import Dense
from export.netx.rules import check_loadable, loads_sparse
from sim.stimulus import Timing

__all__ = ["Lava"]

#: Time that Lava gets for one step of a network that it is asked to run step by step, on top of its patience.
_SECONDS_A_STEP = 0.5


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
        with kept_traces(job) as keeper:
            run = _step_by_step(job) if job.lava.plain and not _whole(job) else _run(job)
            if run.traces is not None:
                keeper.add(run.traces)
        return BackendRun(run.potentials, keeper.kept, run.about)


def _whole(job: BackendJob) -> bool:
    """Whether whole windows of spikes run through the whole file from rest, and none is held back beyond its window."""
    delays = any(isinstance(layer, Dense) and layer.delay is not None for layer in job.network.layers)
    driven = job.network.input_neurons is not None
    return not driven and not delays and job.layers is None and job.entering.timing == Timing()


def _run(job: BackendJob) -> BackendRun:
    """All images back to back in one run of Lava."""

    def report(at: LavaProgress) -> None:
        job.report(at.step / max(at.steps, 1), f"Lava: {at.stage}")

    settings = job.lava
    entering = job.entering.rates if settings.sampler == "graph" else job.stimulus.spikes
    if entering is None:
        raise ConfigError("Lava takes spikes here, or rates to draw them from")
    run: LavaRun
    if settings.loader == "native":
        run = run_graph(
            generator_graph(job.network, entering, unroll_below=UNROLL_BELOW if settings.target == "cpu" else 0),
            about=job.path,
            trace=job.traced,
            target=settings.target,
            stall_timeout=settings.stall_timeout,
            progress=report,
        )
    else:
        run = run_lava(
            job.path,
            entering,
            trace=job.traced,
            sparse=loads_sparse(job.network),
            stall_timeout=settings.stall_timeout,
            progress=report,
        )
    about = dict(run.versions) | {f"measured {name}": f"{value:g}" for name, value in run.measured.items()}
    return BackendRun(run.readout, run.trace, about)


def _step_by_step(job: BackendJob) -> BackendRun:
    """Any stimulus, one image after the other, each state read after each step."""
    job.report(0.0, "Lava")
    stimulus, about = job.stimulus, dict[str, str]()
    timeout = job.lava.stall_timeout + _SECONDS_A_STEP * len(stimulus) * stimulus.steps
    lava = LavaJob(job.path, stimulus, job.layers, loads_sparse(job.network))
    for traces in replay([lava], stall_timeout=timeout, about=about):
        if isinstance(traces, LavaError):
            raise traces
        return BackendRun(traces[f"layer{job.network.depth - 1}.v"][:, -1], traces, about)
    raise LavaError("Lava gave no answer")

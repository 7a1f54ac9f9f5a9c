"""Lava, in a process of its own: which of its loaders builds the graph, and where the spikes are drawn."""

from __future__ import annotations

import numpy as np

from deploy.backends.job import BackendJob, BackendRun, kept_traces
from deploy.lava.find import find_lava_python
from deploy.lava.graph import UNROLL_BELOW, generator_graph, image_graph
from deploy.lava.jobs import GraphJob, LavaJob, PowerOn, SamplesJob, WindowsJob
from deploy.lava.results import LavaProgress
from deploy.lava.run import run_lava
from deploy.plan import plan
from esvae.errors import ConfigError, LavaMissingError
from export.ir import Dense, RecurrentDense
from export.ir.circuit import is_chained, whole_network
from export.ir.labels import BESIDE, OWN
from export.netx.rules import check_loadable, loads_sparse
from sim.stimulus import Timing

__all__ = ["Lava"]


class Lava:
    """Runs anything with stock netx; its other loader and sampler take whole windows of whole networks from rest."""

    heeds = frozenset({"lava"})

    def missing(self) -> str | None:
        try:
            find_lava_python()
        except LavaMissingError as error:
            return str(error)
        return None

    def check(self, job: BackendJob) -> None:
        """Refuses what only stock netx with spikes from outside does, and a sampler without rates to draw from."""
        if not job.lava.plain and job.entering.kind == "power-on":
            raise ConfigError("a file that draws by itself needs --loader stock --sampler host --target cpu")
        if job.lava.plain:
            _check_fed(job)
            return
        if job.layers is not None or job.entering.timing != Timing():
            raise ConfigError("--layers, resets and --stagger need --loader stock --sampler host")
        if job.network.input_neurons is not None and job.lava.target != "cpu":
            raise ConfigError("--target loihi2: the input layer has neurons whose biases change with each image")
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
            check_loadable(whole_network(job.network) if _draws(job) else job.network)
        find_lava_python()  # so that a missing Lava is told before any work

        def report(at: LavaProgress) -> None:
            job.report(at.step / max(at.steps, 1), f"Lava: {at.stage}")

        with kept_traces(job) as keeper:
            run = run_lava(_lava_job(job), stall_timeout=job.lava.stall_timeout, progress=report)
            if run.trace is not None:
                keeper.add(_windows(job, run.trace) if _draws(job) else run.trace)
        potentials = run.readout[-job.entering.images :] if _power_on(job) else run.readout
        about = dict(run.versions) | {f"measured {name}": f"{value:g}" for name, value in run.measured.items()}
        return BackendRun(potentials, keeper.kept, about)


def _whole(job: BackendJob) -> bool:
    """Whether whole windows of spikes run through the whole file from rest, and none is held back beyond its window."""
    late = any(
        isinstance(layer, RecurrentDense) or (isinstance(layer, Dense) and layer.delay is not None)
        for layer in job.network.layers
    )
    driven = job.network.input_neurons is not None
    rests = not driven and not late and not job.network.sends_messages  # messages' neurons cannot be reset
    return rests and job.layers is None and job.entering.timing == Timing()


def _draws(job: BackendJob) -> bool:
    """Whether the file draws the job's latent spikes before its own decoder, so that nothing can be fed in."""
    return job.lava.loader == "stock" and job.layers is None and is_chained(job.network)


def _check_fed(job: BackendJob) -> None:
    """Raises ConfigError where spikes should enter a decoder that stock netx connects to a circuit."""
    if _draws(job) and (job.entering.kind != "prior" or job.entering.steps != job.network.time_steps):
        raise ConfigError(
            "this file draws by itself, in its own window, so stock netx feeds its decoder nothing; use --loader "
            "native, or another backend"
        )


def _power_on(job: BackendJob) -> PowerOn | None:
    """How many images the file is to draw by itself, from power-on to the last one wanted; None where spikes enter."""
    entering, network = job.entering, job.network
    if _draws(job):
        made = plan(network, entering.first + entering.images)
        return PowerOn(made.images, made.steps, made.reset_offset)
    timing = entering.timing
    if entering.kind != "power-on" or timing.reset_interval is None:
        return None
    images = (entering.steps - network.depth - timing.reset_offset + 1) // timing.reset_interval
    return PowerOn(images, timing.reset_interval, timing.reset_offset)


def _windows(job: BackendJob, traces: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The decoder's part of traces from power-on: the windows of the images that are wanted."""
    entering, names = job.entering, job.network.array_names
    made = plan(job.network, entering.first + entering.images)
    found = {}
    for layer, clock in zip(names, made.layers[-len(names) :], strict=True):
        begin = clock.first - 1 + entering.first * made.steps
        for name in (f"{layer}.{state}" for state in "uvs"):
            run = traces[name][0, begin : begin + entering.images * made.steps]
            found[name] = run.reshape(entering.images, made.steps, *run.shape[1:])
    return found


def _lava_job(job: BackendJob) -> LavaJob:
    """What Lava is to run: whole windows back to back, or any stimulus, one image after the other."""
    settings = job.lava
    power_on = _power_on(job)
    if power_on is not None:
        whole = whole_network(job.network)
        within = BESIDE if whole.beside else OWN  # a circuit by itself keeps the labels that its own file has
        return WindowsJob(job.path, power_on, job.traced, loads_sparse(whole), within)
    if settings.plain and not _whole(job):
        return SamplesJob(job.path, job.stimulus, job.layers, job.traced, loads_sparse(job.network))
    unroll_below = UNROLL_BELOW if settings.target == "cpu" else 0
    if settings.loader == "native" and job.stimulus.images is not None:
        graph = image_graph(job.network, job.stimulus.images, job.stimulus.steps, unroll_below=unroll_below)
        return GraphJob(graph, job.path, job.traced, settings.target)
    entering = job.entering.rates if settings.sampler == "graph" else job.stimulus.spikes
    if entering is None:
        raise ConfigError("Lava takes spikes here, or rates to draw them from")
    if settings.loader == "native":
        graph = generator_graph(job.network, entering, unroll_below=unroll_below)
        return GraphJob(graph, job.path, job.traced, settings.target)
    return WindowsJob(job.path, entering, job.traced, loads_sparse(job.network))

"""The ways to run a network in Lava: which loader builds the graph, where the sampler is, and what it runs on."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from deploy.backends import BackendRun, Progress
from deploy.lava import GraphJob, LavaJob, LavaProgress, WindowsJob, find_lava_python, run_lava
from deploy.lava.graph import UNROLL_BELOW, generator_graph
from deploy.lava.rates import Rates
from esvae.errors import ConfigError
from export.ir import Dense, Network
from export.netx.rules import check_loadable

__all__ = ["LavaSettings", "Loader", "SamplerPlace", "Target", "run_in_lava"]

Loader: TypeAlias = Literal["stock", "native"]
SamplerPlace: TypeAlias = Literal["host", "graph"]
Target: TypeAlias = Literal["cpu", "loihi2"]

#: Dense matrices above this many elements go into Lava as sparse ones, which holds less and runs faster.
_SPARSE_ABOVE = 1 << 18


@dataclass(frozen=True)
class LavaSettings:
    """How Lava runs a network; every choice gives the same integers.

    Attributes:
        loader: ``stock``, lava-dl's netx, which reads the file itself; ``native``, Lava processes made straight from
            the network, which takes transposed convolutions, loads large networks in a tenth of the time and memory,
            and needs no netx.
        sampler: ``host`` sends spikes that were drawn outside; ``graph`` draws them inside, so that rate codes alone
            enter, and delivers each image by a process when its window ends.
        target: ``cpu``, Lava's bit-accurate models; ``loihi2``, a board.
        stall_timeout: seconds without progress after which a run is ended.

    Raises:
        ConfigError: another value.
    """

    loader: Loader = "stock"
    sampler: SamplerPlace = "host"
    target: Target = "cpu"
    stall_timeout: float = 60.0

    def __post_init__(self) -> None:
        for name, kind in (("loader", Loader), ("sampler", SamplerPlace), ("target", Target)):
            if getattr(self, name) not in get_args(kind):
                raise ConfigError(f"--{name} {getattr(self, name)}: expected {' or '.join(get_args(kind))}")
        if self.target == "loihi2" and self.loader != "native":
            raise ConfigError("--target loihi2 needs --loader native")
        if not self.stall_timeout > 0:
            raise ConfigError(f"a stall timeout of {self.stall_timeout} s: expected more than 0")

    def check(self, backend: str, *, drawn: bool = True, whole: bool = True) -> None:
        """Raises ConfigError where another backend is asked for, or a sampler in the graph for spikes that are given.

        Args:
            backend: that is to run the network.
            drawn: whether the spikes that enter are drawn from the prior.
            whole: whether whole windows of spikes run through the whole network, each from rest.
        """
        if backend != "lava" and not self.plain:
            raise ConfigError(f"--backend {backend}: --loader, --sampler and --target are Lava's; add --backend lava")
        if not self.plain and not whole:
            raise ConfigError("--image, --steps, --layers, resets and --stagger need --loader stock --sampler host")
        if self.sampler == "graph" and not drawn:
            raise ConfigError("--sampler graph draws the latent spikes itself; leave out the file of spikes")

    @property
    def plain(self) -> bool:
        """Whether these are what :func:`deploy.backends.run_backend` does by itself."""
        return self == LavaSettings(stall_timeout=self.stall_timeout)


def run_in_lava(
    path: str | os.PathLike[str],
    network: Network,
    entering: np.ndarray | Rates,
    settings: LavaSettings,
    *,
    trace: bool = False,
    progress: Progress | None = None,
) -> BackendRun:
    """Runs spikes, or rates, through a network in Lava.

    Args:
        path: the ``.net`` file, which the stock loader reads.
        network: what :func:`export.read_netx` made of it, of which the native loader builds.
        entering: spikes ``(images, steps, *input shape)``; rates where the sampler is in the graph.
        settings: how.
        trace: also give the states of every layer after every step, and ``latent.s`` of a sampler in the graph.
        progress: called as the work goes on.

    Raises:
        DataError: spikes that do not fit.
        LavaError: Lava is missing, died or hung, or there is no board.
        HardwareRangeError, UnsupportedLayerError: the loader would not load the network as it is.
    """

    def report(at: LavaProgress) -> None:
        if progress is not None:
            progress(at.step / max(at.steps, 1), f"Lava: {at.stage}")

    started = time.perf_counter()
    find_lava_python()  # so that a missing Lava is told before any work
    job: LavaJob
    if settings.loader == "native":
        graph = generator_graph(network, entering, unroll_below=UNROLL_BELOW if settings.target == "cpu" else 0)
        job = GraphJob(graph, path, trace, settings.target)
    else:
        check_loadable(network)
        sparse = any(isinstance(layer, Dense) and layer.weight.size > _SPARSE_ABOVE for layer in network.layers)
        job = WindowsJob(path, entering, trace, sparse)
    run = run_lava(job, stall_timeout=settings.stall_timeout, progress=report)
    about = dict(run.versions) | {f"measured {name}": f"{value:g}" for name, value in run.measured.items()}
    return BackendRun(run.readout, run.trace, time.perf_counter() - started, about)

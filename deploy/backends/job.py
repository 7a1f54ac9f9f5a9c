"""What every backend is given and gives back, and what a backend is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from deploy.backends.settings import LavaSettings
from deploy.entering import Entering
from esvae.arrays import Real, Shaped
from esvae.machine.progress import Progress
from export.ir import Network
from sim.stimulus import Stimulus
from sim.trace import trace_writer

__all__ = ["Backend", "BackendJob", "BackendRun", "TraceKeeper", "kept_traces"]


@dataclass(frozen=True, eq=False)
class BackendJob:
    """A network file, what enters it, and what is wanted.

    Attributes:
        path: the ``.net`` file, for backends that load it themselves.
        entering: what enters, with the network that :func:`export.netx.read.read_netx` made of the file.
        layers: how many of the file's layer groups the network is, None for all.
        trace: also give the states of every layer after every step.
        trace_file: write them to this ``.npz`` or ``.h5`` file.
        device: that the twin computes on.
        lava: how Lava runs it.
        progress: called as the work goes on.
    """

    path: Path
    entering: Entering
    layers: int | None = None
    trace: bool = False
    trace_file: Path | None = None
    device: str = "cpu"
    lava: LavaSettings = LavaSettings()
    progress: Progress | None = None

    @property
    def network(self) -> Network:
        """The network that runs."""
        return self.entering.network

    @property
    def stimulus(self) -> Stimulus:
        """What enters, checked against the network."""
        return self.entering.stimulus

    @property
    def traced(self) -> bool:
        """Whether anybody wants the states of every step."""
        return self.trace or self.trace_file is not None

    def report(self, share: float, text: str) -> None:
        """Says how far the work is, to whoever wants to know."""
        if self.progress is not None:
            self.progress(share, text)

    def beyond(self, heeds: frozenset[str]) -> dict[str, Any]:
        """The settings of one backend alone that this job changes, other than those in ``heeds``: their defaults."""
        changed = {"device": self.device != "cpu", "lava": self.lava != LavaSettings()}
        return {one.name: one.default for one in fields(self) if changed.get(one.name) and one.name not in heeds}

    def only(self, heeds: frozenset[str]) -> BackendJob:
        """The job as a backend sees it that heeds no other such settings."""
        return replace(self, **self.beyond(heeds))


@dataclass(frozen=True, eq=False)
class BackendRun:
    """What a backend computed.

    Attributes:
        potentials: membrane potential of the last layer after the last step, ``(images, *layer shape)``; where pixels
            fire instead, :func:`deploy.backends.run_backend` puts those that their first spikes stand for.
        traces: by name (see :func:`sim.trace.named_traces`), where asked for.
        about: what ran it: version numbers and measurements by name.
        seconds: wall-clock time, loading included; :func:`deploy.backends.run_backend` takes it.
    """

    potentials: Real[np.ndarray, " images *layer"]
    traces: dict[str, Shaped[np.ndarray, "_images steps *_layer"]] | None = None
    about: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


class Backend(Protocol):
    """One way to run a network; :data:`deploy.backends.BACKENDS` holds one object of each by its name.

    Attributes:
        heeds: the settings that are meant for one backend alone (``device``, ``lava``) and that this one takes; a job
            that changes others is refused before :meth:`check` is asked.
    """

    heeds: frozenset[str]

    def missing(self) -> str | None:
        """What has to be installed before this can run, in one line; None where nothing is missing."""

    def check(self, job: BackendJob) -> None:
        """Raises ConfigError, naming the option, where a job asks for what this cannot do."""

    def run(self, job: BackendJob) -> BackendRun:
        """Runs a job that was checked.

        Raises:
            EsvaeError: the stimulus does not fit, or the backend failed.
        """


class TraceKeeper:
    """Takes the traces of one chunk of images after the other; keeps them, writes them, or both."""

    def __init__(
        self, keep: bool, write: Callable[[Mapping[str, Shaped[np.ndarray, "images steps *_layer"]]], None] | None
    ) -> None:
        self._pieces: list[Mapping[str, np.ndarray]] | None = [] if keep else None
        self._write = write

    def add(self, traces: Mapping[str, Shaped[np.ndarray, "images steps *_layer"]]) -> None:
        """Takes the named traces of the next images, ``(images, steps, *layer shape)`` each."""
        if self._write is not None:
            self._write(traces)
        if self._pieces is not None:
            self._pieces.append(traces)

    @property
    def kept(self) -> dict[str, Shaped[np.ndarray, "images steps *_layer"]] | None:
        """The traces of all images that were added, by name; None where they were not to be kept."""
        if not self._pieces:
            return None
        if len(self._pieces) == 1:
            return dict(self._pieces[0])
        return {name: np.concatenate([piece[name] for piece in self._pieces]) for name in self._pieces[0]}


@contextmanager
def kept_traces(job: BackendJob) -> Iterator[TraceKeeper]:
    """A keeper for the traces that a job wants; its file is there, whole, when the block is left.

    Raises:
        ConfigError: a trace file that ends in neither ``.npz`` nor ``.h5``.
    """
    with ExitStack() as stack:
        write = None
        if job.trace_file is not None:
            write = stack.enter_context(trace_writer(job.trace_file, job.entering.images))
        yield TraceKeeper(job.trace, write)

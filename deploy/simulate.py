"""Running a network file once: what enters, a backend, and the files that come of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deploy.backends import BackendJob, LavaSettings, Progress, backend_named, run_backend
from deploy.emerging import check_emergence, emergence
from deploy.entering import Entering, InputOptions, enter
from deploy.rasters import save_latents
from esvae.errors import ConfigError
from esvae.pictures import save_grid
from export.netx import read_netx
from sim.readout import images_from_potentials

__all__ = ["OutputFiles", "Simulation", "simulate_file"]


@dataclass(frozen=True)
class OutputFiles:
    """Files to write; None for none.

    Attributes:
        picture: ``.png`` of the images that the network draws, or ``.gif`` of how they emerge over the steps.
        latents: ``.npy`` of the spikes that entered.
        trace: ``.npz`` or ``.h5`` of the states of every layer after every step.
    """

    picture: Path | None = None
    latents: Path | None = None
    trace: Path | None = None

    @property
    def moving(self) -> bool:
        """Whether the picture is of every step."""
        return self.picture is not None and self.picture.suffix.lower() == ".gif"

    def check(self, entering: Entering) -> None:
        """Refuses what there will not be, before any work is done.

        Raises:
            ConfigError: spikes are wanted where images enter.
            DataError: a picture is wanted of a network without a readout, or one of every step where there is none.
        """
        if self.moving:
            check_emergence(entering.network)
        if self.picture is not None and entering.network.readout is None:
            images_from_potentials(entering.network, np.zeros(0))  # says so
        if self.latents is not None and entering.network.input_neurons is not None:
            raise ConfigError("--save-latents: images entered, not spikes")


@dataclass(frozen=True)
class Simulation:
    """What was run and written.

    Attributes:
        backend: that ran it.
        images, steps: how many, and the window of each.
        latent_rate: share of input neurons that fired, over all steps; 0 where images entered.
        seconds: wall-clock time on the backend, loading included.
        files: what was written, by what it is.
    """

    backend: str
    images: int
    steps: int
    latent_rate: float
    seconds: float
    files: dict[str, str]


def simulate_file(
    path: str | os.PathLike[str],
    options: InputOptions = InputOptions(),
    outputs: OutputFiles = OutputFiles(),
    *,
    backend: str = "twin",
    layers: int | None = None,
    device: str = "cpu",
    lava: LavaSettings = LavaSettings(),
    progress: Progress | None = None,
) -> Simulation:
    """Runs a network file.

    Args:
        path: the ``.net`` file.
        options: what enters.
        outputs: what to write.
        backend: one of :data:`deploy.backends.BACKENDS`.
        layers: run only so many of the file's layer groups, input and flatten included.
        device: of the twin.
        lava: how Lava runs it; other than by default it takes whole windows of spikes.
        progress: called as the work goes on.

    Raises:
        EsvaeError: a file that is not sound, input that does not fit, a backend that failed.
    """
    backend_named(backend)
    network = read_netx(path, layers=layers)
    entering = enter(network, options)
    outputs.check(entering)
    job = BackendJob(
        Path(path),
        entering,
        layers=layers,
        trace=outputs.moving,
        trace_file=outputs.trace,
        device=device,
        lava=lava,
        progress=progress,
    )
    run = run_backend(backend, job)
    spikes = entering.stimulus.spikes
    if outputs.picture is not None and run.traces is not None:
        emergence(network, run.traces).save(outputs.picture)
    elif outputs.picture is not None:
        save_grid(images_from_potentials(network, run.potentials), outputs.picture)
    if outputs.latents is not None and spikes is not None:
        save_latents(outputs.latents, spikes)
    files = {name: str(file) for name, file in vars(outputs).items() if file is not None}
    rate = 0.0 if spikes is None else float(spikes.mean())
    return Simulation(backend, entering.images, entering.stimulus.steps, rate, run.seconds, files)

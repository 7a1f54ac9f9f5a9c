"""Drawing images with a network file: latent spikes, a backend, the readout, and the files that come of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deploy.backends import BACKENDS, Progress, run_backend
from deploy.lava.inputs import rates_from_prior
from deploy.lava_run import LavaSettings, run_in_lava
from deploy.pictures import save_grid
from esvae.errors import ConfigError, DataError
from esvae.files import atomic_path
from export.ir import Network
from export.netx_read import read_netx
from sim.readout import images_from_potentials
from sim.sampler import draw_latents
from sim.trace import check_spikes, save_traces

__all__ = ["Simulation", "load_latents", "simulate_file"]


@dataclass(frozen=True)
class Simulation:
    """What was run and written.

    Attributes:
        backend: that ran it.
        images, steps: how many, and the window of each.
        latent_rate: share of latent neurons that fired, over all steps.
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
    images: int,
    *,
    seed: int = 0,
    backend: str = "twin",
    latents: str | os.PathLike[str] | None = None,
    picture: str | os.PathLike[str] | None = None,
    save_latents: str | os.PathLike[str] | None = None,
    trace: str | os.PathLike[str] | None = None,
    lava: LavaSettings = LavaSettings(),  # noqa: B008 - frozen
    progress: Progress | None = None,
) -> Simulation:
    """Runs a network file.

    Args:
        path: the ``.net`` file.
        images: how many to draw; with ``latents``, how many of them at most.
        seed: of the prior and of the sampler.
        backend: twin, reference or lava.
        latents: ``.npy`` file of latent spikes to use instead of drawing them.
        picture, save_latents, trace: files to write: PNG, ``.npy``, ``.npz``.
        lava: how Lava runs it.
        progress: called as the work goes on.

    Raises:
        EsvaeError: a file that is not sound, latents that do not fit, a backend that failed.
    """
    if backend not in BACKENDS:
        raise ConfigError(f"--backend {backend}: expected {', '.join(BACKENDS)}")
    lava.check(backend, drawn=latents is None)
    if images < 1:
        raise DataError(f"{images} images: expected at least 1")
    network = read_netx(path)
    if latents is None:
        spikes = draw_latents(network, seed, np.arange(images))
    else:
        spikes = load_latents(latents, network)[:images]
    if picture is not None and network.readout is None:
        images_from_potentials(network, spikes)  # says that there are no pictures before any work is done
    if lava.plain:
        run = run_backend(backend, path, network, spikes, trace=trace is not None, progress=progress)
    else:
        graph = lava.sampler == "graph"
        entering = rates_from_prior(network, seed, np.arange(images)) if graph else spikes
        run = run_in_lava(path, network, entering, lava, trace=trace is not None, progress=progress)
    files: dict[str, str] = {}
    if picture is not None:
        save_grid(images_from_potentials(network, run.potentials), picture)
        files["picture"] = str(picture)
    if save_latents is not None:
        with atomic_path(save_latents) as temporary, temporary.open("wb") as handle:
            np.save(handle, spikes, allow_pickle=False)
        files["latents"] = str(save_latents)
    if trace is not None and run.traces is not None:
        save_traces(trace, run.traces)
        files["trace"] = str(trace)
    return Simulation(backend, len(spikes), spikes.shape[1], float(spikes.mean()), run.seconds, files)


def load_latents(path: str | os.PathLike[str], network: Network) -> np.ndarray:
    """Reads latent spikes ``(images, steps, features)`` that fit ``network`` from an ``.npy`` file.

    Raises:
        DataError: missing, not an ``.npy`` file, not 0 and 1, of another shape, or of another number of steps.
    """
    try:
        spikes = np.load(Path(path), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as .npy: {' '.join(str(error).split())}") from None
    if not isinstance(spikes, np.ndarray):
        raise DataError(f"{path}: holds several arrays, expected one .npy array (images, steps, features)")
    spikes = check_spikes(network, spikes)
    if network.time_steps is not None and spikes.shape[1] != network.time_steps:
        raise DataError(f"{path}: has {spikes.shape[1]} steps, the network's window is {network.time_steps}")
    return spikes.reshape(*spikes.shape[:2], -1)

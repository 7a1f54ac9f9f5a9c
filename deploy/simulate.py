"""Drawing images with a network file: latent spikes, a backend, the readout, and the files that come of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deploy.backends import BACKENDS, Progress, run_backend
from deploy.lava.rates import rates_from_prior
from deploy.lava_run import LavaSettings, run_in_lava
from esvae.errors import ConfigError, DataError
from esvae.machine.files import atomic_path
from esvae.pictures import save_grid
from export.ir import Network, Shape
from export.netx.guard import open_netx
from sim.readout import images_from_potentials
from sim.sampler import draw_latents
from sim.stimulus import Stimulus, Timing, as_stimulus, check_spikes
from sim.trace import save_traces

__all__ = ["DEFAULT_IMAGES", "Simulation", "load_latents", "load_raster", "simulate_file"]

#: Pictures that are drawn where nobody says how many.
DEFAULT_IMAGES = 64


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
    images: int | None = None,
    *,
    seed: int = 0,
    backend: str = "twin",
    latents: str | os.PathLike[str] | None = None,
    spikes: str | os.PathLike[str] | None = None,
    image: str | os.PathLike[str] | None = None,
    steps: int | None = None,
    layers: int | None = None,
    timing: Timing = Timing(),  # noqa: B008 - frozen
    device: str = "cpu",
    picture: str | os.PathLike[str] | None = None,
    save_latents: str | os.PathLike[str] | None = None,
    trace: str | os.PathLike[str] | None = None,
    lava: LavaSettings = LavaSettings(),  # noqa: B008 - frozen
    progress: Progress | None = None,
) -> Simulation:
    """Runs a network file.

    Args:
        path: the ``.net`` file.
        images: how many to draw, 64 where not said; of ``latents``, ``spikes`` or ``image`` how many at most.
        seed: of the prior and of the sampler.
        backend: twin, reference, lava or onnx.
        latents: ``.npy`` file of latent spikes to use instead of drawing them.
        spikes: ``.npy`` file of input spikes for any network, ``(images, steps, *input shape)``.
        image: ``.npy`` file of integers ``(images, *input shape)`` for input neurons, or ``zeros``.
        steps: length of the run: of images it must be said where the file has no window; spikes are cut, or followed
            by silence.
        layers: run only so many of the file's layer groups, input and flatten included.
        timing: resets, and whether time is counted as Lava does.
        device: of the twin.
        picture, save_latents, trace: files to write: PNG; ``.npy``; ``.npz`` or ``.h5``.
        lava: how Lava runs it; other than by default it takes whole windows of spikes.
        progress: called as the work goes on.

    Raises:
        EsvaeError: a file that is not sound, input that does not fit, a backend that failed.
    """
    if backend not in BACKENDS:
        raise ConfigError(f"--backend {backend}: expected {', '.join(BACKENDS)}")
    whole = image is None and steps is None and layers is None and timing == Timing()
    lava.check(backend, drawn=latents is None and spikes is None, whole=whole)
    if images is not None and images < 1:
        raise DataError(f"{images} images: expected at least 1")
    if steps is not None and steps < 1:
        raise DataError(f"{steps} steps: expected at least 1")
    sources = {"--latents": latents, "--spikes": spikes, "--image": image}
    given = [name for name, source in sources.items() if source is not None]
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)}: expected one of them")
    network = open_netx(path, layers=layers)
    if image is not None:
        stimulus = _image_stimulus(image, network, images, steps, timing)
    else:
        if latents is not None:
            raster = load_latents(latents, network)[:images]
        elif spikes is not None:
            raster = _array(spikes, "spikes")[:images]
        elif network.input_neurons is not None:
            raise DataError("the input layer has neurons: give what they see with --image FILE.npy, or --image zeros")
        else:
            raster = draw_latents(network, seed, np.arange(images or DEFAULT_IMAGES))
        stimulus = as_stimulus(network, Stimulus(_lasting(raster, steps), None, 1, timing))
    if picture is not None and network.readout is None:
        images_from_potentials(network, np.zeros(0))  # says that there are no pictures before any work is done
    if lava.plain:
        run = run_backend(
            backend, path, network, stimulus, trace_file=trace, layers=layers, device=device, progress=progress
        )
    else:
        graph = lava.sampler == "graph"
        entering = rates_from_prior(network, seed, np.arange(images or DEFAULT_IMAGES)) if graph else stimulus.spikes
        assert entering is not None  # an image does not come here: lava.check
        run = run_in_lava(path, network, entering, lava, trace=trace is not None, progress=progress)
        if trace is not None and run.traces is not None:
            save_traces(trace, run.traces)
    files: dict[str, str] = {}
    if picture is not None:
        save_grid(images_from_potentials(network, run.potentials), picture)
        files["picture"] = str(picture)
    if save_latents is not None:
        if stimulus.spikes is None:
            raise ConfigError("--save-latents: images entered, not spikes")
        with atomic_path(save_latents) as temporary, temporary.open("wb") as handle:
            rows = stimulus.spikes.reshape(len(stimulus), stimulus.steps, -1)
            np.save(handle, rows, allow_pickle=False)
        files["latents"] = str(save_latents)
    if trace is not None:
        files["trace"] = str(trace)
    rate = 0.0 if stimulus.spikes is None else float(stimulus.spikes.mean())
    return Simulation(backend, len(stimulus), stimulus.steps, rate, run.seconds, files)


def _image_stimulus(
    image: str | os.PathLike[str], network: Network, images: int | None, steps: int | None, timing: Timing
) -> Stimulus:
    steps = steps or network.time_steps
    if steps is None:
        raise DataError("--image: the file says no number of steps; give it with --steps")
    if str(image) == "zeros":
        pictures = np.zeros((images or 1, *network.input_shape), np.int32)
    else:
        pictures = _array(image, "images")[:images]
    return as_stimulus(network, Stimulus(None, pictures, steps, timing))


def _lasting(raster: np.ndarray, steps: int | None) -> np.ndarray:
    """``raster`` cut to ``steps``, or followed by silence; as it is where None."""
    if steps is None or raster.ndim < 2:
        return raster
    silence = np.zeros((len(raster), max(0, steps - raster.shape[1]), *raster.shape[2:]), raster.dtype)
    return np.concatenate([raster[:, :steps], silence], axis=1)


def _array(path: str | os.PathLike[str], what: str) -> np.ndarray:
    try:
        values = np.load(Path(path), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as .npy: {' '.join(str(error).split())}") from None
    if not isinstance(values, np.ndarray) or values.ndim == 0:
        raise DataError(f"{path}: expected one .npy array of {what}")
    return values


def load_raster(path: str | os.PathLike[str], shape: Shape) -> np.ndarray:
    """Reads spikes ``(images, steps, *shape)``, 0 and 1, from an ``.npy`` file.

    Raises:
        DataError: missing, not an ``.npy`` file, not 0 and 1, or of another shape.
    """
    raster = _array(path, f"spikes (images, steps, {', '.join(map(str, shape))})")
    if raster.ndim < 3 or raster.size == 0 or raster[0, 0].size != int(np.prod(shape)):
        raise DataError(f"{path}: has shape {raster.shape}, expected (images, steps, {', '.join(map(str, shape))})")
    if not np.isin(raster, (0, 1)).all():
        raise DataError(f"{path}: holds values other than 0 and 1")
    return raster.astype(np.uint8).reshape(*raster.shape[:2], *shape)


def load_latents(path: str | os.PathLike[str], network: Network) -> np.ndarray:
    """Reads latent spikes ``(images, steps, features)`` that fit ``network`` from an ``.npy`` file.

    Raises:
        DataError: missing, not an ``.npy`` file, not 0 and 1, of another shape, or of another number of steps.
    """
    spikes = check_spikes(network, _array(path, "latents (images, steps, features)"))
    if network.time_steps is not None and spikes.shape[1] != network.time_steps:
        raise DataError(f"{path}: has {spikes.shape[1]} steps, the network's window is {network.time_steps}")
    return spikes.reshape(*spikes.shape[:2], -1)

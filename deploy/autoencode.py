"""Images of a run's data set through its integer autoencoder, on the twin and, as one graph, in Lava."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import numpy as np

from deploy.backends import Progress
from deploy.lava.autoencoder import autoencoder_graph
from deploy.lava.graph import Graph, graph_name
from deploy.lava.jobs import GraphJob
from deploy.lava.results import LavaProgress
from deploy.lava.run import run_lava
from esvae.data import load_images
from esvae.errors import ConfigError, DataError
from esvae.pictures import save_grid
from esvae.run import load_run
from export.encoder import integer_encoder
from export.pipeline import integer_network
from sim.autoencoder import autoencode
from sim.readout import images_from_potentials

__all__ = ["AutoencodeResult", "autoencode_run"]


_COLUMNS = 16


@dataclass(frozen=True)
class AutoencodeResult:
    """What came back.

    Attributes:
        images: how many.
        mse: of the reconstruction, pixels in [-1, 1].
        backend: that ran it.
        equal: whether Lava and the twin agree in every integer that was compared.
        integers: how many were compared: the encoder's spikes, the sampled ones, and the decoder's last potentials.
        seconds: on the backend.
    """

    images: int
    mse: float
    backend: str
    equal: bool
    integers: int
    seconds: float


def autoencode_run(
    run: str | os.PathLike[str],
    images: int,
    *,
    seed: int = 0,
    backend: str = "twin",
    data_root: str | os.PathLike[str] | None = None,
    picture: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> AutoencodeResult:
    """Runs the first test images of a run through its encoder and decoder.

    Args:
        run: the run directory.
        images: how many; at most as many as there are.
        seed: of the sampler.
        data_root: where the run's data set is; see :func:`esvae.data.data_root`.
        backend: ``twin`` or ``lava``.
        picture: PNG file: a row of images, below it what came back, and so on.
        progress: called as the work goes on.

    Raises:
        ConfigError: another backend.
        DataError: fewer than one image.
        EsvaeError: the run is not sound, or the backend failed.
    """
    if backend not in ("twin", "lava"):
        raise ConfigError(f"--backend {backend}: expected twin or lava")
    if images < 1:
        raise DataError(f"{images} images: expected at least 1")
    trained = load_run(run)
    encoder, (decoder, _, _) = integer_encoder(trained), integer_network(trained, lowering="none")
    pictures = load_images(trained.config.data, data_root).test.head(images).tensor().numpy()
    started = time.perf_counter()
    twin = autoencode(encoder, decoder, pictures, seed)
    equal, integers = True, 0
    if backend == "lava":
        started = time.perf_counter()
        latents = graph_name(f"encoder {encoder.network.labels[-1]}")
        computed = _on_lava(run, autoencoder_graph(encoder, decoder, pictures, seed), latents, progress)
        for expected, got in zip((twin.latent, twin.sampled, twin.potentials), computed, strict=True):
            equal &= np.array_equal(expected.reshape(-1), got.reshape(-1))
            integers += expected.size
    seconds = time.perf_counter() - started
    back = images_from_potentials(decoder, twin.potentials)
    if picture is not None:
        save_grid(_paired(pictures, back), picture, columns=min(len(pictures), _COLUMNS))
    mse = float(np.mean((back - pictures) ** 2))
    return AutoencodeResult(len(pictures), mse, backend, equal, integers, round(seconds, 3))


def _on_lava(
    run: str | os.PathLike[str], graph: Graph, latents: str, progress: Progress | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lava's spikes of the encoder's last layer, ``latents``, the sampled ones, and the decoder's last potentials."""

    def report(at: LavaProgress) -> None:
        if progress is not None:
            progress(at.step / max(at.steps, 1), f"Lava: {at.stage}")

    done = run_lava(GraphJob(graph, about=run, trace=True), progress=report)
    assert done.trace is not None
    return done.trace[f"{latents}.s"], done.trace["sampled.s"], done.readout


def _paired(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Rows of both in turn; a last row that is not full is filled up with white."""
    missing = -len(above) % min(len(above), _COLUMNS)
    white = np.ones((missing, *above.shape[1:]), above.dtype)
    rows = [
        np.concatenate([each, white]).reshape(-1, min(len(above), _COLUMNS), *above.shape[1:])
        for each in (above, below)
    ]
    return np.stack(rows, axis=1).reshape(-1, *above.shape[1:])

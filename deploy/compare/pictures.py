"""Pictures of a comparison, as PNG: images side by side here, and all that is common with the report."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from deploy.compare.samplers import on_the_host
from deploy.compare.types import Comparison
from deploy.pair import pair_of
from deploy.view.comparison import draw_layers, draw_noise, draw_shares
from deploy.view.histograms import draw_histograms
from deploy.view.numbers import power
from deploy.view.style import figure, save_png, styled
from deploy.view.table import plain
from esvae.arrays import Real
from esvae.pictures import image_grid
from esvae.run import load_run
from export.netx import read_netx
from sim.sampler import draw_latents
from sim.twin.engine import Engine

__all__ = ["draw_images", "draw_samplers", "save_comparison_plots"]

_SHOWN, _COLUMNS = 32, 4


def save_comparison_plots(
    found: Comparison, run: str | os.PathLike[str], file: str | os.PathLike[str], folder: str | os.PathLike[str]
) -> list[Path]:
    """Writes ``images.png``, and where they were computed ``samplers``, ``layers``, ``weights``, ``potentials``,
    ``shares`` and ``noise``."""
    folder = Path(folder)
    trained, network, numbers = load_run(run), read_netx(file), np.arange(min(_SHOWN, found.images))
    engine = Engine(network)
    pairs = pair_of(trained.model.decoder, engine, draw_latents(network, found.seed, numbers))
    figures = {"images.png": draw_images(pairs.floats, pairs.integers)}
    if found.samplers is not None:
        drawn = draw_latents(on_the_host(trained, network), found.samplers.host_seed, numbers)
        host = pair_of(trained.model.decoder, engine, drawn)
        figures["samplers.png"] = draw_samplers(host.integers, pairs.integers)
    if any(layer.membrane_by_step for layer in found.layers):
        figures["layers.png"] = draw_layers(plain(found.layers))
    for name, rows in (("weights.png", found.weights), ("potentials.png", found.potentials)):
        if rows:
            figures[name] = draw_histograms(plain(rows))
    if found.attribution is not None and found.attribution.layers:
        figures["shares.png"] = draw_shares(plain(found.attribution))
    if found.noise:
        figures["noise.png"] = draw_noise(plain(found.noise))
    for name, made in figures.items():
        save_png(made, folder / name)
    return [folder / name for name in figures]


@styled
def draw_images(
    left: Real[np.ndarray, "images channels height width"], right: Real[np.ndarray, "images channels height width"]
) -> Figure:
    """Float images, integer ones ``(N, C, H, W)`` of the same latent spikes, and where they differ."""
    made, axes = figure(11, 8, 1, 3)
    for axis, title, images in zip(axes, ("float", "integer"), (left, right), strict=False):
        axis.imshow(image_grid(images, _COLUMNS), interpolation="nearest")
        axis.set_title(title)
    gap = np.abs(left - right).mean(1, keepdims=True).astype(np.float64)
    top = float(gap.max()) or 1.0
    tiled = image_grid(gap / top * 2 - 1, _COLUMNS)[..., 0] / 255 * top
    tiled[image_grid(np.full_like(gap, -1), _COLUMNS)[..., 0] > 0] = np.nan  # between the images
    shown = axes[2].imshow(tiled, cmap="cividis", vmin=0, vmax=top, interpolation="nearest")
    axes[2].set_title("|float − integer|")
    made.colorbar(shown, ax=axes[2], shrink=0.7, label="difference of a pixel; pixels lie in [−1, 1]")
    for axis in axes:
        axis.set_axis_off()
    mse = float(np.mean((left - right) ** 2))
    made.suptitle(f"the same latent spikes through both decoders: mean squared difference {power(mse, 2)}")
    return made


@styled
def draw_samplers(
    host: Real[np.ndarray, "images channels height width"], chip: Real[np.ndarray, "images channels height width"]
) -> Figure:
    """Integer images ``(N, C, H, W)`` of the host's latent spikes and of the chip's."""
    made, axes = figure(8, 8, 1, 2)
    for axis, title, images in zip(axes, ("host", "chip"), (host, chip), strict=True):
        axis.imshow(image_grid(images, _COLUMNS), interpolation="nearest")
        axis.set_title(title)
        axis.set_axis_off()
    made.suptitle("the same decoder, other dice")
    return made

"""Pictures of a comparison, as PNG: images side by side, layers over the window, noise curves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from deploy.compare.types import Comparison
from deploy.pair import pair_of
from esvae.machine.files import atomic_file
from esvae.pictures import image_grid
from esvae.run import load_run
from export.netx import read_netx
from sim.sampler import draw_latents
from sim.twin.engine import Engine

__all__ = ["draw_images", "draw_layers", "draw_noise", "draw_shares", "save_comparison_plots"]

_SHOWN, _COLUMNS = 32, 4
_DPI = 100
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_LINES = ("-", "--", "-.", ":")


def save_comparison_plots(
    found: Comparison, run: str | os.PathLike[str], file: str | os.PathLike[str], folder: str | os.PathLike[str]
) -> list[Path]:
    """Writes ``images.png``, and where they were computed ``layers.png``, ``shares.png`` and ``noise.png``."""
    folder = Path(folder)
    network = read_netx(file)
    latents = draw_latents(network, found.seed, np.arange(min(_SHOWN, found.images)))
    pairs = pair_of(load_run(run).model.decoder, Engine(network), latents)
    figures = {"images.png": draw_images(pairs.floats, pairs.integers)}
    if any(layer.membrane_by_step for layer in found.layers):
        figures["layers.png"] = draw_layers(found)
    if found.attribution is not None and found.attribution.layers:
        figures["shares.png"] = draw_shares(found)
    if found.noise:
        figures["noise.png"] = draw_noise(found)
    for name, figure in figures.items():
        with atomic_file(folder / name) as handle:
            figure.savefig(handle, format="png", dpi=_DPI)
    return [folder / name for name in figures]


def draw_images(left: np.ndarray, right: np.ndarray) -> Figure:
    """Float images, quantized ones ``(N, C, H, W)`` of the same latent spikes, and where they differ."""
    figure, axes = _figure(3, (12, 8.4))
    for axis, title, images in zip(axes, ("float", "quantized"), (left, right), strict=False):
        axis.imshow(image_grid(images, _COLUMNS), interpolation="nearest")
        axis.set_title(title)
    gap = np.abs(left - right).mean(1, keepdims=True).astype(np.float64)
    top = float(gap.max()) or 1.0
    tiled = image_grid(gap / top * 2 - 1, _COLUMNS)[..., 0] / 255 * top
    tiled[image_grid(np.full_like(gap, -1), _COLUMNS)[..., 0] > 0] = np.nan  # between the images
    shown = axes[2].imshow(tiled, cmap="cividis", vmin=0, vmax=top, interpolation="nearest")
    axes[2].set_title("|float - quantized|")
    figure.colorbar(shown, ax=axes[2], shrink=0.7, label="pixels range over 2")
    for axis in axes:
        axis.set_axis_off()
    mse = float(np.mean((left - right) ** 2))
    figure.suptitle(f"the same latent spikes through both decoders: mean squared difference {mse:.1e}")
    return figure


def draw_layers(found: Comparison) -> Figure:
    """Spike mismatch and membrane error of every layer over the window."""
    figure, (spikes, potentials) = _figure(2, (11, 4.2))
    for k, layer in enumerate(found.layers):
        if layer.mismatch_by_step:
            spikes.plot(np.arange(1, len(layer.mismatch_by_step) + 1), layer.mismatch_by_step, **_line(k, layer.name))
        if layer.membrane_by_step:
            name = layer.name if layer.mismatch_by_step else f"{layer.name}, before tanh"
            potentials.plot(np.arange(1, len(layer.membrane_by_step) + 1), layer.membrane_by_step, **_line(k, name))
    spikes.set(xlabel="step", ylabel="share of spikes that differ", ylim=(0, None))
    potentials.set(xlabel="step", ylabel="RMS difference of potentials, thresholds", ylim=(0, None))
    for axis in (spikes, potentials):
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.suptitle(f"float against quantized over the window, {found.images} images")
    return figure


def draw_shares(found: Comparison) -> Figure:
    """Each layer's part of the image MSE, alone and added in order."""
    part = found.attribution
    assert part is not None
    figure, (axis,) = _figure(1, (8, 1.6 + 0.5 * len(part.layers)))
    at = np.arange(len(part.layers))
    axis.barh(at - 0.2, [layer.share for layer in part.layers], 0.4, color=_COLOURS[0], label="alone")
    axis.barh(at + 0.2, [layer.added for layer in part.layers], 0.4, color=_COLOURS[1], label="added in order")
    axis.set_yticks(at, [layer.name for layer in part.layers])
    axis.invert_yaxis()
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_xlabel(f"share of the image MSE of {part.total.value:.2g} that the whole file has")
    axis.set_title(f"one layer quantized at a time; together they differ by {part.remainder:+.0%} from the sum")
    axis.legend(fontsize=8)
    return figure


def draw_noise(found: Comparison) -> Figure:
    """Reconstruction loss against the noise's strength, with intervals."""
    figure, axes = _figure(len(found.noise), (5.5 * len(found.noise), 4.2))
    for axis, curve in zip(axes, found.noise, strict=True):
        sides = {"float": [p.float for p in curve.loss], "quantized": [p.quantized for p in curve.loss]}
        if curve.analogue:
            sides["float, real numbers"] = list(curve.analogue)
        for k, (name, points) in enumerate(sides.items()):
            low, high = ([getattr(p, end) for p in points] for end in ("low", "high"))
            axis.plot(curve.levels, [p.value for p in points], **_line(k, name))
            axis.fill_between(curve.levels, low, high, color=_COLOURS[k], alpha=0.15, linewidth=0)
        where = "the input images" if curve.kind == "input" else "the latent spikes"
        axis.set(xlabel=f"standard deviation of the noise on {where}", ylabel="reconstruction MSE", ylim=(0, None))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.suptitle(f"robustness to Gaussian noise, {found.noise[0].images} test images")
    return figure


def _figure(columns: int, size: tuple[float, float]) -> tuple[Figure, list[Any]]:
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(1, columns, squeeze=False).flat)


def _line(k: int, label: str) -> dict[str, Any]:
    return {
        "color": _COLOURS[k % len(_COLOURS)],
        "linestyle": _LINES[k % len(_LINES)],
        "marker": "o",
        "markersize": 3,
        "label": label,
    }

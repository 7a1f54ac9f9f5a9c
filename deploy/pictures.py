"""Pictures as PNG: a grid of images, and float beside quantized."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
from PIL import Image

from esvae.files import atomic_path

__all__ = ["image_grid", "save_comparison", "save_grid"]

_GAP = 2  # pixels between images
_WANTED_WIDTH = 800  # pixels of a grid, reached by whole-number magnification
_SHOWN = 32


def image_grid(images: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Lays images out in rows.

    Args:
        images: ``(N, C, H, W)`` in [-1, 1], C being 1 or 3.
        columns: images to a row; about as many as rows where None.

    Returns:
        uint8 ``(height, width, 3)``, magnified by a whole number so that small images can be looked at.
    """
    count, channels, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    grid = np.full((rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3), 255, np.uint8)
    pixels = np.rint((np.clip(images, -1, 1) + 1) * 127.5).astype(np.uint8).transpose(0, 2, 3, 1)
    if channels == 1:
        pixels = np.repeat(pixels, 3, axis=3)
    for index, picture in enumerate(pixels):
        y = _GAP + index // columns * (height + _GAP)
        x = _GAP + index % columns * (width + _GAP)
        grid[y : y + height, x : x + width] = picture
    factor = max(1, _WANTED_WIDTH // grid.shape[1])
    return grid.repeat(factor, axis=0).repeat(factor, axis=1)


def save_grid(images: np.ndarray, target: str | os.PathLike[str]) -> None:
    """Writes :func:`image_grid` as PNG, whole or not at all."""
    with atomic_path(target) as temporary:
        Image.fromarray(image_grid(images)).save(temporary, format="PNG")


def save_comparison(real: np.ndarray, left: np.ndarray, right: np.ndarray, target: str | os.PathLike[str]) -> None:
    """Real images, float images and quantized images of the same latent spikes, and where the two differ.

    Args:
        real: ``(N, 1 or 3, H, W)`` in [-1, 1].
        left: float decoder's images, likewise.
        right: integer decoder's images of the same latent spikes, in the same order.
        target: PNG file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = 4
    difference = np.abs(left[:_SHOWN] - right[:_SHOWN]).mean(axis=1)
    figure = Figure(figsize=(14, 7.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots(1, 4)
    titles = ("real images", "float decoder", "integer decoder (the chip's arithmetic)", "|float - integer|")
    for axis, title, images in zip(axes, titles, (real, left, right), strict=False):
        axis.imshow(image_grid(images[:_SHOWN], columns), interpolation="nearest")
        axis.set_title(title)
    mosaic = _mosaic(difference, columns)
    shown = axes[3].imshow(
        mosaic, cmap="cividis", vmin=0, vmax=max(float(difference.max()), 1e-3), interpolation="nearest"
    )
    axes[3].set_title(titles[3])
    figure.colorbar(shown, ax=axes[3], shrink=0.6, label="difference, of a range of 2")
    for axis in axes:
        axis.set_axis_off()
    mse = float(np.mean((left - right) ** 2))
    figure.suptitle(f"the same latent spikes through both decoders: mean squared difference {mse:.2e}")
    with atomic_path(target) as temporary:
        figure.savefig(temporary, format="png", dpi=90)


def _mosaic(maps: np.ndarray, columns: int) -> np.ndarray:
    count, height, width = maps.shape
    rows = math.ceil(count / columns)
    padded = np.zeros((rows * columns, height, width), maps.dtype)
    padded[:count] = maps
    return padded.reshape(rows, columns, height, width).transpose(0, 2, 1, 3).reshape(rows * height, columns * width)

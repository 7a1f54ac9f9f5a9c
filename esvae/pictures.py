"""Pictures as files: a grid of images, how it emerges step by step, and float beside quantized."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
from PIL import Image

from esvae.arrays import Real, UInt8
from esvae.machine.files import atomic_file

__all__ = ["as_pixels", "image_grid", "save_animation", "save_comparison", "save_grid"]

_GAP = 2  # pixels between images
_WANTED_WIDTH = 800  # pixels of a grid, reached by whole-number magnification
_MOVING_WIDTH = 400  # likewise of an animation, which holds as many grids as steps
_SHOWN, _COLUMNS = 32, 4  # of the comparison
_RUN, _HOLD = 2000, 1500  # milliseconds that an animation runs, and that it shows its last picture for besides
_SHORTEST = 40  # milliseconds of a step


def _tiled(pictures: np.ndarray, columns: int, fill: float) -> np.ndarray:
    """``(N, H, W, ...)`` in rows of ``columns``, with gaps of ``fill`` between and around."""
    count, height, width = pictures.shape[:3]
    rows = math.ceil(count / columns)
    size = (rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, *pictures.shape[3:])
    grid = np.full(size, fill, pictures.dtype)
    for index, picture in enumerate(pictures):
        y = _GAP + index // columns * (height + _GAP)
        x = _GAP + index % columns * (width + _GAP)
        grid[y : y + height, x : x + width] = picture
    return grid


def image_grid(
    images: Real[np.ndarray, "images channels height width"], columns: int | None = None
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Lays images out in rows.

    Args:
        images: in [-1, 1], of 1 or 3 channels.
        columns: images to a row; about as many as rows where None.

    Returns:
        Magnified by a whole number, so that small images can be looked at.
    """
    return _magnified(_small_grid(images, columns))


def _small_grid(images: np.ndarray, columns: int | None) -> np.ndarray:
    """The grid before it is magnified, uint8 ``(rows, columns, 3)``."""
    return _tiled(as_pixels(images), columns or math.ceil(math.sqrt(len(images))), 255)


def as_pixels(
    images: Real[np.ndarray, "images channels height width"],
) -> UInt8[np.ndarray, "images height width 3"]:
    """Images in [-1, 1], of 1 or 3 channels, as red, green and blue in bytes."""
    pixels = np.rint((np.clip(images, -1, 1) + 1) * 127.5).astype(np.uint8).transpose(0, 2, 3, 1)
    return np.repeat(pixels, 3, axis=3) if images.shape[1] == 1 else pixels


def _magnified(grid: np.ndarray, width: int = _WANTED_WIDTH) -> np.ndarray:
    factor = max(1, width // grid.shape[1])
    return grid.repeat(factor, axis=0).repeat(factor, axis=1)


def save_grid(
    images: Real[np.ndarray, "images channels height width"],
    target: str | os.PathLike[str],
    columns: int | None = None,
) -> None:
    """Writes :func:`image_grid` as PNG, whole or not at all."""
    with atomic_file(target) as handle:
        Image.fromarray(image_grid(images, columns)).save(handle, format="PNG")


def save_animation(
    frames: Real[np.ndarray, "images steps channels height width"],
    target: str | os.PathLike[str],
    columns: int | None = None,
) -> None:
    """Writes the grid of each step as a GIF that begins anew after its last picture, whole or not at all.

    Args:
        frames: pictures after each step, in [-1, 1], of 1 or 3 channels. Grey is kept as it is; of colours, GIF holds
            the 256 that the pictures have most of.
        target: GIF file.
        columns: as of :func:`image_grid`; the grid is half as large.
    """
    grids = [_small_grid(step, columns) for step in frames.swapaxes(0, 1)]
    if frames.shape[2] == 1:
        shown = [Image.fromarray(_magnified(grid, _MOVING_WIDTH)[..., 0]) for grid in grids]
    else:
        palette = Image.fromarray(np.concatenate(grids)).quantize(256, dither=Image.Dither.NONE)
        shown = [
            Image.fromarray(_magnified(grid, _MOVING_WIDTH)).quantize(palette=palette, dither=Image.Dither.NONE)
            for grid in grids
        ]
    each = [max(_SHORTEST, _RUN // len(shown))] * len(shown)
    each[-1] += _HOLD
    with atomic_file(target) as handle:
        shown[0].save(handle, format="GIF", save_all=True, append_images=shown[1:], duration=each, loop=0)


def save_comparison(
    real: Real[np.ndarray, "others channels height width"],
    left: Real[np.ndarray, "images channels height width"],
    right: Real[np.ndarray, "images channels height width"],
    target: str | os.PathLike[str],
) -> None:
    """Real images, float images and integer images of the same latent spikes, and where the two differ.

    Args:
        real: in [-1, 1], of 1 or 3 channels.
        left: float decoder's images, likewise.
        right: integer decoder's images of the same latent spikes, in the same order.
        target: PNG file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 6.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots(1, 4)
    titles = ("real, held out", "drawn by the float decoder", "drawn by the integer decoder")
    for axis, title, images in zip(axes[:3], titles, (real, left, right), strict=True):
        axis.imshow(image_grid(images[:_SHOWN], _COLUMNS), interpolation="nearest")
        axis.set_title(title)
    difference = np.abs(left[:_SHOWN] - right[:_SHOWN]).mean(axis=1).astype(np.float64)
    shown = axes[3].imshow(_tiled(difference, _COLUMNS, np.nan), cmap="cividis", vmin=0, interpolation="nearest")
    axes[3].set_title("|float - integer|")
    figure.colorbar(shown, ax=axes[3], shrink=0.7, label="difference of a pixel; pixels lie in [−1, 1]")
    for axis in axes:
        axis.set_axis_off()
    mse = float(np.mean((left - right) ** 2))
    figure.suptitle(f"the same latent spikes through both decoders: mean squared difference {mse:.1e}")
    with atomic_file(target) as handle:
        figure.savefig(handle, format="png", dpi=80)

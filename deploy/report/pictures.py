"""Pictures as PNG inside the page: sheets of float and integer images, and maps of where they differ.

Pixels are stored one to one and magnified by the browser, without smoothing.
"""

from __future__ import annotations

import base64
import io
import math
from typing import Any

import numpy as np
from PIL import Image

from esvae.arrays import Real, UInt8
from esvae.pictures import as_pixels

__all__ = ["best_median_worst", "colour_scale", "data_uri", "difference_map", "pair", "sheet"]

_GAP = 1  # pixels between the images of a sheet
_LEVELS = 256


def pair(
    drawn_float: Real[np.ndarray, "images channels height width"],
    drawn_integer: Real[np.ndarray, "images channels height width"],
    errors: Real[np.ndarray, " images"],
    **others: Real[np.ndarray, "images channels height width"],
) -> dict[str, Any]:
    """Sheets of the same images from both decoders, their difference, and the best, median and worst image alone.

    Args:
        drawn_float, drawn_integer: ``(N, C, H, W)`` in [-1, 1], of the same latent spikes.
        errors: mean squared difference of each image, ``(N,)``.
        others: further sheets by name, such as the original images.
    """
    columns = max(4, math.ceil(math.sqrt(len(errors) * 2)))
    columns = min(columns, len(errors))
    difference = np.abs(drawn_float - drawn_integer).mean(axis=1)
    top = float(difference.max())
    shown = {"float": drawn_float, "integer": drawn_integer, **others}
    count, channels, height, width = drawn_float.shape
    singles = []
    for which, index in best_median_worst(errors):
        own = {name: data_uri(sheet(images[index : index + 1], 1, 0)) for name, images in shown.items()}
        own["difference"] = data_uri(_tile(difference_map(difference[index : index + 1], top), 1, 0))
        singles.append({"which": which, "image": int(index), "mse": float(errors[index]), **own})
    return {
        "images": count,
        "columns": columns,
        "image_shape": [channels, height, width],
        "sheets": {
            **{name: data_uri(sheet(images, columns)) for name, images in shown.items()},
            "difference": data_uri(_tile(difference_map(difference, top), columns)),
        },
        "sheet_size": list(_tile(difference_map(difference, top), columns).shape[1::-1]),
        "largest_difference": top,
        "mean_difference": float(difference.mean()),
        "singles": singles,
    }


def best_median_worst(errors: Real[np.ndarray, " images"]) -> list[tuple[str, int]]:
    """The images with the smallest, the middle and the largest error, each once; of equal ones the first."""
    order = np.argsort(errors, kind="stable")
    chosen = {"worst": order[-1], "median": order[len(order) // 2], "best": order[0]}
    seen: dict[int, str] = {int(index): which for which, index in chosen.items()}
    return [(which, index) for index, which in reversed(seen.items())]


def sheet(
    images: Real[np.ndarray, "images channels height width"], columns: int, gap: int = _GAP
) -> UInt8[np.ndarray, "rows columns colours"]:
    """``(N, 1 or 3, H, W)`` in [-1, 1] in rows: uint8 ``(height, width, 3)``, gaps transparent (a fourth channel)."""
    return _tile(as_pixels(images), columns, gap)


def difference_map(
    difference: Real[np.ndarray, "images height width"], top: float
) -> UInt8[np.ndarray, "images height width 3"]:
    """``(N, H, W)`` from 0 to ``top`` as colours of cividis: uint8 ``(N, H, W, 3)``."""
    shares = difference / top if top > 0 else np.zeros_like(difference)
    return _cividis()[np.rint(shares * (_LEVELS - 1)).astype(np.int64)]


def colour_scale() -> str:
    """Cividis from 0 at the left to its top at the right."""
    return data_uri(_cividis()[None])


def _cividis() -> np.ndarray:
    from matplotlib import colormaps

    return np.rint(colormaps["cividis"](np.arange(_LEVELS))[:, :3] * 255).astype(np.uint8)


def _tile(pictures: np.ndarray, columns: int, gap: int = _GAP) -> np.ndarray:
    """uint8 ``(N, H, W, 3)`` in rows of ``columns``, as RGBA with transparent gaps between."""
    count, height, width = pictures.shape[:3]
    rows = math.ceil(count / columns)
    tiled = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap, 4), np.uint8)
    for index, picture in enumerate(pictures):
        y, x = index // columns * (height + gap), index % columns * (width + gap)
        tiled[y : y + height, x : x + width, :3] = picture
        tiled[y : y + height, x : x + width, 3] = 255
    return tiled


def data_uri(pixels: UInt8[np.ndarray, "height width colours"]) -> str:
    """uint8 ``(H, W, 3 or 4)`` as the address of a PNG that holds it."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")

"""From PIL images to arrays of one size: cropped, resized, and kept on disk for the next time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from esvae.arrays import UInt8
from esvae.config import DataConfig
from esvae.data.images import ImageSet
from esvae.errors import DataError
from esvae.machine.arrays import load_array, save_array
from esvae.machine.progress import Progress

__all__ = ["kept_on_disk", "prepared"]

_EVERY = 500  # images between reports


def prepared(
    pictures: Iterable[Image.Image],
    count: int,
    config: DataConfig,
    *,
    crop: int | None,
    title: str,
    report: Progress | None,
) -> UInt8[np.ndarray, "{count} channels height width"]:
    """Crops the centre and resizes (bilinear with antialiasing), as torchvision does with PIL images.

    Args:
        pictures: of any size and mode.
        count: how many.
        config: size and channels wanted.
        crop: side of the square in the centre that is kept, in pixels; the largest there is where None.
        title: goes into the progress report.
        report: shows the progress.

    Returns:
        uint8 ``(count, C, H, W)``.
    """
    size, channels = config.image_size, config.image_channels
    mode = "L" if channels == 1 else "RGB"
    pixels = np.empty((count, channels, size, size), np.uint8)
    for index, picture in enumerate(pictures):
        side = min(picture.size) if crop is None else crop
        left, top = (round((extent - side) / 2) for extent in picture.size)
        if picture.size != (side, side):
            picture = picture.crop((left, top, left + side, top + side))
        small = picture.convert(mode).resize((size, size), Image.Resampling.BILINEAR)
        pixels[index] = np.asarray(small).reshape(size, size, channels).transpose(2, 0, 1)
        if report is not None and index % _EVERY == 0:
            report(index / count, f"preparing {title}")
    return pixels


def kept_on_disk(
    path: Path, config: DataConfig, make: Callable[[], UInt8[np.ndarray, "images channels height width"]]
) -> ImageSet:
    """The array that ``make`` gives, from ``path`` if it is there, else made, written there and mapped.

    Raises:
        DataError: the file there is damaged, or holds something else than images of the config.
    """
    if not path.exists():
        save_array(path, make())
    wanted = (config.image_channels, config.image_size, config.image_size)
    try:
        pixels = load_array(path, "images", mapped="c")  # copy on write: torch wants memory that it could write to
        if pixels.dtype != np.uint8 or pixels.shape[1:] != wanted or not len(pixels):
            raise DataError(f"{path}: holds {pixels.dtype} {pixels.shape}, expected uint8 (images, *{wanted})")
    except DataError as error:
        raise DataError(f"{error}: a damaged prepared file; remove it, it will be made again") from None
    return ImageSet(torch.from_numpy(pixels))

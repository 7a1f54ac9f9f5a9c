"""Any folder of images."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from esvae.config import DataConfig
from esvae.data.images import ImageSet, ImageSplits
from esvae.data.prepare import prepared
from esvae.errors import DataError
from esvae.machine.files import open_regular
from esvae.machine.progress import Progress

__all__ = ["from_folder", "open_picture", "split_folder"]

_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
_TEST_EVERY = 10  # where there are no train/ and test/ folders, every tenth image is held out


def from_folder(config: DataConfig, root: Path, report: Progress | None = None) -> ImageSplits:
    """Images below ``root`` (png, jpg and such), the largest centre square of each resized to the config's size.

    Where it has folders ``train`` and ``test``, these are the splits; else every tenth image, by name, is for testing.

    Raises:
        DataError: no folder, no images in it, or one that cannot be read.
    """
    return ImageSplits(*(_loaded(paths, config, report) for paths in split_folder(root)))


def split_folder(root: Path) -> tuple[list[Path], list[Path]]:
    """The files of the training and of the test images below ``root``.

    Raises:
        DataError: no folder, or too few images in it.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder of images; name one with --data-root")
    if (root / "train").is_dir() and (root / "test").is_dir():
        return _images(root / "train"), _images(root / "test")
    paths = _images(root)
    test = paths[_TEST_EVERY - 1 :: _TEST_EVERY]
    if not test:
        raise DataError(f"{root}: {len(paths)} images are too few to hold one in {_TEST_EVERY} out; add some")
    return [path for index, path in enumerate(paths) if index % _TEST_EVERY != _TEST_EVERY - 1], test


def _images(folder: Path) -> list[Path]:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and not path.is_dir())
    if not paths:
        raise DataError(f"{folder}: no images in it; it takes {', '.join(sorted(_SUFFIXES))}")
    return paths


def _loaded(paths: list[Path], config: DataConfig, report: Progress | None) -> ImageSet:
    array = prepared(map(open_picture, paths), len(paths), config, crop=None, title=paths[0].parent.name, report=report)
    return ImageSet(torch.from_numpy(array))


def open_picture(path: Path) -> Image.Image:
    """A picture in grey or RGB, 8 bits a channel.

    Raises:
        DataError: none that can be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is odd beside the pixels
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with open_regular(path) as file, Image.open(file) as picture:
                picture.load()
                return _eight_bits(picture)
    except Image.DecompressionBombWarning:
        reason = "far too large"
    except Exception as error:  # Pillow's readers raise anything on what is damaged
        reason = " ".join(str(error).split()) or type(error).__name__
    raise DataError(f"{path}: cannot be read as an image ({reason[:80]}); mend or remove it")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Grey or RGB, 8 bits a channel; 16 bits are scaled, where Pillow would cut all that is above 255.

    Raises:
        ValueError: floats, or whole numbers beyond 16 bits, of which nobody says what is white.
    """
    if picture.mode.startswith(("I", "F")):
        values = np.asarray(picture)
        if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65_535:
            raise ValueError(f"mode {picture.mode}, expected 8 or 16 bits")
        return Image.fromarray(((values.astype(np.uint32) * 255 + 32_767) // 65_535).astype(np.uint8))
    return picture.copy() if picture.mode == "L" else picture.convert("RGB")

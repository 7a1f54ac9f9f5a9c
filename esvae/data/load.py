"""From a config to images."""

from __future__ import annotations

import os
from pathlib import Path

from esvae.config import DataConfig
from esvae.data.digits import embedded_digits
from esvae.data.folder import from_folder
from esvae.data.images import ImageSplits
from esvae.data.vision import from_torchvision
from esvae.machine.progress import Progress

__all__ = ["data_root", "load_images"]


def data_root(given: str | os.PathLike[str] | None = None) -> Path:
    """Where data sets are: what is given, else the variable ``ESVAE_DATA``, else the folder ``data``."""
    return Path(given or os.environ.get("ESVAE_DATA") or "data")


def load_images(
    config: DataConfig, root: str | os.PathLike[str] | None = None, report: Progress | None = None
) -> ImageSplits:
    """Loads a data set, resized, split the same way every time.

    Args:
        config: which, in what size and with how many channels.
        root: the folder of data sets, or, with ``data.name: folder``, of images; see :func:`data_root`.
        report: shows the progress of what takes long.

    Raises:
        DataError: the data are missing or damaged; says what to put where.
    """
    if config.name == "digits":
        return embedded_digits(config)
    load = from_folder if config.name == "folder" else from_torchvision
    return load(config, data_root(root), report)

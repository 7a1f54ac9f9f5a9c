"""Whether a data set is there: how many images of what size, where it was looked for, and what is missing."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from esvae.config import DATA_NAMES, DataConfig
from esvae.data.digits import embedded_digits
from esvae.data.folder import open_picture, split_folder
from esvae.data.load import data_root
from esvae.data.vision import SOURCES, open_vision
from esvae.errors import DataError
from esvae.machine.progress import Progress

__all__ = ["FoundData", "look_for_data"]

_EVERY = 200  # images between reports


@dataclass(frozen=True)
class FoundData:
    """What there is of a data set.

    Attributes:
        name: of the data set, or ``folder``.
        place: where it was looked for; None where it comes with a package.
        train, test: images; None where they are not there.
        smallest, largest: ``(channels, height, width)`` of its pictures, as they are, each number the extreme of all
            that were looked at: of a folder all, else the first.
        missing: files that are neither there nor unpacked.
        prepared: sizes, as ``32x32x1``, in which all images are kept already and can be used without the files.
        remedy: what to do where it is missing.
    """

    name: str
    place: Path | None
    train: int | None = None
    test: int | None = None
    smallest: tuple[int, int, int] | None = None
    largest: tuple[int, int, int] | None = None
    missing: tuple[str, ...] = ()
    prepared: tuple[str, ...] = ()
    remedy: str = ""

    @property
    def there(self) -> bool:
        """Whether all of it can be read."""
        return self.train is not None


def look_for_data(
    name: str | os.PathLike[str], root: str | os.PathLike[str] | None = None, report: Progress | None = None
) -> FoundData:
    """Looks for a data set and reads what says how large it is; nothing is fetched.

    Args:
        name: of a data set, or a folder of images; ``folder`` means the data root.
        root: of the data sets, as for :func:`~esvae.data.load.load_images`.
        report: shows the progress.

    Raises:
        DataError: neither a data set nor a folder; one that is damaged.
    """
    place = data_root(root).absolute()
    if name == "digits":
        config = DataConfig(name="digits", image_size=8)
        splits = embedded_digits(config)
        shape = (1, 8, 8)
        return FoundData("digits", None, len(splits.train), len(splits.test), shape, shape)
    if name in SOURCES:
        return _of_torchvision(str(name), place, report)
    folder = place if name == "folder" else Path(name).absolute()
    if name not in DATA_NAMES and not folder.is_dir():
        raise DataError(f"{name}: neither a folder nor a data set; the data sets are {', '.join(DATA_NAMES[:-1])}")
    return _of_folder(folder, report)


def _of_torchvision(name: str, root: Path, report: Progress | None) -> FoundData:
    source = SOURCES[name]
    place, prepared = root / source.below, tuple(_prepared(name, root))
    if missing := source.missing(root):
        return FoundData(name, place, missing=tuple(missing), prepared=prepared, remedy=source.remedy(root, missing))
    if report is not None:
        report(0.0, f"reading {source.title}")
    train, test = open_vision(name, root, True), open_vision(name, root, False)
    shape = _shape(train[0][0])
    return FoundData(name, place, len(train), len(test), shape, shape, prepared=prepared)


def _prepared(name: str, root: Path) -> Iterable[str]:
    """Sizes of which the images for training and for testing are kept."""
    for path in sorted((root / "prepared").glob(f"{name}_*_train.npy")):
        size = path.stem.removeprefix(f"{name}_").removesuffix("_train")
        if "_" not in size and path.with_name(path.name.replace("_train", "_test")).is_file():
            yield size


def _of_folder(root: Path, report: Progress | None) -> FoundData:
    train, test = split_folder(root)
    shapes = []
    for index, path in enumerate([*train, *test]):
        shapes.append(_shape(open_picture(path)))
        if report is not None and index % _EVERY == 0:
            report(index / (len(train) + len(test)), f"reading {root}")
    axes = list(zip(*shapes, strict=True))
    smallest, largest = (tuple(map(extreme, axes)) for extreme in (min, max))
    return FoundData("folder", root, len(train), len(test), smallest, largest)  # type: ignore[arg-type]


def _shape(picture: Image.Image) -> tuple[int, int, int]:
    return len(picture.getbands()), picture.height, picture.width

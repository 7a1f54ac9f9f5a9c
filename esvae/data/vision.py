"""MNIST, Fashion-MNIST, CIFAR-10 and CelebA through torchvision, prepared as the paper prepares them."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from esvae.config import DataConfig
from esvae.data.images import ImageSet, ImageSplits
from esvae.data.prepare import kept_on_disk, prepared
from esvae.errors import DataError, EsvaeError
from esvae.machine.fetching import told_downloads
from esvae.machine.progress import Progress

__all__ = ["SOURCES", "Source", "from_torchvision", "open_vision", "prepared_file"]

_SECONDS = 20  # of silence after which a download is given up


@dataclass(frozen=True)
class Source:
    """A data set of torchvision.

    Attributes:
        title: its name for people.
        kind: torchvision's class.
        files: as they are published, each with what it is unpacked to; either will do.
        below: the folder below the data root that they belong in.
        crop: side of the centre square that is kept, in pixels; None for all of it.
    """

    title: str
    kind: str
    files: dict[str, str]
    below: str = ""
    crop: int | None = None

    def missing(self, root: Path) -> list[str]:
        """Files that are not below ``root``, neither as they are published nor unpacked."""
        place = root / self.below
        return [
            file for file, inside in self.files.items() if not ((place / file).exists() or (place / inside).exists())
        ]

    def remedy(self, root: Path, wanted: Iterable[str] = ()) -> str:
        """Which files, all of them or those that are wanted, to put where, for whoever has no network."""
        *first, last = wanted or self.files
        files = f"{', '.join(first)} and {last}" if first else last
        return f"put {files} into {root / self.below}, or name another folder with --data-root or ESVAE_DATA"

    def arguments(self, training: bool) -> dict[str, Any]:
        """What torchvision's class calls its split."""
        return {"split": "train" if training else "test"} if self.kind == "CelebA" else {"train": training}


_IDX = {
    f"{part}-{what}-ubyte.gz": f"{part}-{what}-ubyte"
    for part in ("train", "t10k")
    for what in ("images-idx3", "labels-idx1")
}
_LISTS = (
    "list_eval_partition",
    "identity_CelebA",
    "list_attr_celeba",
    "list_bbox_celeba",
    "list_landmarks_align_celeba",
)
SOURCES = {
    "mnist": Source("MNIST", "MNIST", _IDX, "MNIST/raw"),
    "fashion_mnist": Source("Fashion-MNIST", "FashionMNIST", _IDX, "FashionMNIST/raw"),
    "cifar10": Source("CIFAR-10", "CIFAR10", {"cifar-10-python.tar.gz": "cifar-10-batches-py"}),
    "celeba": Source(
        "CelebA",
        "CelebA",
        {"img_align_celeba.zip": "img_align_celeba", **{f"{name}.txt": f"{name}.txt" for name in _LISTS}},
        "celeba",
        crop=148,
    ),
}


def from_torchvision(config: DataConfig, root: Path, report: Progress | None = None) -> ImageSplits:
    """A data set below ``root``, fetched first if it is not there; prepared once for each size, then mapped from disk.

    Raises:
        DataError: torchvision is missing; the data are neither there nor can be fetched; a file is damaged.
    """
    source = SOURCES[config.name]

    def split(training: bool) -> ImageSet:
        title = f"{source.title}, {'train' if training else 'test'}"

        def make() -> Any:
            if report is not None:
                report(0.0, f"reading {source.title}" if not source.missing(root) else f"fetching {source.title}")
            dataset = open_vision(config.name, root, training, report)
            with _clear_errors(config.name, root):
                return prepared(_pictures(dataset), len(dataset), config, crop=source.crop, title=title, report=report)

        return kept_on_disk(prepared_file(config, root, training), config, make)

    return ImageSplits(split(True), split(False))


def prepared_file(config: DataConfig, root: Path, training: bool) -> Path:
    """Where the images of a config are kept once they have its size and channels."""
    size, part = config.image_size, "train" if training else "test"
    return root / "prepared" / f"{config.name}_{size}x{size}x{config.image_channels}_{part}.npy"


def _pictures(dataset: Any) -> Iterator[Image.Image]:
    return (dataset[index][0] for index in range(len(dataset)))


def open_vision(name: str, root: Path, training: bool, report: Progress | None = None) -> Any:
    """torchvision's data set, whose items begin with a picture; unpacked or fetched first where it has to be.

    Nothing is printed; ``report`` is told how far a download is.

    Raises:
        DataError: as :func:`from_torchvision`.
    """
    source = SOURCES[name]
    try:
        from torchvision import datasets
        from torchvision.datasets import utils
    except (ImportError, RuntimeError) as error:  # beside another build of torch it fails to register its operators
        reason = str(error).splitlines()[0]
        raise DataError(
            f"{source.title} needs torchvision, which cannot be imported ({reason}); "
            "run: pip install 'esvae-loihi[data]', with the same build (CPU or CUDA) as torch"
        ) from None
    kind = getattr(datasets, source.kind)

    def tell(how_far: str) -> None:
        if report is not None:
            report(0.0, f"fetching {source.title}, {how_far}")

    with _clear_errors(name, root), redirect_stdout(io.StringIO()), told_downloads(utils, tell):
        try:
            return kind(str(root), download=False, **source.arguments(training))
        except RuntimeError:  # not there
            root.mkdir(parents=True, exist_ok=True)
            return kind(str(root), download=True, **source.arguments(training))


@contextmanager
def _clear_errors(name: str, root: Path) -> Iterator[None]:
    """Whatever torchvision raises, as one line that says what to put where; no download waits for ever."""
    source, before = SOURCES[name], socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SECONDS)
    try:
        yield
    except EsvaeError:
        raise
    except Exception as error:  # torchvision raises anything on damaged files, AssertionError and KeyError too
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{source.title} is not in {root} and cannot be fetched or read ({reason[:120]}); "
            f"{source.remedy(root)}; esvae data check {name} says what is there"
        ) from None
    finally:
        socket.setdefaulttimeout(before)

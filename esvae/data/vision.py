"""MNIST, Fashion-MNIST, CIFAR-10 and CelebA through torchvision, prepared as the paper prepares them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from esvae.config import DataConfig
from esvae.data.images import ImageSet, ImageSplits
from esvae.data.prepare import Report, kept_on_disk, prepared
from esvae.errors import DataError, EsvaeError

__all__ = ["SOURCES", "Source", "from_torchvision"]

_SECONDS = 20  # of silence after which a download is given up


@dataclass(frozen=True)
class Source:
    """A data set of torchvision.

    Attributes:
        title: its name for people.
        kind: torchvision's class.
        place: what belongs where below the data root, for whoever has no network.
        crop: side of the centre square that is kept, in pixels; None for all of it.
    """

    title: str
    kind: str
    place: str
    crop: int | None = None

    def arguments(self, training: bool) -> dict[str, Any]:
        """What torchvision's class calls its split."""
        return {"split": "train" if training else "test"} if self.kind == "CelebA" else {"train": training}


_IDX = "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz"
SOURCES = {
    "mnist": Source("MNIST", "MNIST", f"{_IDX} into MNIST/raw"),
    "fashion_mnist": Source("Fashion-MNIST", "FashionMNIST", f"{_IDX} into FashionMNIST/raw"),
    "cifar10": Source("CIFAR-10", "CIFAR10", "cifar-10-python.tar.gz"),
    "celeba": Source(
        "CelebA",
        "CelebA",
        "img_align_celeba.zip (unpacked), list_eval_partition.txt, identity_CelebA.txt, list_attr_celeba.txt, "
        "list_bbox_celeba.txt and list_landmarks_align_celeba.txt into celeba",
        crop=148,
    ),
}


def from_torchvision(config: DataConfig, root: Path, report: Report | None = None) -> ImageSplits:
    """A data set below ``root``, fetched first if it is not there; prepared once for each size, then mapped from disk.

    Raises:
        DataError: torchvision is missing; the data are neither there nor can be fetched; a file is damaged.
    """
    source = SOURCES[config.name]

    def split(training: bool) -> ImageSet:
        part = "train" if training else "test"
        file = f"{config.name}_{config.image_size}x{config.image_size}x{config.image_channels}_{part}.npy"

        def make() -> Any:
            dataset = _opened(source, root, training)
            title = f"{source.title}, {part}"
            with _clear_errors(source, root):
                return prepared(_pictures(dataset), len(dataset), config, crop=source.crop, title=title, report=report)

        return kept_on_disk(root / "prepared" / file, config, make)

    return ImageSplits(split(True), split(False))


def _pictures(dataset: Any) -> Iterator[Image.Image]:
    return (dataset[index][0] for index in range(len(dataset)))


def _opened(source: Source, root: Path, training: bool) -> Any:
    try:
        from torchvision import datasets
    except (ImportError, RuntimeError) as error:  # beside another build of torch it fails to register its operators
        reason = str(error).splitlines()[0]
        raise DataError(
            f"{source.title} needs torchvision, which cannot be imported ({reason}); "
            "run: pip install 'esvae-loihi[data]', with the same build (CPU or CUDA) as torch"
        ) from None
    kind = getattr(datasets, source.kind)
    with _clear_errors(source, root):
        try:
            return kind(str(root), download=False, **source.arguments(training))
        except RuntimeError:  # not there
            root.mkdir(parents=True, exist_ok=True)
            return kind(str(root), download=True, **source.arguments(training))


@contextmanager
def _clear_errors(source: Source, root: Path) -> Iterator[None]:
    """Whatever torchvision raises, as one line that says what to put where; no download waits for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SECONDS)
    try:
        yield
    except EsvaeError:
        raise
    except Exception as error:  # torchvision raises anything on damaged files, AssertionError and KeyError too
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{source.title} is not in {root} and cannot be fetched or read ({reason[:120]}); "
            f"put {source.place} there, or name another folder with --data-root or ESVAE_DATA"
        ) from None
    finally:
        socket.setdefaulttimeout(before)

"""Looking for data sets: what is there, of what size, where, and what is missing; nothing is fetched."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from esvae.config import DataConfig
from esvae.data import load_images, look_for_data
from esvae.data.vision import SOURCES
from esvae.errors import DataError


def write_mnist(root: Path, train: int = 12, test: int = 5) -> Path:
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for part, count in (("train", train), ("t10k", test)):
        pixels = np.random.default_rng(count).integers(0, 256, (count, 28, 28), np.uint8)
        header = struct.pack(">iiii", 2051, *pixels.shape)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">ii", 2049, count) + bytes(count))
    return folder


def test_the_digits_are_always_there() -> None:
    found = look_for_data("digits", "nowhere")
    assert found.there
    assert (found.place, found.train, found.test, found.smallest) == (None, 1500, 297, (1, 8, 8))


@pytest.mark.parametrize("name", SOURCES)
def test_what_is_missing_is_named(name: str, tmp_path: Path) -> None:
    found = look_for_data(name, tmp_path)
    source = SOURCES[name]
    assert not found.there
    assert (found.missing, found.place) == (tuple(source.files), tmp_path / source.below)
    assert all(file in found.remedy for file in source.files)
    assert str(found.place) in found.remedy
    assert not list(tmp_path.iterdir())


def test_a_data_set_is_counted_as_it_will_be_loaded(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    folder = write_mnist(tmp_path)
    found = look_for_data("mnist", tmp_path)
    assert (found.train, found.test, found.smallest, found.largest) == (12, 5, (1, 28, 28), (1, 28, 28))
    assert (found.place, found.missing, found.prepared) == (folder, (), ())
    load_images(DataConfig(name="mnist", image_size=32), tmp_path)
    assert look_for_data("mnist", tmp_path).prepared == ("32x32x1",)
    (folder / "t10k-labels-idx1-ubyte").unlink()
    found = look_for_data("mnist", tmp_path)
    assert (found.there, found.missing, found.prepared) == (False, ("t10k-labels-idx1-ubyte.gz",), ("32x32x1",))


def test_damaged_files_are_an_error(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    folder = write_mnist(tmp_path)
    (folder / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03 and no more")
    with pytest.raises(DataError, match=r"MNIST is not in .* cannot be fetched or read"):
        look_for_data("mnist", tmp_path)


def test_folders_of_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(20):
        size, mode = ((9, 12), "L") if index else ((40, 30), "RGB")
        Image.new(mode, size).save(folder / f"{index:02d}.png")
    monkeypatch.chdir(tmp_path)
    found = look_for_data("photos")
    assert (found.name, found.place, found.train, found.test) == ("folder", folder, 18, 2)
    assert (found.smallest, found.largest) == ((1, 12, 9), (3, 30, 40))
    splits = load_images(DataConfig(name="folder", image_size=8), folder)
    assert (len(splits.train), len(splits.test)) == (found.train, found.test)
    assert look_for_data("folder", folder) == found
    (folder / "07.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"07\.png: cannot be read as an image"):
        look_for_data("photos")
    with pytest.raises(DataError, match="photo: neither a folder nor a data set; the data sets are digits, mnist"):
        look_for_data("photo")

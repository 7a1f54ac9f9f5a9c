"""Data sets come in the config's size, the same way every time, or say what is missing."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from esvae.config import DataConfig
from esvae.data import ImageSet, load_images
from esvae.data.folder import from_folder
from esvae.errors import DataError
from esvae.training.batches import Batches


def test_digits_are_split_the_same_way_every_time_and_lie_in_range() -> None:
    first, again = (load_images(DataConfig(image_size=16)) for _ in range(2))
    train = first.train.tensor()
    assert train.shape == (1500, 1, 16, 16)
    assert first.test.tensor().shape == (297, 1, 16, 16)
    assert torch.equal(train, again.train.tensor())
    assert train.min() == -1
    assert train.max() == 1
    native = load_images(DataConfig(image_size=8, image_channels=3)).train.tensor()
    assert native.shape == (1500, 3, 8, 8)
    assert ((native + 1) * 8 % 1 == 0).all(), "at 8x8 the 17 grey levels are left as they are"


def test_eight_bit_images_span_the_range_and_are_mirrored_where_asked() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).reshape(4, 1, 8, 8)
    images = ImageSet(pixels)
    batch = images.batch(torch.tensor([0, 3]), torch.tensor([False, True]))
    assert batch.dtype == torch.float32
    assert batch[0].min() == -1
    assert batch[1].max() == 1
    assert torch.equal(batch[1].flip(2), images.tensor()[3])
    assert torch.equal(torch.cat(list(images.split(3))), images.tensor())
    assert len(images.head(2)) == 2


@given(
    count=st.integers(4, 60),
    size=st.integers(2, 20),
    seed=st.integers(0, 5),
    first=st.integers(0, 12),
    flip=st.booleans(),
)
def test_batches_do_not_depend_on_where_they_begin_or_who_asks(
    count: int, size: int, seed: int, first: int, flip: bool
) -> None:
    size = min(size, count) // 2 * 2
    images = ImageSet(torch.arange(count, dtype=torch.float32).view(-1, 1, 1, 1) + torch.tensor([0.0, 0.5]))
    whole = list(Batches(images, size, seed, flip=flip, total=20))
    assert len(whole) == 20
    later = list(Batches(images, size, seed, flip=flip, first=first, total=20))
    assert all(torch.equal(left, right) for left, right in zip(whole[first:], later, strict=True))
    shares = []
    for part in range(2):
        share = Batches(images, size, seed, flip=flip, total=20)
        share.spread(part, 2)
        shares.append(list(share))
    for left, *parts in zip(whole, *shares, strict=True):
        assert torch.equal(left, torch.cat(parts))
    steps = count // size
    epoch = torch.cat(whole[:steps])[:, 0, 0].amin(1)
    assert len(epoch.unique()) == len(epoch), "an image comes twice in an epoch"


def write_idx(folder: Path, pixels: np.ndarray, part: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    header = struct.pack(">iiii", 2051, *pixels.shape)
    (folder / f"{part}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
    (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">ii", 2049, len(pixels)) + bytes(len(pixels)))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloads fail as they do without a network."""
    import urllib.request
    from urllib.error import URLError

    def refuse(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
def test_idx_files_are_resized_once_and_kept(name: str, folder: str, tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    pixels = np.random.default_rng(0).integers(0, 256, (12, 28, 28), np.uint8)
    write_idx(tmp_path / folder / "raw", pixels, "train")
    write_idx(tmp_path / folder / "raw", pixels[:5], "t10k")
    config = DataConfig(name=name, image_size=32)  # type: ignore[arg-type]
    splits = load_images(config, tmp_path)
    assert len(splits.train) == 12
    assert len(splits.test) == 5
    wanted = np.asarray(Image.fromarray(pixels[3]).resize((32, 32), Image.Resampling.BILINEAR))
    assert np.array_equal(splits.train.pixels[3, 0].numpy(), wanted)
    (tmp_path / folder / "raw" / "train-images-idx3-ubyte").unlink()
    assert torch.equal(load_images(config, tmp_path).train.pixels, splits.train.pixels)  # from what was kept
    kept = tmp_path / "prepared" / f"{name}_32x32x1_train.npy"
    content = kept.read_bytes()
    kept.write_bytes(content[:100])
    with pytest.raises(DataError, match=r"damaged .* remove it, it will be made again"):
        load_images(config, tmp_path)
    for other in (np.load(kept_again(kept, content))[:, 0], np.load(kept).astype("f4"), np.load(kept)[:0]):
        np.save(kept, other)
        with pytest.raises(DataError, match=r"expected uint8 .* remove it, it will be made again"):
            load_images(config, tmp_path)
        kept.write_bytes(content)


def kept_again(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_damaged_idx_files_are_one_error(tmp_path: Path, no_network: None) -> None:
    """torchvision asserts, looks types up, and counts labels."""
    pytest.importorskip("torchvision")
    raw = tmp_path / "MNIST" / "raw"
    write_idx(raw, np.zeros((12, 9, 9), np.uint8), "t10k")
    images, labels = raw / "train-images-idx3-ubyte", raw / "train-labels-idx1-ubyte"
    for path, at, value in ((images, 3, 9), (images, 2, 10), (images, 7, 99), (labels, 2, 1), (labels, 7, 3)):
        write_idx(raw, np.zeros((12, 9, 9), np.uint8), "train")
        changed = bytearray(path.read_bytes())
        changed[at] = value
        path.write_bytes(changed)
        if path == labels and at == 7:
            path.write_bytes(changed[:11])
        with pytest.raises(DataError, match=r"cannot be fetched or read .* into .*/MNIST/raw, or name"):
            load_images(DataConfig(name="mnist", image_size=8), tmp_path)


def test_an_official_archive_is_unpacked_without_a_network(tmp_path: Path, no_network: None) -> None:
    pytest.importorskip("torchvision")
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"not the official bytes"))
    with pytest.raises(DataError, match=r"MNIST is not in .* put train-images-idx3-ubyte\.gz, .* into .*/MNIST/raw,"):
        load_images(DataConfig(name="mnist", image_size=32), tmp_path)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("mnist", r" and t10k-labels-idx1-ubyte\.gz into .*/MNIST/raw, "),
        ("fashion_mnist", r"into .*/FashionMNIST/raw, "),
        ("cifar10", r"put cifar-10-python\.tar\.gz into "),
        ("celeba", r"img_align_celeba\.zip, .* into .*/celeba, "),
    ],
)
def test_missing_data_say_what_to_put_where(name: str, place: str, tmp_path: Path, no_network: None) -> None:
    pytest.importorskip("torchvision")
    with pytest.raises(DataError, match=place) as caught:
        load_images(DataConfig(name=name, image_size=32, image_channels=3), tmp_path)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert "--data-root" in str(caught.value)
    assert f"esvae data check {name} says what is there" in str(caught.value)


def test_the_data_root_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESVAE_DATA", str(tmp_path / "pictures"))
    with pytest.raises(DataError, match=f"{tmp_path}/pictures: no such folder of images"):
        load_images(DataConfig(name="folder"))


def make_folder(root: Path, count: int) -> None:
    root.mkdir(parents=True)
    noise = np.random.default_rng(1)
    for index in range(count):
        shape = (20 + index, 40, 3) if index % 2 else (33, 21)
        Image.fromarray(noise.integers(0, 256, shape, np.uint8)).save(root / f"{index:03d}.png")
    (root / "notes.txt").write_text("no image")


@pytest.mark.parametrize("channels", [1, 3])
def test_any_folder_of_images(channels: int, tmp_path: Path) -> None:
    make_folder(tmp_path / "all", 20)
    config = DataConfig(name="folder", image_size=16, image_channels=channels)  # type: ignore[arg-type]
    splits = load_images(config, tmp_path / "all")
    assert splits.train.pixels.shape == (18, channels, 16, 16)
    assert splits.test.pixels.shape == (2, channels, 16, 16)
    make_folder(tmp_path / "parts" / "train", 4)
    make_folder(tmp_path / "parts" / "test" / "deeper", 3)
    splits = load_images(config, tmp_path / "parts")
    assert len(splits.train) == 4
    assert len(splits.test) == 3


def test_the_largest_centre_square_is_kept(tmp_path: Path) -> None:
    picture = np.zeros((16, 32), np.uint8)
    picture[:, 8:24] = 200
    tmp_path.joinpath("train").mkdir()
    tmp_path.joinpath("test").mkdir()
    for part in ("train", "test"):
        Image.fromarray(picture).save(tmp_path / part / "a.png")
    config = DataConfig(name="folder", image_size=16)
    assert (load_images(config, tmp_path).train.pixels == 200).all()


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    config = DataConfig(name="folder")
    with pytest.raises(DataError, match=r"no images in it; it takes \.bmp, "):
        load_images(config, tmp_path)
    make_folder(tmp_path / "few", 9)
    with pytest.raises(DataError, match="9 images are too few"):
        load_images(config, tmp_path / "few")
    make_folder(tmp_path / "bad", 10)
    path = tmp_path / "bad" / "004.png"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"004\.png: cannot be read as an image"):
        load_images(config, tmp_path / "bad")
    path.write_bytes(b"hello")
    with pytest.raises(DataError, match=r"004\.png: cannot be read as an image"):
        load_images(config, tmp_path / "bad")
    path.unlink()
    for make in (os.mkfifo, lambda name: name.symlink_to(name.name), lambda name: name.symlink_to("nowhere")):
        make(path)  # waited for, looked up for ever, or passed over so that another image is held out
        with pytest.raises(DataError, match=r"004\.png: cannot be read as an image"):
            load_images(config, tmp_path / "bad")
        path.unlink()
    make_folder(tmp_path / "good", 10)
    (tmp_path / "good" / "folder.png").mkdir()
    assert len(load_images(config, tmp_path / "good").train) == 9


def test_celeba_is_cut_at_its_centre_and_resized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the paper does: the centre of 148x148, to 64x64; on pictures of the data set's 178x218."""
    datasets = pytest.importorskip("torchvision").datasets
    monkeypatch.setattr(datasets.CelebA, "_check_integrity", lambda self: True)
    folder = tmp_path / "celeba" / "img_align_celeba"
    folder.mkdir(parents=True)
    names = [f"{number:06d}.png" for number in range(1, 6)]
    for index, name in enumerate(names):
        picture = np.zeros((218, 178, 3), np.uint8)
        picture[35:183, 15:163] = 50 * index + 20  # what is cut out
        Image.fromarray(picture).save(folder / name)
    lists = tmp_path / "celeba"
    (lists / "list_eval_partition.txt").write_text("".join(f"{n} {0 if i < 3 else 2}\n" for i, n in enumerate(names)))
    (lists / "identity_CelebA.txt").write_text("".join(f"{n} 1\n" for n in names))
    for file, columns in (
        ("list_bbox_celeba", "x y w h"),
        ("list_landmarks_align_celeba", "a b"),
        ("list_attr_celeba", "c"),
    ):
        count = len(columns.split())
        rows = "".join(f"{n} {' '.join(['1'] * count)}\n" for n in names)
        (lists / f"{file}.txt").write_text(f"{len(names)}\n{columns}\n{rows}")
    splits = load_images(DataConfig(name="celeba", image_size=64, image_channels=3), tmp_path)
    assert splits.train.pixels.shape == (3, 3, 64, 64)
    assert splits.test.pixels.shape == (2, 3, 64, 64)
    assert (splits.train.pixels[1] == 70).all()


def test_sixteen_bits_are_scaled_and_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    """Pillow would make white of all that is above 255 of 65,535."""
    (tmp_path / "train").mkdir()
    (tmp_path / "test").mkdir()
    values = np.full((8, 8), 32_896, np.uint16)
    Image.fromarray(values).save(tmp_path / "train" / "a.png")
    Image.fromarray(np.full((8, 8), 128, np.uint8)).save(tmp_path / "test" / "a.png")
    config = DataConfig(name="folder", image_size=8, image_channels=1)
    splits = from_folder(config, tmp_path)
    assert torch.equal(splits.train.pixels, splits.test.pixels)
    content = (tmp_path / "train" / "a.png").read_bytes()
    for damaged in (content[:45], content[:20] + b"\xff" * 8 + content[28:], b"", b"GIF89a"):
        (tmp_path / "train" / "a.png").write_bytes(damaged)
        with pytest.raises(DataError, match=r"a\.png: cannot be read as an image"):
            from_folder(config, tmp_path)

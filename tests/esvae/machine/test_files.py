"""Files appear whole or not at all, and only as files: what stands in the way is named, and left as it is."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest

from esvae.errors import ConfigError, EsvaeError
from esvae.machine.files import atomic_file, open_regular, read_regular, sha256_file, write_text
from esvae.machine.hdf5 import Storage, hdf5_image, hdf5_storage
from esvae.machine.outputs import output_file, output_folder


def obstacle(kind: str, folder: Path) -> Path:
    """A target that no file may be written to."""
    target = folder / "x.png"
    if kind == "pipe":
        os.mkfifo(target)
    elif kind == "device":
        try:
            os.mknod(target, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("making a device needs root")
    elif kind == "folder":
        target.mkdir()
    elif kind == "loop":
        target.symlink_to(target.name)
    elif kind == "below a file":
        (folder / "file").write_bytes(b"")
        target = folder / "file" / "sub" / "x.png"
    else:
        target = folder / ("x" * 296 + ".png")
    return target


OBSTACLES = {
    "pipe": "a pipe, expected a file",
    "device": "a device, expected a file",
    "folder": "a folder, expected a file",
    "loop": "symbolic links",
    "below a file": "Not a directory",
    "long name": "File name too long",
}


@pytest.mark.parametrize("kind", OBSTACLES)
def test_what_is_no_file_is_not_replaced(kind: str, tmp_path: Path) -> None:
    target = obstacle(kind, tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(EsvaeError, match=f"cannot write .*: .*{OBSTACLES[kind]}"):
        write_text(target, "text")
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    with pytest.raises(ConfigError, match=r"^-o "):
        output_file(target, ".png", option="-o")


def test_a_link_is_followed_to_the_file_that_it_names(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for name in ("old", "new"):
        link = tmp_path / f"{name}.txt"
        link.symlink_to(f"there/{name}")
        if name == "old":
            (tmp_path / "there" / name).write_text("before")
        write_text(link, "after")
        assert link.is_symlink()
        assert (tmp_path / "there" / name).read_text() == "after"


def test_the_longest_name_there_is_can_be_written(tmp_path: Path) -> None:
    write_text(tmp_path / ("x" * 255), "text")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["text"]


def test_an_error_inside_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "x"
    write_text(target, "before")

    def write() -> None:
        with atomic_file(target) as handle:
            handle.write(b"after")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_only_files_are_read_and_nothing_is_waited_for(kind: str, tmp_path: Path) -> None:
    target = obstacle(kind, tmp_path)
    for read in (open_regular, sha256_file, lambda path: read_regular(path, 10)):
        with pytest.raises(OSError, match="expected a file"):
            read(target)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"0123456789")
    assert read_regular(tmp_path / "x", 10) == b"0123456789"
    with pytest.raises(OSError, match="larger than 9 bytes"):
        read_regular(tmp_path / "x", 9)


def values(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 99, (500, 40))


def fill(file: h5py.File) -> None:
    for index in range(20):
        file.create_dataset(f"group{index}/values", data=values(index), chunks=(10, 40), compression="gzip")
        file[f"group{index}/number"] = index


def test_hdf5_in_memory_gives_the_bytes_that_hdf5_writes_by_itself(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "plain", "w", track_order=False) as file:
        fill(file)
    assert hdf5_image(fill) == (tmp_path / "plain").read_bytes()


def test_hdf5_through_our_file_holds_what_was_written(tmp_path: Path) -> None:
    with hdf5_storage(tmp_path / "ours") as storage, h5py.File(storage, "w") as file:
        fill(file)
    with h5py.File(tmp_path / "ours") as file:
        for index in range(20):
            np.testing.assert_array_equal(file[f"group{index}/values"], values(index))
            assert file[f"group{index}/number"][()] == index


@pytest.mark.parametrize("room", [0, 100, 5000, 20_000])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_hdf5_survives_a_write_that_fails(tmp_path: Path, room: int, error: BaseException) -> None:
    """The process lives, the error is the first one, and nothing is left."""

    class Full:
        def __init__(self, handle: object) -> None:
            self.handle = handle

        def write(self, content: bytes) -> int:
            if self.handle.tell() + len(content) > room:  # type: ignore[attr-defined]
                raise error
            return self.handle.write(content)  # type: ignore[attr-defined, no-any-return]

        def __getattr__(self, name: str) -> object:
            return getattr(self.handle, name)

    with atomic_file(tmp_path / "whole") as handle:
        storage = Storage(Full(handle))  # type: ignore[arg-type]
        with h5py.File(storage, "w") as file, contextlib.suppress(OSError, RuntimeError, ValueError):
            fill(file)  # HDF5 may find that what it wrote is not there
        with pytest.raises(type(error)):
            storage.check()


def test_outputs_are_of_their_kind_and_no_input(tmp_path: Path) -> None:
    net, text = tmp_path / "in.net", tmp_path / "text.png"
    net.write_bytes(b"\x89HDF\r\n\x1a\n...")
    text.write_text("mine")
    (tmp_path / "link.net").symlink_to(net)
    os.link(net, tmp_path / "hard.net")
    for name in ("in.net", "link.net", "hard.net"):
        with pytest.raises(ConfigError, match="is what is read"):
            output_file(tmp_path / name, ".net", option="-o", inputs=(None, "missing", net))
    with pytest.raises(ConfigError, match=r"-o .*x\.docx: expected a name that ends in \.png"):
        output_file(tmp_path / "x.docx", ".png", option="-o")
    with pytest.raises(ConfigError, match=r"is there, and no \.png file"):
        output_file(text, ".png", option="-o")
    assert output_file(net, ".net", option="-o") == net
    assert output_file(tmp_path / "new" / "X.PNG", ".png", option="-o").name == "X.PNG"
    text.write_bytes(b"")
    assert output_file(text, ".png", option="-o") == text


def test_folders_are_folders(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert output_folder(tmp_path / "a" / "b", option="--out").name == "b"
    for name in ("file", "file/below"):
        with pytest.raises(ConfigError, match=r"--out .*(Not a directory|is no folder)"):
            output_folder(tmp_path / name, option="--out")


def link_name(monkeypatch: pytest.MonkeyPatch, target: Path) -> Path:
    """The name that a complete file has for a moment before it is moved to ``target``."""
    seen: list[Path] = []
    link = os.link

    def noting(source: Path, name: Path, **more: int) -> None:
        seen.append(name)
        link(source, name, **more)

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", noting)
        write_text(target, "first")
    if not seen:
        pytest.skip("no files without a name here")
    return seen[0]


def test_what_a_process_was_killed_with_is_cleared_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "x.json"
    stray = link_name(monkeypatch, target)
    stray.write_text("of one that was killed")
    write_text(target, "second")
    assert target.read_text() == "second"
    assert list(tmp_path.iterdir()) == [target]


def test_a_writer_that_lives_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "x.json"
    name = link_name(monkeypatch, target)
    name.write_text("of one at work")
    with name.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        other = threading.Thread(target=write_text, args=(target, "second"))
        other.start()
        other.join(0.05)
        assert other.is_alive()
        assert target.read_text() == "first"
        name.replace(target)  # as the one at work does
    other.join()
    assert target.read_text() == "second"
    assert list(tmp_path.iterdir()) == [target]


def test_many_writers_of_one_place_leave_one_whole_file(tmp_path: Path) -> None:
    target, contents = tmp_path / "x.json", [str(k) * 50_000 for k in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: [write_text(target, text) for _ in range(10)], contents))
    assert target.read_text() in contents
    assert list(tmp_path.iterdir()) == [target]

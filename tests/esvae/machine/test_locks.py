"""A folder has one writer at a time, and a dead process holds none."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from esvae.errors import EsvaeError
from esvae.machine.locks import only_writer

fcntl = pytest.importorskip("fcntl")


def in_a_fork(folder: Path) -> tuple[int, int]:
    """Another process that holds a folder: its pid, and a pipe's end that is readable once it does."""
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        with only_writer(folder):
            os.write(sender, b".")
            signal.pause()
        os._exit(0)
    os.close(sender)
    return child, receiver


def test_another_process_is_refused_until_the_first_is_dead(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    child, receiver = in_a_fork(folder)
    assert os.read(receiver, 1) == b"."
    for name in (folder, tmp_path / "new" / ".." / "new" / "folder"):
        with pytest.raises(EsvaeError, match="folder: another process is writing there; wait"), only_writer(name):
            pass
    with only_writer(tmp_path / "new"), only_writer(tmp_path / "other"):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(receiver)
    with only_writer(folder):
        (folder / "file").write_text("mine")
    assert [path.name for path in folder.iterdir()] == ["file"]


def test_a_folder_that_stays_empty_is_taken_away_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    for name in ("before", "made"):
        with only_writer(tmp_path / name):
            assert (tmp_path / name).is_dir()
    with only_writer(None):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["before"]


def test_a_folder_may_be_moved_while_it_is_held(tmp_path: Path) -> None:
    """As a training does that replaces a finished run."""
    with only_writer(tmp_path / "run"):
        (tmp_path / "run").rename(tmp_path / "old")
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "file").write_text("new")
        with only_writer(tmp_path / "run"):
            pass
        with pytest.raises(EsvaeError, match="another process"), only_writer(tmp_path / "old"):
            pass
    assert (tmp_path / "run" / "file").read_text() == "new"


def test_what_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    told = r"cannot write .*file: (File exists|Not a directory)"
    with pytest.raises(EsvaeError, match=told), only_writer(tmp_path / "file"):
        pass

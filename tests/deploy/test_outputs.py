"""Where every command writes: nothing but files of its kind, no input, one line where it cannot, on a full disk too."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from command import call
from esvae.config import load_config
from esvae.model import ESVAE
from esvae.run import load_run, save_run
from export.frontends import from_run
from export.pipeline import export_network
from small_config import write_small_config
from warm import ONE_THREAD, Warm

ROOT = Path(__file__).resolve().parents[2]
RUN, NET, OUT = "RUN", "NET", "OUT"

#: Commands that write a file, by what they write; each with the ending of its name.
FILES: dict[str, tuple[str, list[str]]] = {
    "network": (".net", ["export", RUN, "-o", OUT]),
    "onnx": (".onnx", ["export", RUN, "-o", "made.net", "--onnx", OUT]),
    "nir": (".nir", ["export", RUN, "-o", "made.net", "--nir", OUT]),
    "picture": (".png", ["simulate", NET, "-n", "1", "-o", OUT]),
    "latents": (".npy", ["simulate", NET, "-n", "1", "--save-latents", OUT]),
    "trace, npz": (".npz", ["simulate", NET, "-n", "40", "--trace", OUT]),
    "trace, h5": (".h5", ["simulate", NET, "-n", "1", "--trace", OUT]),
    "back": (".png", ["autoencode", RUN, "-n", "1", "-o", OUT]),
    "report": (".html", ["report", RUN, "-n", "2", "-o", OUT, "--against", "reference"]),
    "features": (".safetensors", ["fad", "train", "digits", "--out", OUT]),
}
#: Commands that write into a folder.
FOLDERS: dict[str, list[str]] = {
    "energy": ["energy", NET, "-n", "1", "--plot", OUT],
    "fit": ["fit", NET, "--plot", OUT],
    "compare": ["compare", RUN, NET, "--plot", OUT],
    "sweep": ["sweep", RUN, "-o", OUT],
    "generate": ["generate", NET, "-n", "2", "--out", OUT],
    "train": ["train", "digits", "--out", OUT],
    "demo": ["demo", "--out", OUT],
    "import": ["import-official", "x.pth", "--out", OUT],
}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that nobody trained, and its network file."""
    folder = tmp_path_factory.mktemp("outputs")
    model = ESVAE(load_config(write_small_config(folder)))
    save_run(folder / "run", model.eval(), {"epochs": [], "steps": 0, "finished": True})
    export_network(from_run(load_run(folder / "run")), folder / "d.net")
    return folder


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def filled(command: list[str], work: Path, out: Path) -> list[str]:
    return [{RUN: str(work / "run"), NET: str(work / "d.net"), OUT: str(out)}.get(word, word) for word in command]


def refused(capsys: pytest.CaptureFixture[str], command: list[str], what: str) -> None:
    code, out, errors = call(capsys, *command)
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert (code, out, len(lines)) == (1, "", 1), errors
    assert what in lines[0]
    assert "Traceback" not in errors


def in_the_way(kind: str, target: Path) -> None:
    if kind == "pipe":
        os.mkfifo(target)
    elif kind == "device":
        try:
            os.mknod(target, stat.S_IFCHR | 0o666, os.makedev(1, 7))  # as /dev/full
        except PermissionError:
            pytest.skip("making a device needs root")
    elif kind == "folder":
        target.mkdir()
    else:
        target.write_bytes(b"something of mine")


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "other content"])
@pytest.mark.parametrize("name", FILES)
def test_what_is_there_stays(
    name: str, kind: str, work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suffix, command = FILES[name]
    if kind == "other content" and suffix == ".onnx":
        pytest.skip("ONNX files do not say what they are")
    target = tmp_path / f"x{suffix}"
    in_the_way(kind, target)
    before = target.lstat()
    refused(capsys, filled(command, work, target), target.name)
    assert (target.lstat().st_mode, target.lstat().st_ino) == (before.st_mode, before.st_ino)


@pytest.mark.parametrize("name", FILES)
def test_places_where_no_file_can_be(
    name: str, work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    suffix, command = FILES[name]
    (tmp_path / "file").write_text("mine")
    refused(capsys, filled(command, work, tmp_path / "file" / f"x{suffix}"), "Not a directory")
    refused(capsys, filled(command, work, tmp_path / ("x" * 300 + suffix)), "File name too long")
    refused(capsys, filled(command, work, tmp_path / "x.docx"), "expected a name that ends in")
    monkeypatch.setattr(os, "access", lambda path, mode, **more: not mode & os.W_OK)
    refused(capsys, filled(command, work, tmp_path / f"x{suffix}"), "read-only")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


@pytest.mark.parametrize("name", FOLDERS)
def test_places_where_no_folder_can_be(
    name: str, work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    command = FOLDERS[name]
    refused(capsys, filled(command, work, tmp_path / "file"), "file is no folder")
    refused(capsys, filled(command, work, tmp_path / "file" / "x"), "Not a directory")
    refused(capsys, filled(command, work, tmp_path / ("x" * 300)), "File name too long")
    monkeypatch.setattr(os, "access", lambda path, mode, **more: not mode & os.W_OK)
    refused(capsys, filled(command, work, tmp_path / "x"), "read-only")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_no_input_is_written_over(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net, latents = tmp_path / "in.net", tmp_path / "in.npy"
    net.write_bytes((work / "d.net").read_bytes())
    np.save(latents, np.zeros((1, 4, 8), np.uint8))
    record = work / "run" / "training.json"
    before = net.read_bytes(), latents.read_bytes(), record.read_bytes()
    (tmp_path / "link.net").symlink_to(net)
    refused(capsys, ["export", str(net), "-o", str(net)], "is what is read")
    refused(capsys, ["export", str(net), "-o", str(tmp_path / "link.net")], "is what is read")
    refused(capsys, ["simulate", str(net), "-o", str(net)], "expected a name that ends in .png")
    refused(
        capsys,
        ["simulate", str(net), "--latents", str(latents), "--save-latents", str(latents)],
        "is what is read",
    )
    refused(capsys, ["report", str(work / "run"), "-o", str(work / "run" / "training.html")], "is what is read")
    assert (net.read_bytes(), latents.read_bytes(), record.read_bytes()) == before


def test_a_file_of_the_same_kind_is_replaced(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("network", "picture", "latents", "trace, npz", "trace, h5"):
        suffix, command = FILES[name]
        target = tmp_path / f"x{suffix}"
        for _ in range(2):
            assert call(capsys, *filled(command, work, target))[0] == 0
        assert target.stat().st_size > 100


def environment() -> dict[str, str]:
    return {**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


#: Bytes, and what makes files that are larger.
LIMIT = 4096
LARGE = ["network", "nir", "trace, npz", "trace, h5"]


def told(done: subprocess.CompletedProcess[str], what: str) -> None:
    lines = [line for line in done.stderr.replace("\r", "\n").splitlines() if line.startswith("error: ")]
    assert done.returncode == 1, done.stderr
    assert len(lines) == 1
    assert what in lines[0]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", LARGE)
def test_a_file_that_may_grow_no_further(name: str, ready: Warm, work: Path, tmp_path: Path) -> None:
    suffix, command = FILES[name]
    target = tmp_path / "new" / f"x{suffix}"
    words = filled(command, work, target)
    told(ready.run(words, folder=tmp_path, environment=environment(), file_bytes=LIMIT), "File too large")
    assert not target.exists()


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for almost nothing."""
    place = tmp_path / "tiny"
    place.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", place], capture_output=True, check=False)
    if mount.returncode:
        pytest.skip("mounting a file system needs root")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("name", LARGE)
def test_a_full_disk(name: str, ready: Warm, work: Path, tmp_path: Path, tiny: Path) -> None:
    suffix, command = FILES[name]
    words = filled(command, work, tiny / f"x{suffix}")
    told(ready.run(words, folder=tmp_path, environment=environment()), "No space left on device")
    assert not list(tiny.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("end", [">&-", ">/dev/full"])
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_an_output_that_takes_nothing(work: Path, end: str, more: list[str]) -> None:
    """Processes from their beginning, as a shell starts them."""
    words = [sys.executable, "-m", "deploy.cli", "inspect", str(work / "d.net"), *more]
    command = ["sh", "-c", f'exec "$@" {end}', "sh", *words]
    done = subprocess.run(command, env=environment(), stderr=subprocess.PIPE, text=True, check=False)
    told(done, "standard output")

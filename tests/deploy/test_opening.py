"""Runs and pre-trained names where a network file is taken, and what is said of a path of the other kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import deploy
from command import call
from deploy.opening import CACHE, cache_folder, network_file, open_network
from esvae.errors import CheckpointError, EsvaeError, NetFileError
from esvae.shipped import pretrained_names, run_folder
from every_command import write_inputs
from export.netx import read_netx

NAME = "pretrained:fashion_mnist_fast"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_inputs(tmp_path_factory.mktemp("opening"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_file_is_its_own(inputs: dict[str, Path], cache: Path) -> None:
    assert network_file(inputs["NET"]) == inputs["NET"]
    assert network_file("nothing.net") == Path("nothing.net")
    assert not cache.exists()


def test_a_run_is_exported_once_and_as_export_does(inputs: dict[str, Path], cache: Path) -> None:
    made: list[Path] = []
    file = network_file(inputs["RUN"], made.append)
    assert made == [file]
    assert file.parent == cache
    assert read_netx(file).content_hash() == read_netx(inputs["NET"]).content_hash()
    before = file.stat().st_mtime_ns
    assert network_file(inputs["RUN"], made.append) == file
    assert len(made) == 1
    assert file.stat().st_mtime_ns == before


def test_another_training_is_another_file(inputs: dict[str, Path], tmp_path: Path) -> None:
    first = network_file(inputs["RUN"])
    other = tmp_path / "run"
    other.mkdir()
    for path in inputs["RUN"].iterdir():
        if path.is_file():
            (other / path.name).write_bytes(path.read_bytes())
    assert network_file(other) == first  # the same training, wherever it lies
    (other / "config.yaml").write_text((other / "config.yaml").read_text("utf-8").replace("name: digits", "name: new"))
    assert network_file(other) != first


@pytest.mark.parametrize(
    "words", ["inspect", "plan", "check", "simulate -n 1 -o @i.png", "verify -n 1 --against reference"]
)
def test_commands_take_a_name(words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command, *more = words.replace("@", f"{tmp_path}/").split()
    for told in (1, 0):
        code, out, errors = call(capsys, command, NAME, *more)
        assert code == 0, errors
        assert out
        assert errors.count(f"exporting {NAME} to ") == told


def test_the_library_takes_a_name() -> None:
    assert deploy.load(NAME).network.content_hash() == read_netx(network_file(NAME)).content_hash()
    assert open_network(NAME).prior is not None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("simulate pretrained:nobody", "pretrained:nobody: no such pre-trained run; there are cifar10, "),
        (
            "simulate pretrained:mnits",
            "pretrained:mnits: no such pre-trained run; did you mean mnist? there are cifar10, ",
        ),
        ("inspect IMAGES", "a folder that holds no run; expected a run directory or pretrained:NAME"),
        (
            "autoencode NET",
            "a network file, which simulate, generate, verify, energy, fit and inspect take; expected a run",
        ),
        ("evaluate NET", "a network file, which simulate"),
        ("report NET -o @r.html", "a network file, which simulate"),
        ("compare NET NET", "a network file, which simulate"),
        ("evaluate PTH", "a checkpoint, of which esvae import-official makes a run"),
        (
            "evaluate CONFIG",
            "tiny.yaml: a config, which esvae train takes; expected a run directory or pretrained:NAME",
        ),
        ("inspect CONFIG", "tiny.yaml: a config, which esvae train takes; expected a network file, a run directory or"),
        ("import-official NET --out @run", "a network file, which simulate, generate, verify, energy, fit and inspect"),
        ("energy PTH", "a checkpoint, of which esvae import-official makes a run; expected a network file"),
        (
            "train NET --out @run",
            "a network file, which simulate, generate, verify, energy, fit and inspect take; expected",
        ),
        (
            "train RUN --out @run",
            "run: a run directory, which esvae train --from takes; expected a YAML file, or a",
        ),
        ("compare RUN NET -n 2 --data-root nowhere", "nowhere: no such folder of images; name one with --data-root"),
        ("report RUN -o @r.html -n 2 --data-root nowhere", "nowhere: no such folder of images; name one with"),
        ("sweep RUN -o @s --weight-bits 8 --data-root nowhere", "nowhere: no such folder of images; name one with"),
        (
            "train CONFIG --out @run --data nowhere",
            "--data nowhere: neither a folder nor a data set; the data sets are",
        ),
    ],
)
def test_what_a_path_is_and_what_takes_it(
    words: str, message: str, inputs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [str(inputs.get(word, word)).replace("@", f"{tmp_path}/") for word in words.split()]
    code, _, errors = call(capsys, *filled)
    assert code == 1
    assert message in errors
    assert "\n".join(line for line in errors.splitlines() if line.startswith("error: ")).count("error:") == 1


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(NetFileError, match="a folder, expected a network file"):
        read_netx(tmp_path)


def test_a_cache_that_cannot_be_written(inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE, "/proc/none")
    with pytest.raises(EsvaeError, match=f"or set {CACHE} to a folder"):
        network_file(inputs["RUN"])


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(CACHE)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "esvae" / "networks"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == Path.home() / ".cache" / "esvae" / "networks"


def test_names_and_folders() -> None:
    for name in pretrained_names():
        assert run_folder(f"pretrained:{name}").name == name
    with pytest.raises(CheckpointError, match="no such pre-trained run"):
        run_folder("pretrained:../configs")


def test_pretrained_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "pretrained", "--json")
    assert code == 0
    runs = json.loads(out)["runs"]
    assert [run["name"] for run in runs] == pretrained_names()
    assert all(run["bytes"] > 1000 and 0 < run["training_mse"] < 1 for run in runs)
    _, out, _ = call(capsys, "pretrained")
    assert all(name in out for name in pretrained_names())

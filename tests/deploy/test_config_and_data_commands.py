"""``esvae config`` and ``esvae data``, and what is told before a data set is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from command import call
from esvae.config import load_config
from esvae.shipped import config_names


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloads fail as they do without a network."""
    import urllib.request
    from urllib.error import URLError

    def refuse(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


def test_configs_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "config", "list", "--json")
    assert code == 0
    assert [one["name"] for one in json.loads(out)["configs"]] == config_names()
    code, out, _ = call(capsys, "config", "list")
    assert code == 0
    assert all(name in out for name in config_names())


def test_a_config_that_is_shown_can_be_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "config", "show", "digits", "--set", "train.epochs=5", "--resolved")
    assert code == 0
    mine = tmp_path / "mine.yaml"
    mine.write_text(out)
    config = load_config(mine)
    assert config.train.epochs == 5
    assert config.model == load_config("digits").model
    code, out, _ = call(capsys, "config", "show", mine, "--json")
    assert code == 0
    assert json.loads(out)["config"] == yaml.safe_load(mine.read_text())


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("digit", "digit: no such file or shipped config; did you mean digits?"),
        ("FOLDER", ": a folder; expected a YAML file, or a shipped config: celeba"),
        ("FOLDER/a.net", "a network file, which simulate, generate, verify, energy, fit and inspect take; expected a"),
        ("FOLDER/twice.yaml", "twice.yaml:2: name stands twice"),
        ("FOLDER/wrong.yaml", "wrong.yaml:3: data.nam: unknown key; did you mean name?"),
    ],
)
def test_what_is_no_config_is_one_line(
    source: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.net").write_bytes(b"")
    (tmp_path / "twice.yaml").write_text("name: a\nname: b\n")
    (tmp_path / "wrong.yaml").write_text("name: a\ndata:\n  nam: digits\n")
    code, out, errors = call(capsys, "config", "show", source.replace("FOLDER", str(tmp_path)))
    assert (code, out) == (1, "")
    assert message in errors


def test_a_data_set_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, errors = call(capsys, "data", "check", "mnist", "--data-root", tmp_path)
    assert code == 1
    assert "mnist: not there; esvae train fetches it where there is a network, else put train-images" in out
    assert str(tmp_path / "MNIST" / "raw") in out
    assert "error" not in errors
    code, out, _ = call(capsys, "data", "check", "mnist", "--data-root", tmp_path, "--json")
    assert code == 1
    found = json.loads(out)
    assert (found["there"], found["train"], len(found["missing"])) == (False, None, 4)
    assert not list(tmp_path.iterdir())


def test_training_without_the_data_is_one_line(
    no_network: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """torchvision tells of each failed download on standard output."""
    pytest.importorskip("torchvision")
    arguments = ("train", "mnist", "--out", tmp_path / "run", "--data-root", tmp_path / "data")
    code, out, errors = call(capsys, *arguments)
    assert (code, out) == (1, "")
    (line,) = (line for line in errors.splitlines() if line.strip())
    assert line.startswith("error: MNIST is not in ")
    assert "t10k-labels-idx1-ubyte.gz into " in line
    assert line.endswith("; esvae data check mnist says what is there")
    code, out, _ = call(capsys, *arguments, "--json")
    assert code == 1
    assert json.loads(out)["error"] == line.removeprefix("error: ")


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="a GPU is here")
def test_a_gpu_that_is_not_here_is_told_before_the_data_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def loaded(*_: Any) -> None:
        raise AssertionError("the data are loaded")

    monkeypatch.setattr("esvae.data.load_images", loaded)
    code, _, errors = call(capsys, "train", "digits", "--out", tmp_path / "run", "--accelerator", "gpu")
    assert code == 1
    assert "accelerator gpu: no GPU is here that torch can use" in errors
    assert "choose cpu, or auto" in errors

"""``esvae compare`` as a user meets it, on scikit-learn's digits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from command import call
from deploy.cli import main
from deploy.compare import CompareOptions, Material, compare_network
from deploy.compare.distribution import real_set
from esvae.data import load_images
from esvae.metrics.features import load_features
from esvae.run import load_run
from export.netx import read_netx
from sim.sampler import draw_latents
from small_config import write_small_config


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two short runs of a small config, the first one's file, and FAD's autoencoder of the digits."""
    folder = tmp_path_factory.mktemp("compare")
    config = str(write_small_config(folder))
    for arguments in (
        ["train", config, "--out", str(folder / "run"), "--max-steps", "12"],
        ["train", config, "--out", str(folder / "other"), "--max-steps", "2"],
        ["export", str(folder / "run"), "-o", str(folder / "d.net")],
        ["export", str(folder / "run"), "-o", str(folder / "chip.net"), "--generator", "chip", "--generator-seed", "3"],
        ["fad", "train", config, "--epochs", "1", "--data-root", str(folder / "data")],
    ):
        with pytest.raises(SystemExit) as done:
            main(arguments)
        assert done.value.code == 0
    return folder


def test_everything_at_once(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--metrics", "fad,kid,precision,recall", "--noise", "--backends", "reference", "--cross", 2]
    places = ["--data-root", work / "data", "--plot", tmp_path / "plots"]
    code, out, _ = call(capsys, "compare", work / "run", work / "d.net", "-n", 150, *options, *places, "--json")
    assert code == 0
    assert "NaN" not in out
    assert "Infinity" not in out
    found: dict[str, Any] = json.loads(out)
    assert found["belongs"] is True
    assert found["quality"]["images"] == len(found["quality"]["per_image"]["mse"]) == 150
    assert found["layers"][0]["layout"] == "same"
    assert set(found["distribution"]["distances"]) == {"fad", "kid", "precision", "recall"}
    fad = found["distribution"]["distances"]["fad"]
    assert fad["difference"]["value"] == pytest.approx(fad["quantized"]["value"] - fad["float"]["value"])
    assert fad["floor"]["value"] > 0
    assert fad["bias"] > 0
    assert any("too large by about" in note for note in found["distribution"]["notes"])
    assert found["reconstruction"]["images"] == len(load_images(load_run(work / "run").config.data).test)
    assert [curve["kind"] for curve in found["noise"]] == ["input", "latent"]
    assert found["cross"] == [{**found["cross"][0], "backend": "reference", "equal": True}]
    for name in ("images", "layers", "shares", "noise"):
        with Image.open(tmp_path / "plots" / f"{name}.png") as picture:
            assert min(picture.size) > 100


def test_the_hosts_sampler_beside_the_chips(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = ["--data-root", work / "data", "--plot", tmp_path / "plots"]
    arguments = ["compare", work / "run", work / "chip.net", "-n", 300, *places, "--metrics", "fad,recall"]
    code, out, _ = call(capsys, *arguments, "--json")
    assert code == 0
    found: dict[str, Any] = json.loads(out)
    samplers = found["samplers"]
    assert (samplers["images"], samplers["host_seed"], samplers["chip_seed"]) == (300, 0, 3)
    assert list(samplers["figures"]) == ["rate", "silent", "mse", "fad", "recall"]
    with Image.open(tmp_path / "plots" / "samplers.png") as picture:
        assert min(picture.size) > 100
    # Each side is what a comparison of its own says, on the same images.
    figures, numbers = samplers["figures"], np.arange(300)
    chip = found["distribution"]["distances"]["fad"]["quantized"]["value"]
    assert figures["fad"]["chip"]["value"] == pytest.approx(chip)
    assert figures["mse"]["chip"] == found["quality"]["mse"]["mean"]
    assert figures["rate"]["chip"]["value"] == pytest.approx(
        draw_latents(read_netx(work / "chip.net"), 3, numbers).mean()
    )
    arguments[2] = work / "d.net"
    code, out, _ = call(capsys, *arguments, "--json")
    host = json.loads(out)
    assert host["samplers"] is None
    assert figures["fad"]["host"]["value"] == pytest.approx(
        host["distribution"]["distances"]["fad"]["quantized"]["value"]
    )
    assert figures["mse"]["host"] == host["quality"]["mse"]["mean"]
    silent = (draw_latents(read_netx(work / "d.net"), 0, numbers).sum(axis=1) == 0).mean()
    assert figures["silent"]["host"]["value"] == pytest.approx(silent)


def test_a_chips_file_without_real_images(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--metrics", "none", "--no-layers", "--no-attribution", "--csv", tmp_path / "c.csv"]
    code, out, _ = call(capsys, "compare", work / "run", work / "chip.net", "-n", 20, *options)
    assert code == 0
    assert "that the chip draws (seed 3), 20 images each" in out
    assert "windows without a spike" in out
    assert (tmp_path / "c.samplers.csv").read_text("utf-8").count("\n") == 4


def test_tables_say_what_is_missing(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["compare", work / "run", work / "d.net", "-n", 20]
    code, out, _ = call(capsys, *arguments, "--data-root", tmp_path, "--metrics", "fad,kid")
    assert code == 0
    assert "one layer quantized at a time" in out
    assert "FAD: " in out
    assert "esvae fad train" in out
    assert "reconstruction MSE" in out
    code, out, _ = call(capsys, *arguments, "--data-root", work / "data", "--metrics", "fad")
    assert code == 0
    assert "too few images for a distance: 20 generated" in out
    assert "too large by about" in out


def test_another_runs_file_is_refused(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["compare", work / "other", work / "d.net", "-n", 8, "--metrics", "none"]
    code, out, err = call(capsys, *arguments)
    assert (code, out) == (1, "")
    assert "was made from weights" in err
    assert "--force" in err
    assert err.strip().splitlines()[-1].startswith("error: ")
    code, out, _ = call(capsys, *arguments, "--force", "--json")
    assert code == 0
    assert json.loads(out)["belongs"] is False


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--metrics", "mad"], "unknown metric 'mad'; did you mean fad?"),
        (["--protocol", "x"], "choose eval or published"),
        (["--backends", "twin"], "--backends twin: expected some of reference, lava, onnx"),
        (["--features", "nowhere.safetensors"], "no such autoencoder"),
    ],
)
def test_wrong_options_are_one_line(
    work: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = call(capsys, "compare", work / "run", work / "d.net", "-n", 4, *options)
    assert code == 1
    assert message in err


def test_chunks_and_a_given_real_set_change_nothing(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, network = load_run(work / "run"), read_netx(work / "d.net")
    splits = load_images(run.config.data)
    net = load_features(next((work / "data" / "fad").glob("*.safetensors")))
    metrics = ("fad", "kid")
    options = CompareOptions(140, parts=frozenset({"layers", "distribution"}), metrics=metrics)
    whole = compare_network(run, network, options, Material(splits, net))
    monkeypatch.setattr("deploy.compare.run._MOST", 9)
    real = real_set(splits, net, count=140)
    again = compare_network(run, network, options, Material(splits, net, real))
    assert again.distribution == whole.distribution
    assert again.divergence == whole.divergence
    assert again.quality == whole.quality
    for one, other in zip(again.layers, whole.layers, strict=True):
        assert one.mismatch == other.mismatch
        assert one.membrane == pytest.approx(other.membrane)

"""The commands around training, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deploy.cli import main
from esvae.config import config_from_dict, config_to_yaml
from esvae.run import load_run
from esvae.shipped import pretrained_names

CONFIG = {
    "name": "tiny",
    "data": {"image_size": 8},
    "model": {
        "latent": 6,
        "time_steps": 3,
        "encoder_channels": [4],
        "decoder": {"kind": "subpixel", "base_size": 4, "channels": [4]},
    },
    "train": {"epochs": 1, "batch_size": 100},
}


def esvae(*arguments: object) -> int:
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    assert isinstance(done.value.code, int)
    return done.value.code


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(config_to_yaml(config_from_dict(CONFIG, "test")))
    return path


def test_train_features_and_evaluate(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, root = tmp_path / "run", tmp_path / "data"
    assert esvae("train", config, "--out", run, "--json") == 0
    trained = json.loads(capsys.readouterr().out)
    assert trained["steps"] == 15
    common = ("evaluate", run, "-n", "200", "--data-root", root)
    assert esvae(*common, "--metrics", "mse,fad", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["values"]["mse"]["value"] == pytest.approx(trained["test_mse"])
    assert "make one with: esvae fad train" in found["missing"]["fad"]
    assert esvae("fad", "train", config, "--epochs", "1", "--data-root", root, "--json") == 0
    kept = Path(json.loads(capsys.readouterr().out)["file"])
    assert kept == root / "fad" / "digits_32x32x1.safetensors"
    assert json.loads(kept.with_suffix(".json").read_text())["epochs"] == 1
    assert esvae(*common, "--metrics", "mse,fad,kid,precision,recall") == 0
    table = capsys.readouterr().out
    for word in ("reconstruction MSE", "FAD", "KID", "precision", "recall", "real images"):
        assert word in table
    assert esvae(*common, "--metrics", "fad", "--features", tmp_path / "none.pth") == 1
    assert "no such autoencoder" in capsys.readouterr().err
    assert esvae(*common, "--protocol", "train") == 1
    assert "choose eval or published" in capsys.readouterr().err
    assert esvae(*common, "--metrics", "best") == 1
    assert "unknown metric 'best'" in capsys.readouterr().err


def test_another_data_set_with_any_config(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(120):
        Image.fromarray(np.random.default_rng(index).integers(0, 256, (9, 12), np.uint8)).save(folder / f"{index}.png")
    assert esvae("train", config, "--out", tmp_path / "run", "--data", folder, "--json") == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 1
    assert load_run(tmp_path / "run").config.data.name == "folder"
    assert esvae("train", config, "--out", tmp_path / "other", "--data", "digit") == 1
    assert "--data digit: neither a folder nor a data set; the data sets are digits, mnist" in capsys.readouterr().err
    arguments = ("train", "fashion_mnist_fast", "--data", "digits", "--max-steps", "1", "--samples-every", "0")
    assert esvae(*arguments, "--out", tmp_path / "fast", "--json") == 0


def test_an_unfinished_run_is_not_lost(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    arguments = ("train", config, "--out", run)
    assert esvae(*arguments) == 0
    record = json.loads((run / "training.json").read_text())
    (run / "training.json").write_text(json.dumps({**record, "finished": False}))
    assert esvae(*arguments) == 1
    assert "continue it with --resume, or replace it with --overwrite" in capsys.readouterr().err
    assert esvae(*arguments, "--resume") == 0
    assert esvae(*arguments, "--overwrite", "--precision", "half") == 1
    assert "--precision half: expected" in capsys.readouterr().err


def test_runs_that_come_with_the_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "fashion_mnist_fast" in pretrained_names()
    for name in pretrained_names():
        run = load_run(f"pretrained:{name}")
        assert run.record["epochs"]
        assert esvae("export", f"pretrained:{name}", "-o", tmp_path / f"{name}.net", "--json") == 0
        assert esvae("verify", tmp_path / f"{name}.net", "-n", "2", "--against", "reference") == 0
    capsys.readouterr()
    assert esvae("export", "pretrained:none", "-o", tmp_path / "none.net") == 1
    assert (
        f"pretrained:none: no such pre-trained run; there are {', '.join(pretrained_names())}"
        in capsys.readouterr().err
    )

"""Training is seeded; run directories come back as they were or say why not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from esvae.config import Config, config_from_dict
from esvae.errors import CheckpointError, EsvaeError
from esvae.run import load_run, save_run
from esvae.training import Machine, TrainingCallbacks, evaluate_mse, train
from export.frontends import from_run


def tiny(seed: int = 0, **settings: float) -> Config:
    model = {
        "latent": 6,
        "time_steps": 3,
        "encoder_channels": [4, 4],
        "decoder": {"kind": "subpixel", "base_size": 4, "channels": [4]},
    }
    content = {
        "name": "tiny",
        "data": {"image_size": 8},
        "model": model,
        "train": {"epochs": 2, "seed": seed, **settings},
    }
    return config_from_dict(content, "test")


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("run")
    train(tiny(), directory, machine=Machine(max_steps=6))
    return directory


def test_the_same_seed_gives_the_same_weights(run_directory: Path, tmp_path: Path) -> None:
    first = load_run(run_directory)
    torch.manual_seed(99)  # the global state plays no part
    again = train(tiny(), tmp_path / "again", machine=Machine(max_steps=6))
    other = train(tiny(seed=1), tmp_path / "other", machine=Machine(max_steps=6))
    assert again.weights_hash == first.weights_hash
    assert other.weights_hash != first.weights_hash
    assert not again.model.training


def test_training_lowers_the_loss_and_is_recorded(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    callbacks = TrainingCallbacks(lambda step, steps, *_: seen.append((step, steps)))
    run = train(tiny(learning_rate=1e-2), tmp_path, callbacks=callbacks)
    losses = [epoch["reconstruction_mse"] for epoch in run.record["epochs"]]
    assert losses[-1] < losses[0]
    assert seen[-1] == (46, 46)  # 1,500 images in batches of 64, the last partial one left out, twice
    assert run.record["steps"] == 46
    assert 0 < evaluate_mse(run.model, torch.zeros(3, 1, 8, 8)) < 4
    assert not list(tmp_path.glob(".*")), "temporary files are left"


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path: Path) -> None:
    with pytest.raises(EsvaeError, match=r"loss is not finite at step .*; lower train.learning_rate"):
        train(tiny(learning_rate=1e30), tmp_path)


def test_a_missing_or_foreign_directory(tmp_path: Path, run_directory: Path) -> None:
    with pytest.raises(CheckpointError, match="no such run directory; make one with: esvae train digits"):
        load_run(tmp_path / "none")
    with pytest.raises(CheckpointError, match=r"a folder that holds no run; expected a run directory or pretrained:"):
        load_run(tmp_path)
    (tmp_path / "training.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"no config\.yaml, so this is no finished run"):
        load_run(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("weights.safetensors", b"PK\x03\x04 a pickle in a zip", "damaged run"),
        ("weights.safetensors", b"", "damaged run"),
        ("config.yaml", b"name: [", "damaged run"),
        ("config.yaml", b"name: x", r"damaged run: config\.yaml: data: is missing"),
        ("training.json", b"{", "damaged run"),
        ("training.json", b"[]", "is no record"),
        ("config.yaml", b"\xff\xfe", "damaged run"),
    ],
)
def test_damaged_files(name: str, content: bytes, text: str, tmp_path: Path, run_directory: Path) -> None:
    copy(run_directory, tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=text) as caught:
        load_run(tmp_path)
    assert "\n" not in str(caught.value)


def test_weights_of_another_model(tmp_path: Path, run_directory: Path) -> None:
    copy(run_directory, tmp_path)
    path = tmp_path / "weights.safetensors"
    tensors = load_file(path)
    for change, text in (
        (
            {"prior.bottleneck.weight": torch.zeros(5, 5)},
            r"'prior.bottleneck.weight' has shape \(5, 5\), expected \(6, 6\)",
        ),
        ({"more": torch.zeros(1)}, "'more' is not part of the model"),
        (
            {"prior.bottleneck.bias": torch.full((6,), float("nan"))},
            "'prior.bottleneck.bias' holds values that are not finite",
        ),
    ):
        save_file({**tensors, **change}, path)
        with pytest.raises(CheckpointError, match=text):
            load_run(tmp_path)
    del tensors["prior.bottleneck.bias"]
    save_file(tensors, path)
    with pytest.raises(CheckpointError, match=r"'prior\.bottleneck\.bias' is missing"):
        load_run(tmp_path)


def test_saving_again_replaces_the_run(tmp_path: Path, run_directory: Path) -> None:
    run = load_run(run_directory)
    save_run(tmp_path, run.model, {"epochs": [], "steps": 0})
    save_run(tmp_path, run.model, {"epochs": [], "steps": 1})
    assert json.loads((tmp_path / "training.json").read_text())["steps"] == 1
    assert load_run(tmp_path).weights_hash == run.weights_hash


def copy(source: Path, target: Path) -> None:
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())


def copied(run_directory: Path, target: Path) -> Path:
    target.mkdir()
    for name in ("config.yaml", "weights.safetensors", "training.json"):
        (target / name).write_bytes((run_directory / name).read_bytes())
    return target


def test_a_flipped_byte_of_the_weights_is_noticed(tmp_path: Path, run_directory: Path) -> None:
    run = copied(run_directory, tmp_path / "run")
    content = bytearray((run / "weights.safetensors").read_bytes())
    content[-3] ^= 1
    (run / "weights.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"weights\.safetensors: damaged: not the file whose hash"):
        load_run(run)
    record = json.loads((run / "training.json").read_text())
    (run / "training.json").write_text(json.dumps({key: record[key] for key in record if "sha256" not in key}))
    assert load_run(run).record["steps"] == 6  # trained before there were hashes


def test_a_run_that_is_killed_between_its_files_can_be_read(tmp_path: Path, run_directory: Path) -> None:
    """The record is written first; the weights before it are still those of the run."""
    run = copied(run_directory, tmp_path / "run")
    before = (run / "weights.safetensors").read_bytes()
    loaded = load_run(run)
    with torch.no_grad():
        next(loaded.model.parameters()).add_(1)
    save_run(run, loaded.model, loaded.record)
    assert load_run(run).weights_hash != loaded.weights_hash
    (run / "weights.safetensors").write_bytes(before)
    assert load_run(run).weights_hash == loaded.weights_hash


def test_negative_variances_are_refused(tmp_path: Path, run_directory: Path) -> None:
    loaded = load_run(run_directory)
    name = next(name for name in loaded.model.state_dict() if name.endswith("running_var"))
    with torch.no_grad():
        loaded.model.state_dict()[name][0] = -1
    save_run(tmp_path / "run", loaded.model, loaded.record)
    with pytest.raises(CheckpointError, match=f"'{name}' holds negative variances"):
        load_run(tmp_path / "run")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"epochs": [1e999]}', '{"epochs": [3]}', '{"epochs": [{"a": "b"}]}'])
def test_records_that_are_none(text: str, tmp_path: Path, run_directory: Path) -> None:
    run = copied(run_directory, tmp_path / "run")
    (run / "training.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"damaged run: .*training\.json"):
        load_run(run)


def test_an_unfinished_run_says_how_far_it_got(tmp_path: Path, run_directory: Path) -> None:
    loaded = load_run(run_directory)
    assert loaded.unfinished is None
    assert "unfinished" not in from_run(loaded).provenance
    save_run(tmp_path / "run", loaded.model, {"epochs": [{"epoch": 1}], "finished": False})
    again = load_run(tmp_path / "run")
    assert again.unfinished == "epoch 1 of 2"
    assert from_run(again).provenance["unfinished"] == "epoch 1 of 2"

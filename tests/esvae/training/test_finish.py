"""The last stage of a training: what it changes and what not, that it can be killed, and the gain of drawn pictures."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from esvae.config import Config, config_from_dict
from esvae.data import ImageSplits, load_images
from esvae.errors import CheckpointError, ConfigError
from esvae.machine.files import write_bytes
from esvae.metrics.features import features_path
from esvae.metrics.train_features import train_features
from esvae.run import is_finished, load_run, read_record
from esvae.training import Machine, TrainingCallbacks, fine_tuning, train
from export.pipeline import integer_network
from sim.readout import images_from_potentials


class Stop(Exception):
    """What a test ends a training with."""


def tiny(finish: dict[str, Any] | None, **model: Any) -> Config:
    content = {
        "name": "tiny",
        "data": {"image_size": 8},
        "model": {
            "latent": 6,
            "time_steps": 4,
            "encoder_channels": [4, 4],
            "decoder": {"kind": "subpixel", "base_size": 4, "channels": [4, 4]},
            "prior": {"kind": "mixture", "components": 2, "images": 200, "snap": True},
            "sampler": "systematic",
            **model,
        },
        "train": {"epochs": 1, "batch_size": 64, "finish": finish},
    }
    return config_from_dict(content, "test")


FINISH = {"epochs": 2, "images": 256, "learning_rate": 3e-3, "gain": True}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("finish")
    train(tiny(None), folder / "plain")
    train(tiny(FINISH), folder / "finished")
    return folder / "plain", folder / "finished"


def test_the_decoder_alone_learns(runs: tuple[Path, Path]) -> None:
    plain, finished = (load_run(run) for run in runs)
    before, after = plain.model.state_dict(), finished.model.state_dict()
    assert set(after) - set(before) == {"decoder.gain"}
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    learned = {name for name, _ in plain.model.decoder.named_parameters(prefix="decoder")}
    statistics = {name for name in before if name.startswith("decoder.") and name not in learned}
    assert learned <= changed <= learned | statistics
    told = finished.record["finish"]["epochs"]
    assert [epoch["step"] for epoch in told] == [4, 8]
    assert told[-1]["reconstruction_mse"] < plain.record["epochs"][-1]["reconstruction_mse"]
    assert finished.record["finished"]
    assert not (runs[1] / "finish").exists()


def test_a_finish_that_was_stopped_goes_on_to_the_same_weights(runs: tuple[Path, Path], tmp_path: Path) -> None:
    steps = 0

    def stop(step: int, total: int, mse: float, epoch: object) -> None:
        nonlocal steps
        steps += 1
        if total == 8 and step == 6:
            raise Stop

    with pytest.raises(Stop):
        train(tiny(FINISH), tmp_path / "run", callbacks=TrainingCallbacks(stop))
    assert not read_record(tmp_path / "run")["finished"]
    done = train(tiny(FINISH), tmp_path / "run", resume=True)
    wanted = load_run(runs[1])
    assert done.weights_hash == wanted.weights_hash
    assert done.record["finish"]["gain"] == wanted.record["finish"]["gain"]
    assert train(tiny(FINISH), tmp_path / "run", resume=True).weights_hash == wanted.weights_hash


@pytest.mark.parametrize("after", ["record", "weights"])
def test_a_finish_that_was_stopped_while_it_was_written_is_finished(
    after: str, runs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, run = write_bytes, tmp_path / "run"

    def stop(path: Path, content: bytes) -> None:
        last = path.name == "weights.safetensors" and json.loads((run / "training.json").read_text())["finished"]
        if not last or after == "weights":
            real(path, content)
        if last:
            raise Stop

    monkeypatch.setattr("esvae.run.write_bytes", stop)
    with pytest.raises(Stop):
        train(tiny(FINISH), run)
    assert is_finished(run) == (after == "weights")
    assert load_run(run).unfinished == (None if after == "weights" else "epoch 1 of 1")
    for _ in range(2):  # stopped at the same place again, nothing is lost
        with pytest.raises(Stop) if after == "record" else contextlib.nullcontext():
            train(tiny(FINISH), run, resume=True)
        load_run(run)
    monkeypatch.undo()
    done, wanted = train(tiny(FINISH), run, resume=True), load_run(runs[1])
    assert done.weights_hash == wanted.weights_hash
    assert done.record["finish"]["gain"] == wanted.record["finish"]["gain"]
    assert is_finished(run)
    assert not (run / "finish").exists()


def test_what_follows_the_steps_is_told(tmp_path: Path) -> None:
    for finish, follows in (
        (FINISH, ["tuning the decoder", "fitting the prior", "choosing the gain"]),
        (None, ["fitting the prior"]),
    ):
        told: list[str] = []
        train(
            tiny(finish),
            tmp_path / f"run{len(follows)}",
            machine=Machine(max_steps=1),
            callbacks=TrainingCallbacks(stage=told.append),
        )
        assert told == follows


def test_pictures_are_compared_by_features_in_both_stages(tmp_path: Path) -> None:
    content = tiny(FINISH).model_dump()
    content["train"]["feature_weight"] = 0.5
    config = config_from_dict(content, "features")
    with pytest.raises(CheckpointError, match="no FAD autoencoder; make one with: esvae fad train digits --data-root"):
        train(config, tmp_path / "run", machine=Machine(data_root=tmp_path))
    images = load_images(config.data)
    few = ImageSplits(images.train.head(250), images.test.head(10))
    train_features(config.data, few, features_path(config.data, tmp_path), epochs=1)
    run = train(config, tmp_path / "run", machine=Machine(max_steps=2, data_root=tmp_path))
    for epochs in (run.record["epochs"], run.record["finish"]["epochs"]):
        assert epochs[-1]["texture"] > 0
        assert epochs[-1]["total"] > epochs[-1]["reconstruction_mse"]


def test_the_gain_is_of_drawn_pictures_and_in_the_file(runs: tuple[Path, Path]) -> None:
    run = load_run(runs[1])
    told = run.record["finish"]["gain"]
    least = min(told["distances"].values())
    for gain, distance in told["distances"].items():  # nothing lower is as good, and nothing is much better
        assert float(gain) >= told["chosen"] or distance > 1.03 * least
    assert told["distances"][f"{told['chosen']:.2f}"] <= 1.03 * least
    assert float(run.model.decoder.gain) == pytest.approx(told["chosen"])
    run.model.decoder.gain.fill_(1.25)
    images = load_images(run.config.data).test.head(4).tensor()
    rates = run.model.posterior_rates(images)
    spikes = run.model.sample(rates, torch.Generator().manual_seed(0))
    plain = run.model.reconstruction(rates, torch.Generator().manual_seed(0))
    drawn = run.model.decoder(spikes)
    torch.testing.assert_close(torch.atanh(drawn), 1.25 * torch.atanh(plain), rtol=1e-4, atol=1e-5)
    exact = integer_network(run)[0]
    run.model.decoder.gain.fill_(1.0)
    without = integer_network(run)[0]
    potentials = np.arange(-2000, 2000, 1000)[:, None, None, None] * np.ones((1, *exact.shapes[-1]), np.int64)
    np.testing.assert_allclose(
        np.arctanh(images_from_potentials(exact, potentials)),
        1.25 * np.arctanh(images_from_potentials(without, potentials)),
        rtol=1e-4,
    )


def test_weights_of_few_bits_are_finished_in_integers(runs: tuple[Path, Path], tmp_path: Path) -> None:
    base = load_run(runs[1])
    done = train(fine_tuning(base.config, 3), tmp_path / "run", initial=base)
    assert done.model.decoder.in_integers
    assert [epoch["step"] for epoch in done.record["finish"]["epochs"]] == [4, 8]


def test_a_finish_needs_one_process(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="in one process; leave --devices out"):
        train(tiny(FINISH), tmp_path / "run", machine=Machine(devices=2))

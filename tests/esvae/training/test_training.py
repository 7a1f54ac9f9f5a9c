"""A training can be killed, continued, spread over processes, stopped early and looked into."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from esvae.config import Config, config_from_dict, config_to_yaml
from esvae.errors import CheckpointError, ConfigError
from esvae.machine.threads import threads
from esvae.run import Run, load_run, read_record
from esvae.training import Machine, TrainingCallbacks, settled_precision, train
from esvae.training.checkpoint import load_state, save_state
from esvae.training.fit import CHECKPOINT
from warm import ONE_THREAD, Warm


class Stop(Exception):
    """What a test ends a training with."""


def tiny(epochs: int = 3, **settings: Any) -> Config:
    model = {
        "latent": 6,
        "time_steps": 3,
        "encoder_channels": [4, 4],
        "decoder": {"kind": "subpixel", "base_size": 4, "channels": [4, 4]},
    }
    content = {
        "name": "tiny",
        "data": {"image_size": 8},
        "model": model,
        "train": {"epochs": epochs, "batch_size": 250, "seed": 3, "learning_rate": 1e-2, **settings},
    }
    return config_from_dict(content, "test")  # 1,500 images: 6 steps an epoch


def command(config: Config, folder: Path, *options: str) -> list[str]:
    path = folder / "tiny.yaml"
    path.write_text(config_to_yaml(config))
    return [sys.executable, "-m", "deploy.cli", "train", str(path), "--accelerator", "cpu", *options]


SCHEDULES: dict[str, dict[str, Any]] = {
    "constant": {},
    "cosine": {"schedule": "cosine", "warmup_steps": 4, "gradient_clip": 0.5},
}


@pytest.fixture(scope="module", params=SCHEDULES)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    return train(tiny(**SCHEDULES[request.param]), folder, machine=Machine(checkpoint_steps=1))


def counting(steps: list[int]) -> TrainingCallbacks:
    """Appends the number of every step."""
    return TrainingCallbacks(lambda step, *_: steps.append(step))


@pytest.mark.parametrize("stop", [6, 8, 11])
def test_a_stopped_run_continues_to_the_same_weights(stop: int, whole: Run, tmp_path: Path) -> None:
    config = whole.config

    def progress(step: int, steps: int, mse: float, epoch: object) -> None:
        if step == stop:
            raise Stop

    machine = Machine(checkpoint_steps=4)
    with pytest.raises(Stop):
        train(config, tmp_path / "parts", machine=machine, callbacks=TrainingCallbacks(progress))
    steps: list[int] = []
    resumed = train(config, tmp_path / "parts", machine=machine, resume=True, callbacks=counting(steps))
    assert (
        steps[0] == stop // 4 * 4 + 1 if stop != 6 else 7
    )  # from the last checkpoint, of every 4 steps and 6 an epoch
    assert resumed.weights_hash == whole.weights_hash
    for left, right in zip(resumed.record["epochs"], whole.record["epochs"], strict=True):
        assert {**left, "seconds": 0} == {**right, "seconds": 0}


def test_a_killed_process_continues_to_the_same_weights(ready: Warm, tmp_path: Path) -> None:
    config = tiny(epochs=40_000)
    _, _, _, *words = command(config, tmp_path, "--out", str(tmp_path / "run"), "--max-steps", "240000", "--json")
    with Path(os.devnull).open("wb") as nowhere:
        ends = {"out": nowhere.fileno(), "errors": nowhere.fileno()}
        process = ready.start(words, folder=tmp_path, environment={**os.environ, **ONE_THREAD}, **ends)
    try:
        while len(read_record(tmp_path / "run").get("epochs", [])) < 2:
            assert process.runs, "ended before it could be killed"
            time.sleep(0.02)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    killed = read_record(tmp_path / "run")
    assert not killed["finished"]
    steps = killed["steps"] + 12
    with pytest.raises(CheckpointError, match="holds an unfinished run; continue it with --resume"):
        train(config, tmp_path / "run", machine=Machine(max_steps=steps))
    with threads(1):  # as the process that was killed
        resumed = train(config, tmp_path / "run", machine=Machine(max_steps=steps), resume=True)
        whole = train(config, tmp_path / "whole", machine=Machine(max_steps=steps))
    assert resumed.record["steps"] == whole.record["steps"] == steps
    assert resumed.weights_hash == whole.weights_hash


def test_a_finished_run_stays_and_can_be_prolonged(tmp_path: Path) -> None:
    run = train(tiny(epochs=1), tmp_path / "run")
    assert run.record["finished"]
    assert train(tiny(epochs=1), tmp_path / "run", resume=True).weights_hash == run.weights_hash
    longer = train(tiny(epochs=2), tmp_path / "run", resume=True)
    assert longer.weights_hash == train(tiny(epochs=2), tmp_path / "whole").weights_hash
    with pytest.raises(CheckpointError, match=r"of another training \(train\.mmd_weight differs\)"):
        train(tiny(epochs=3, mmd_weight=0.1), tmp_path / "run", resume=True)


def test_a_finished_run_is_replaced_at_the_end_and_when_told_to(tmp_path: Path) -> None:
    first = train(tiny(epochs=1), tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}
    with pytest.raises(CheckpointError, match="holds a finished run; train into another folder, or replace it with"):
        train(tiny(epochs=1), tmp_path / "run")
    (tmp_path / "run" / "notes.txt").write_text("mine")

    def interrupt(step: int, *_: object) -> None:
        if step == 8:
            raise Stop

    longer = tiny(epochs=2)
    with pytest.raises(Stop):
        train(longer, tmp_path / "run", overwrite=True, callbacks=TrainingCallbacks(interrupt))
    assert all((tmp_path / "run" / name).read_bytes() == content for name, content in before.items())
    assert load_run(tmp_path / "run").weights_hash == first.weights_hash
    steps: list[int] = []
    second = train(
        longer,
        tmp_path / "run",
        overwrite=True,
        resume=True,
        callbacks=counting(steps),
    )
    assert steps[0] > 1  # it went on with the one that was to replace it
    assert second.record["steps"] == 12
    assert second.weights_hash == load_run(tmp_path / "run").weights_hash != first.weights_hash
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_an_overwrite_that_begins_anew_forgets_one_that_was_killed(tmp_path: Path) -> None:
    train(tiny(epochs=1), tmp_path / "run")
    (tmp_path / ".run.new").mkdir()
    (tmp_path / ".run.new" / "left").touch()
    steps: list[int] = []
    train(
        tiny(epochs=1),
        tmp_path / "run",
        overwrite=True,
        callbacks=counting(steps),
    )
    assert steps[0] == 1
    assert not (tmp_path / "run" / "left").exists()


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    config = tiny(precision="64", activity_weight=0.01)
    alone = train(config, tmp_path / "one")
    arguments = command(config, tmp_path, "--out", str(tmp_path / "two"), "--devices", "2", "--json")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 18  # one object: only one process speaks
    together = load_run(tmp_path / "two")
    for left, right in zip(together.record["epochs"], alone.record["epochs"], strict=True):
        for name in ("total", "reconstruction_mse", "mmd", "activity"):
            assert left[name] == pytest.approx(right[name], rel=1e-9), name
    for name, value in together.model.state_dict().items():
        assert torch.allclose(value, alone.model.state_dict()[name], rtol=1e-5, atol=1e-6), name


def test_a_batch_that_cannot_be_spread(tmp_path: Path) -> None:
    """It is said before any process is started."""
    with pytest.raises(ConfigError, match=r"train\.batch_size 250 cannot be spread evenly over 3 processes"):
        train(tiny(), tmp_path / "run", machine=Machine(accelerator="cpu", devices=3))
    assert not (tmp_path / "run").exists()


def test_early_stopping_keeps_the_best_epoch(tmp_path: Path) -> None:
    # A learning rate far too high, so that the best epoch is not the last.
    run = train(tiny(epochs=40, learning_rate=0.3, validation_images=300, patience=2), tmp_path)
    scores = [epoch["validation_mse"] for epoch in run.record["epochs"]]
    best = scores.index(min(scores))
    assert len(scores) == best + 3 < 40
    assert run.record["weights_epoch"] == best + 1
    assert run.record["finished"]
    from esvae.data import load_images
    from esvae.training import evaluate_mse

    held_out = load_images(run.config.data).train.tensor()[-300:]
    assert evaluate_mse(run.model, held_out, seed=3) == pytest.approx(min(scores))
    assert train(run.config, tmp_path, resume=True).weights_hash == run.weights_hash  # stays stopped


def test_patience_needs_images_to_judge_by() -> None:
    with pytest.raises(ConfigError, match="patience needs validation_images"):
        tiny(patience=2)
    with pytest.raises(ConfigError, match="leaves none of the 1500 training images"):
        train(tiny(validation_images=1500), "nowhere")
    with pytest.raises(ConfigError, match=r"train\.batch_size 1600 is more than the 1500 training images"):
        train(tiny(batch_size=1600), "nowhere")


def test_the_activity_penalty_silences_the_decoder(tmp_path: Path) -> None:
    def rates(weight: float) -> float:
        run = train(tiny(epochs=4, activity_weight=weight), tmp_path / str(weight))
        return sum(rate for name, rate in run.record["epochs"][-1]["rates"].items() if name.startswith("decoder"))

    assert rates(1.0) < 0.5 * rates(0.0)


def test_what_is_recorded(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(tiny(epochs=2), tmp_path, machine=Machine(samples_every=2, tensorboard=True))
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert [row["step"] for row in rows] == ["6", "12"]
    for name in ("reconstruction_mse", "mmd", "learning_rate", "rate/encoder.latent", "dead/decoder.layers.1"):
        assert 0 <= float(rows[-1][name]) <= 1, name
    assert [path.name for path in (tmp_path / "samples").iterdir()] == ["epoch_0002.png"]
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("reconstruction_mse")] == [6, 12]
    assert [event.step for event in events.Images("samples")] == [12]


def test_mixed_precision_trains_and_gives_a_run_of_the_same_kind(tmp_path: Path) -> None:
    mixed = train(tiny(precision="bf16-mixed"), tmp_path / "mixed")
    plain = train(tiny(), tmp_path / "plain")
    assert mixed.weights_hash != plain.weights_hash
    left, right = (run.record["epochs"][-1]["reconstruction_mse"] for run in (mixed, plain))
    assert left == pytest.approx(right, rel=0.1)
    assert [p.dtype for p in mixed.model.parameters()] == [p.dtype for p in plain.model.parameters()]
    with pytest.raises(ConfigError, match="16-mixed needs a GPU"):
        train(tiny(precision="16-mixed"), tmp_path / "half")
    with pytest.raises(ConfigError, match="accelerator 'tpu' is unknown"):
        train(tiny(), tmp_path / "tpu", machine=Machine("tpu"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("features", "taken"),
    [
        ({"avx512bf16": True}, "bf16-mixed"),
        ({"amx-bf16": True}, "bf16-mixed"),
        ({"avx512bf16": False}, "32"),
        ({}, "32"),
    ],
)
def test_auto_takes_what_the_processor_has(
    features: dict[str, bool], taken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("esvae.training.precision.get_host_cpu_features", lambda: features)
    config, why = settled_precision(tiny(precision="auto"), gpu=False)
    assert config.train.precision == taken
    assert f"precision {taken}" in why
    assert settled_precision(config, gpu=False) == (config, "")
    few = Machine(max_steps=2)
    run = train(tiny(precision="auto"), tmp_path / "run", machine=few)
    assert run.config.train.precision == taken
    assert run.weights_hash == train(config, tmp_path / "settled", machine=few).weights_hash


def test_states_come_back_as_they_were(tmp_path: Path) -> None:
    parameter = torch.nn.Parameter(torch.ones(3, 2))
    optimizer = torch.optim.AdamW([parameter])
    parameter.sum().backward()
    optimizer.step()
    state = {"optimizer": optimizer.state_dict(), "shared": [parameter, parameter[0]], "x": (1, None, "a", 1.5, True)}
    save_state(tmp_path / CHECKPOINT, state)
    back = load_state(tmp_path / CHECKPOINT)
    assert back["x"] == state["x"]
    assert back["optimizer"]["param_groups"] == state["optimizer"]["param_groups"]  # type: ignore[index]
    assert torch.equal(back["optimizer"]["state"][0]["exp_avg"], optimizer.state_dict()["state"][0]["exp_avg"])
    assert torch.equal(back["shared"][1], parameter[0])
    with pytest.raises(TypeError, match="set cannot go into a checkpoint"):
        save_state(tmp_path / CHECKPOINT, {"x": {1}})
    assert load_state(tmp_path / CHECKPOINT)["x"] == state["x"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        save({"t0": torch.zeros(1)}),
        save({}, {"state": "{}"}),
        save({}, {"state": '{"tensor": "t9"}'}),
        save({}, {"state": '{"value": 1}'}),
    ],
)
def test_damaged_checkpoints(content: bytes, tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(content)
    with pytest.raises(CheckpointError, match=r"checkpoint\.safetensors: .*--overwrite") as caught:
        train(tiny(), tmp_path, resume=True)
    assert "\n" not in str(caught.value)


def _turned(state: dict[str, Any]) -> None:
    names = sorted(state["model"])
    state["model"][names[0]], state["model"][names[-1]] = state["model"][names[-1]], state["model"][names[0]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.update(step="4"), "step is 4"),
        (lambda state: state.update(step=-1), "step is -1"),
        (lambda state: state.pop("weights_epoch"), "weights_epoch is None"),
        (lambda state: state.update(history=[[1]]), "no record of a training"),
        (lambda state: state.update(sums={"total": torch.zeros(2)}), "sums of losses"),
        (lambda state: state.pop("model"), "it has no weights"),
        (_turned, "has shape"),
        (lambda state: state.update(precision=5), "it has no state of the precision"),
        (lambda state: state.update(optimizer=None), "it has no state of the optimizer"),
        (lambda state: state["optimizer"]["state"].update({99: {}}), "none of number 99"),
        (lambda state: state["optimizer"]["state"][0].pop("step"), "'step' is missing"),
        (lambda state: state["optimizer"]["state"][0].update(exp_avg=torch.zeros(1)), "'exp_avg' has shape"),
        (lambda state: state["optimizer"]["state"].update({0: 5}), "it has no averages"),
    ],
)
def test_a_sound_file_that_is_no_checkpoint_of_this_training(change: Any, said: str, tmp_path: Path) -> None:
    train(tiny(epochs=1), tmp_path, machine=Machine(max_steps=3))
    state = load_state(tmp_path / CHECKPOINT)
    change(state)
    save_state(tmp_path / CHECKPOINT, state)
    with pytest.raises(CheckpointError, match=said) as caught:
        train(tiny(epochs=1), tmp_path, machine=Machine(max_steps=5), resume=True)
    assert str(caught.value).endswith("train again with --overwrite")
    assert "\n" not in str(caught.value)

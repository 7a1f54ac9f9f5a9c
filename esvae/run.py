"""A run directory: the resolved config, the weights as safetensors, and the record of the training.

::

    RUN/config.yaml           every key, defaults included
    RUN/weights.safetensors   parameters and running statistics; no pickle anywhere
    RUN/training.json         losses and activity by epoch, versions, hash of the weights; whether it is finished
    RUN/metrics.csv           the epochs as a table
    RUN/samples/              grids of images drawn from the prior in the course of the training
    RUN/checkpoint.safetensors  optimizer and progress, to continue from; not needed to use the run

Each file is written whole or not at all, weights last: a directory with weights is complete up to that epoch.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from esvae import __version__
from esvae.config import Config, config_from_dict, config_to_yaml
from esvae.errors import CheckpointError, ConfigError
from esvae.machine.documents import load_json
from esvae.machine.files import write_bytes, write_text
from esvae.machine.located_yaml import load_yaml
from esvae.machine.tensors import check_state, load_tensors
from esvae.model import ESVAE
from esvae.shipped import RUN_FILES, run_folder

__all__ = [
    "Run",
    "checked_record",
    "holds_run",
    "is_finished",
    "load_run",
    "read_record",
    "save_record",
    "save_run",
    "versions",
]

_CONFIG, _WEIGHTS, _RECORD = RUN_FILES
#: What the record says of the weights, and of those before them, which a run that was killed may still have.
_HASH, _HASH_BEFORE = "weights_sha256", "weights_sha256_before"


@dataclass(frozen=True)
class Run:
    """A trained model, read back.

    Attributes:
        model: in evaluation mode, on the CPU.
        record: what ``training.json`` holds.
        weights_hash: SHA-256 of the weights file.
    """

    model: ESVAE
    record: dict[str, Any]
    weights_hash: str

    @property
    def config(self) -> Config:
        """The config that the model was built from."""
        return self.model.config

    @property
    def unfinished(self) -> str | None:
        """How far the training got that was to go on, or None where it is finished."""
        if self.record.get("finished") is not False:
            return None
        epochs = self.record.get("epochs", [])
        return f"epoch {epochs[-1].get('epoch') if epochs else 0} of {self.config.train.epochs}"


def versions() -> dict[str, str]:
    """What decides the numbers of a run: this project, Python and torch."""
    return {"esvae-loihi": __version__, "python": platform.python_version(), "torch": torch.__version__}


def save_run(directory: str | os.PathLike[str], model: ESVAE, record: dict[str, Any]) -> Path:
    """Writes config, record and weights into ``directory``.

    Raises:
        EsvaeError: a file cannot be written; those that were there before are as they were.
    """
    directory = Path(directory)
    write_text(directory / _CONFIG, config_to_yaml(model.config))
    content = save({name: _stored(value) for name, value in model.state_dict().items()})
    hashes = {_HASH: hashlib.sha256(content).hexdigest(), _HASH_BEFORE: _hash_of_weights(directory)}
    _write_record(directory, {**record, **hashes})
    write_bytes(directory / _WEIGHTS, content)
    return directory


def _stored(value: torch.Tensor) -> torch.Tensor:
    """Weights in float32; what is no weight (a scale in float64, a switch) as it is."""
    value = value.detach().cpu().contiguous()
    return value.float() if value.is_floating_point() and value.ndim else value


def save_record(directory: str | os.PathLike[str], record: dict[str, Any]) -> None:
    """Writes ``training.json`` alone, whole or not at all; what it says of the weights stays."""
    held = read_record(directory)
    _write_record(directory, {**record, **{key: held[key] for key in (_HASH, _HASH_BEFORE) if key in held}})


def _write_record(directory: str | os.PathLike[str], record: dict[str, Any]) -> None:
    write_text(Path(directory) / _RECORD, json.dumps({**record, "versions": versions()}, indent=1) + "\n")


def read_record(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """What ``training.json`` holds; empty where there is none that can be read."""
    try:
        return checked_record(load_json(Path(directory) / _RECORD, error=CheckpointError))
    except (OSError, CheckpointError):
        return {}


def is_finished(directory: str | os.PathLike[str]) -> bool:
    """Whether the run there is finished: its record says so, and the weights are those that it speaks of, not the ones
    before them, which stand there where the writing was interrupted."""
    record = read_record(directory)
    return bool(record.get("finished")) and (_HASH not in record or record[_HASH] == _hash_of_weights(directory))


def _hash_of_weights(directory: str | os.PathLike[str]) -> str | None:
    try:
        return hashlib.sha256((Path(directory) / _WEIGHTS).read_bytes()).hexdigest()
    except OSError:
        return None


def holds_run(directory: str | os.PathLike[str]) -> bool:
    """Whether there are weights of a run, finished or not, in a directory."""
    return (Path(directory) / _WEIGHTS).exists()


def load_run(directory: str | os.PathLike[str]) -> Run:
    """Reads a run directory, or, given ``pretrained:NAME``, one that comes with the project.

    Raises:
        CheckpointError: missing, of another project, damaged, or weights that do not belong to the config.
    """
    directory = run_folder(directory)
    weights = directory / _WEIGHTS
    try:
        config = config_from_dict(load_yaml(directory / _CONFIG).content, _CONFIG)
        record = checked_record(load_json(directory / _RECORD, error=CheckpointError))
        found = load_tensors(weights)
    except (CheckpointError, ConfigError) as error:
        raise CheckpointError(f"{directory}: damaged run: {error}; train again") from None
    except OSError as error:
        raise CheckpointError(f"{directory}: cannot be read: {error.strerror}") from None
    model = ESVAE(config)
    try:
        check_state(model.state_dict(), found.tensors)
    except CheckpointError as error:
        raise CheckpointError(f"{weights}: not the weights of this config: {error}") from None
    if _HASH in record and found.sha256 not in (record[_HASH], record.get(_HASH_BEFORE)):
        raise CheckpointError(f"{weights}: damaged: not the file whose hash {_RECORD} holds; train again")
    model.load_state_dict(found.tensors)
    if found.sha256 != record.get(_HASH, found.sha256):  # its writing was interrupted
        record["finished"] = False
    return Run(model.eval(), record, found.sha256)


def checked_record(record: Any) -> dict[str, Any]:
    """The record, where it is built as others take it.

    Raises:
        CheckpointError: it is not.
    """
    epochs = record.get("epochs", []) if isinstance(record, dict) else None
    if not isinstance(epochs, list) or not all(map(_is_epoch, epochs)):
        raise CheckpointError(f"{_RECORD} is no record of a training")
    return record  # type: ignore[no-any-return]


def _is_epoch(epoch: Any) -> bool:
    """Whether these are numbers by name, some of them in groups."""
    if not isinstance(epoch, dict):
        return False
    groups = [value.values() if isinstance(value, dict) else (value,) for value in epoch.values()]
    return all(value is None or isinstance(value, int | float) for group in groups for value in group)

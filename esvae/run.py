"""A run directory: the resolved config, the weights as safetensors, and the record of the training.

::

    RUN/config.yaml           every key, defaults included
    RUN/weights.safetensors   parameters and running statistics; no pickle anywhere
    RUN/training.json         losses and activity by epoch, seconds, versions; whether it is finished
    RUN/metrics.csv           the epochs as a table
    RUN/samples/              grids of images drawn from the prior in the course of the training
    RUN/checkpoint.safetensors  optimizer and progress, to continue from; not needed to use the run

Each file is written whole or not at all, weights last: a directory with weights is complete up to that epoch.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load, save

from esvae import __version__
from esvae.config import Config, config_from_dict, config_to_yaml
from esvae.errors import CheckpointError, ConfigError
from esvae.machine.files import atomic_path, sha256_file, write_text
from esvae.model import ESVAE

__all__ = [
    "RUN_FILES",
    "Run",
    "holds_run",
    "load_run",
    "pretrained_names",
    "read_record",
    "save_record",
    "save_run",
    "versions",
]

_PRETRAINED = "pretrained:"
_CONFIG, _WEIGHTS, _RECORD = "config.yaml", "weights.safetensors", "training.json"
#: Without these three a directory is no run.
RUN_FILES = (_CONFIG, _WEIGHTS, _RECORD)


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
    save_record(directory, record)
    tensors = {name: _stored(value) for name, value in model.state_dict().items()}
    with atomic_path(directory / _WEIGHTS) as temporary:
        temporary.write_bytes(save(tensors))
    return directory


def _stored(value: torch.Tensor) -> torch.Tensor:
    """Weights in float32; what is no weight (a scale in float64, a switch) as it is."""
    value = value.detach().cpu().contiguous()
    return value.float() if value.is_floating_point() and value.ndim else value


def save_record(directory: str | os.PathLike[str], record: dict[str, Any]) -> None:
    """Writes ``training.json`` alone, whole or not at all."""
    write_text(Path(directory) / _RECORD, json.dumps({**record, "versions": versions()}, indent=1) + "\n")


def read_record(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """What ``training.json`` holds; empty where there is none that can be read."""
    try:
        record = json.loads((Path(directory) / _RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def holds_run(directory: str | os.PathLike[str]) -> bool:
    """Whether there are weights of a run, finished or not, in a directory."""
    return (Path(directory) / _WEIGHTS).exists()


def load_run(directory: str | os.PathLike[str]) -> Run:
    """Reads a run directory, or, given ``pretrained:NAME``, one that comes with the project.

    Raises:
        CheckpointError: missing, of another project, damaged, or weights that do not belong to the config.
    """
    directory = _place(directory)
    if not directory.is_dir():
        raise CheckpointError(
            f"{directory}: no such run directory; make one with: esvae train digits --out {directory}"
        )
    for name in RUN_FILES:
        if not (directory / name).is_file():
            raise CheckpointError(
                f"{directory}: no {name}, so this is no finished run; train again with --out {directory}"
            )
    try:
        config = config_from_dict(yaml.safe_load((directory / _CONFIG).read_text(encoding="utf-8")), _CONFIG)
        record = json.loads((directory / _RECORD).read_text(encoding="utf-8"))
        tensors = load((directory / _WEIGHTS).read_bytes())
    except (yaml.YAMLError, ValueError, ConfigError, SafetensorError) as error:
        raise CheckpointError(f"{directory}: damaged run: {' '.join(str(error).split())}; train again") from None
    except OSError as error:
        raise CheckpointError(f"{directory}: cannot be read: {error.strerror}") from None
    if not isinstance(record, dict):
        raise CheckpointError(f"{directory}: damaged run: {_RECORD} is no record; train again")
    model = ESVAE(config)
    wanted = model.state_dict()
    _check_tensors(directory, wanted, tensors)
    model.load_state_dict(tensors)
    return Run(model.eval(), record, sha256_file(directory / _WEIGHTS))


def pretrained_names() -> list[str]:
    """Runs that come with the project, to be named ``pretrained:NAME``."""
    folder = Path(str(resources.files("esvae"))) / "pretrained"
    return sorted(path.parent.name for path in folder.glob(f"*/{_WEIGHTS}"))


def _place(directory: str | os.PathLike[str]) -> Path:
    name = os.fspath(directory)
    if not name.startswith(_PRETRAINED):
        return Path(directory)
    name = name.removeprefix(_PRETRAINED)
    if name not in pretrained_names():
        raise CheckpointError(f"{_PRETRAINED}{name}: there is none of that name, but {', '.join(pretrained_names())}")
    return Path(str(resources.files("esvae"))) / "pretrained" / name


def _check_tensors(directory: Path, wanted: dict[str, torch.Tensor], found: dict[str, torch.Tensor]) -> None:
    where = f"{directory / _WEIGHTS}: not the weights of this config"
    for name in sorted(wanted.keys() | found.keys()):
        if name not in found:
            raise CheckpointError(f"{where}: '{name}' is missing")
        if name not in wanted:
            raise CheckpointError(f"{where}: '{name}' is not part of the model")
        if found[name].shape != wanted[name].shape:
            raise CheckpointError(
                f"{where}: '{name}' has shape {tuple(found[name].shape)}, expected {tuple(wanted[name].shape)}"
            )
        if not torch.isfinite(found[name]).all():
            raise CheckpointError(
                f"{where}: '{name}' holds values that are not finite; train with a lower learning rate"
            )

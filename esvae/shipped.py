"""What comes with the project, configs and runs, and where that is what somebody names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import resources
from pathlib import Path

from esvae.errors import CheckpointError, ConfigError, DataError
from esvae.machine.arguments import shown

__all__ = [
    "PRETRAINED",
    "RUN_FILES",
    "config_names",
    "config_path",
    "kind_of_file",
    "names_pretrained",
    "pretrained_names",
    "run_folder",
]

#: In front of the name of a run that comes with the project.
PRETRAINED = "pretrained:"
_CHECKPOINT = "a checkpoint, of which esvae import-official makes a run"
_CONFIG = "a config, which esvae train takes"
_KINDS = {
    ".net": "a network file, which simulate, generate, verify, energy, fit and inspect take",
    ".nir": "a NIR graph, of which esvae export makes a network file",
    ".npy": "an array, which --latents, --spikes and --image take",
    ".png": "a picture",
    **dict.fromkeys((".pth", ".pt", ".ckpt"), _CHECKPOINT),
    **dict.fromkeys((".yaml", ".yml"), _CONFIG),
}
#: Config, weights and record; without these three a directory is no run.
RUN_FILES = ("config.yaml", "weights.safetensors", "training.json")


def config_names() -> list[str]:
    """Names of the configs that come with the project."""
    return sorted(path.stem for path in _configs().glob("*.yaml"))


def config_path(name_or_path: str | os.PathLike[str]) -> Path:
    """The file of a config: the one that is named, or that of a shipped config, by a name without folder and ending.

    Raises:
        ConfigError: a folder, or no shipped config of that name; says the nearest, and which there are.
    """
    path = Path(name_or_path)
    if path.is_file():
        kind = kind_of_file(path)
        if kind not in (None, _CONFIG):
            raise ConfigError(f"{path}: {kind}; expected a YAML file, or a shipped config: {_known()}")
        return path
    named = len(path.parts) == 1 and not path.suffix
    if named and path.name in config_names():
        return _configs() / f"{path.name}.yaml"
    if path.is_dir():
        kind = "a run directory, which esvae train --from takes" if (path / RUN_FILES[1]).is_file() else "a folder"
        raise ConfigError(f"{path}: {kind}; expected a YAML file, or a shipped config: {_known()}")
    if named:
        raise ConfigError(f"{name_or_path}: no such file or shipped config; {_nearest(path.name, config_names())}")
    return path


def _nearest(wanted: str, known: Sequence[str]) -> str:
    near = get_close_matches(wanted, known, 1)
    return (f"did you mean {near[0]}? " if near else "") + f"there are {', '.join(known)}"


def _known() -> str:
    return ", ".join(config_names())


def _configs() -> Path:
    """The folder of shipped configs: inside an installed wheel, or beside the packages in a checkout."""
    installed = Path(str(resources.files("esvae"))) / "configs"
    return installed if installed.is_dir() else Path(__file__).resolve().parent.parent / "configs"


def pretrained_names() -> list[str]:
    """Runs that come with the project, to be named ``pretrained:NAME``."""
    return sorted(path.parent.name for path in _folder().glob(f"*/{RUN_FILES[1]}"))


def names_pretrained(name: str | os.PathLike[str]) -> bool:
    """Whether this is ``pretrained:NAME``, of a run that is there or not.

    Raises:
        DataError: no name at all.
    """
    if not isinstance(name, str | os.PathLike):  # a caller without types
        kind = type(name).__name__
        raise DataError(f"{shown(name)}: expected a file, a run directory or {PRETRAINED}NAME, got {kind}")
    return os.fspath(name).startswith(PRETRAINED)


def run_folder(name: str | os.PathLike[str]) -> Path:
    """The directory of a run: the one that is named, or that of ``pretrained:NAME``.

    Raises:
        CheckpointError: it is no directory, says what it is; or one without what makes a run of it.
    """
    folder = Path(name)
    if names_pretrained(name):
        wanted = os.fspath(name).removeprefix(PRETRAINED)
        if wanted not in pretrained_names():
            raise CheckpointError(
                f"{PRETRAINED}{wanted}: no such pre-trained run; {_nearest(wanted, pretrained_names())}"
            )
        folder = _folder() / wanted
    if folder.is_file():
        raise CheckpointError(
            f"{folder}: {kind_of_file(folder) or 'a file'}; expected a run directory or {PRETRAINED}NAME"
        )
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such run directory; make one with: esvae train digits --out {folder}")
    if not any((folder / file).is_file() for file in RUN_FILES):
        raise CheckpointError(f"{folder}: a folder that holds no run; expected a run directory or {PRETRAINED}NAME")
    for file in RUN_FILES:
        if not (folder / file).is_file():
            raise CheckpointError(f"{folder}: no {file}, so this is no finished run; train again with --out {folder}")
    return folder


def kind_of_file(file: Path) -> str | None:
    """What a file is by its name, and what takes it; None where the name does not say."""
    return _KINDS.get(file.suffix.lower())


def _folder() -> Path:
    return Path(str(resources.files("esvae"))) / "pretrained"

"""Runs that come with the project, and which folder a run is in that somebody names."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from esvae.errors import CheckpointError

__all__ = ["RUN_FILES", "names_pretrained", "pretrained_names", "run_folder"]

_PRETRAINED = "pretrained:"
#: Config, weights and record; without these three a directory is no run.
RUN_FILES = ("config.yaml", "weights.safetensors", "training.json")


def pretrained_names() -> list[str]:
    """Runs that come with the project, to be named ``pretrained:NAME``."""
    return sorted(path.parent.name for path in _folder().glob(f"*/{RUN_FILES[1]}"))


def names_pretrained(name: str | os.PathLike[str]) -> bool:
    """Whether this is ``pretrained:NAME``, of a run that is there or not."""
    return os.fspath(name).startswith(_PRETRAINED)


def run_folder(name: str | os.PathLike[str]) -> Path:
    """The directory of a run: the one that is named, or that of ``pretrained:NAME``.

    Raises:
        CheckpointError: it is no directory, says what it is; or one without what makes a run of it.
    """
    folder = Path(name)
    if names_pretrained(name):
        wanted = os.fspath(name).removeprefix(_PRETRAINED)
        if wanted not in pretrained_names():
            known = ", ".join(pretrained_names())
            raise CheckpointError(f"{_PRETRAINED}{wanted}: there is none of that name, but {known}")
        folder = _folder() / wanted
    if folder.is_file():
        raise CheckpointError(f"{folder}: {_kind(folder)}, expected a run directory or {_PRETRAINED}NAME")
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such run directory; make one with: esvae train digits --out {folder}")
    for file in RUN_FILES:
        if not (folder / file).is_file():
            raise CheckpointError(f"{folder}: no {file}, so this is no finished run; train again with --out {folder}")
    return folder


def _kind(file: Path) -> str:
    """What a file is by its name, and what takes it."""
    if file.suffix == ".net":
        return "a network file, which simulate, generate, verify, energy, fit and inspect take"
    if file.suffix in (".pth", ".pt", ".ckpt"):
        return "a checkpoint, of which esvae import-official makes a run"
    return "a file"


def _folder() -> Path:
    return Path(str(resources.files("esvae"))) / "pretrained"

"""Configs as people read them: what one says of itself, its text as it was written, and the same with every key."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from esvae.config import config_from_dict, config_to_yaml, given_by, with_settings
from esvae.errors import ConfigError
from esvae.machine.located_yaml import load_yaml, parse_located
from esvae.shipped import RUN_FILES, config_names, config_path, names_pretrained, run_folder

__all__ = ["ShippedConfig", "ShownConfig", "shipped_configs", "show_config"]

_DEFAULT = "  # default"


@dataclass(frozen=True)
class ShippedConfig:
    """A config that comes with the project.

    Attributes:
        name: that commands take.
        data: its data set.
        image: ``(channels, height, width)``.
        time_steps: of the window of an image.
        about: what it is, in a sentence.
    """

    name: str
    data: str
    image: tuple[int, int, int]
    time_steps: int
    about: str


@dataclass(frozen=True)
class ShownConfig:
    """A config, checked.

    Attributes:
        file: that it was read from.
        text: YAML.
        content: the same as dicts, lists and values.
    """

    file: Path
    text: str
    content: dict[str, Any]


def shipped_configs() -> list[ShippedConfig]:
    """All of them, by name."""
    return [_described(name) for name in config_names()]


def _described(name: str) -> ShippedConfig:
    path = config_path(name)
    config = config_from_dict(load_yaml(path).content, str(path))
    size = config.data.image_size
    image = (config.data.image_channels, size, size)
    return ShippedConfig(name, config.data.name, image, config.model.time_steps, _about(path.read_text("utf-8")))


def _about(text: str) -> str:
    """The first sentence of the comment at the top."""
    comment = " ".join(line.lstrip("# ") for line in text.partition("\nname:")[0].splitlines())
    return comment.partition(". ")[0].rstrip(".")


def show_config(source: str | os.PathLike[str], settings: Sequence[str] = (), *, resolved: bool = False) -> ShownConfig:
    """A config as it was written, or with every key.

    Args:
        source: a shipped config's name, a YAML file, a run directory, or ``pretrained:NAME``.
        settings: keys to set, each ``KEY=VALUE``; comments are lost where there are any.
        resolved: with every key; those that nobody wrote are marked as defaults.

    Raises:
        ConfigError: no such config, or one that does not hold.
        CheckpointError: a directory that holds no run.
    """
    path = _path_of(source)
    try:
        located = load_yaml(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    config = config_from_dict(located.content, str(path), located)
    content = located.content
    if settings:
        content = with_settings(content, settings)
        config = config_from_dict(content, str(path), given=given_by(settings))
    if resolved:
        return ShownConfig(path, _marked(config_to_yaml(config), content), config.model_dump(mode="json"))
    text = yaml.safe_dump(content, sort_keys=False) if settings else path.read_text("utf-8")
    return ShownConfig(path, text, content)


def _path_of(source: str | os.PathLike[str]) -> Path:
    """A run's own config, begun or finished; else that which is named."""
    if names_pretrained(source):
        return run_folder(source) / RUN_FILES[0]
    held = Path(source) / RUN_FILES[0]
    return held if held.is_file() else config_path(source)


def _marked(text: str, written: Mapping[str, Any]) -> str:
    """All keys as YAML; those that were not written have a comment, a section of such keys at its head."""
    lines = text.splitlines()
    for key, line in parse_located(text, "config").lines.items():
        if key and not _holds(written, key) and _holds(written, key[:-1]):
            lines[line - 1] += _DEFAULT
    return "\n".join(lines) + "\n"


def _holds(written: Any, key: Sequence[str | int]) -> bool:
    for name in key:
        if isinstance(name, int) or not isinstance(written, Mapping):
            return True  # an entry of a list goes with the list
        if name not in written:
            return False
        written = written[name]
    return True

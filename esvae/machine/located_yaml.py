"""YAML as plain objects together with the line on which each stands, so that errors can point at it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from esvae.errors import ConfigError
from esvae.machine.files import read_regular

__all__ = ["Located", "load_yaml", "parse_located"]

_BYTES = 1 << 18

#: By PyYAML: of its own, and by what makes values of texts that only look like numbers, dates or truth values.
_RAISED = (yaml.YAMLError, ValueError, RecursionError, ArithmeticError, LookupError, AttributeError, TypeError)

_COLLECTIONS = ("tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")


@dataclass(frozen=True)
class Located:
    """What was read.

    Attributes:
        content: dicts, lists and plain values.
        lines: line of each entry, from 1, by the keys and indices that lead to it.
    """

    content: Any
    lines: dict[tuple[str | int, ...], int]

    def line(self, where: Sequence[str | int]) -> int:
        """Line of the entry, or of the nearest one around it where there is none."""
        key = tuple(where)
        while key not in self.lines and key:
            key = key[:-1]
        return self.lines.get(key, 1)


def load_yaml(path: str | os.PathLike[str]) -> Located:
    """Reads a file as :func:`parse_located` does, if it is not too long.

    Raises:
        OSError: it cannot be read, for the caller to say which there are.
        ConfigError: it is no text, or no such YAML.
    """
    try:
        text = read_regular(path, _BYTES).decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not valid YAML: not readable as text") from None
    return parse_located(text, str(path))


def parse_located(text: str, name: str) -> Located:
    """Reads YAML.

    Args:
        text: one document, without anchors.
        name: of the file, for errors.

    Raises:
        ConfigError: not YAML, a key twice, an anchor; names file and line.
    """
    lines: dict[tuple[str | int, ...], int] = {}
    loader: yaml.SafeLoader | None = None
    try:
        if "\0" in text:
            raise ConfigError(f"{name}:1: not valid YAML: holds a zero byte")
        loader = yaml.SafeLoader(text)  # which looks at the characters already
        node = loader.get_single_node()
        content = None if node is None else _read(loader, node, (), lines, set(), name)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{name}:{line}: not valid YAML: {error.problem or error.context}") from None
    except _RAISED as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ConfigError(f"{name}:1: not valid YAML: {reason}") from None
    finally:
        if loader is not None:
            loader.dispose()
    return Located(content, lines)


def _read(
    loader: yaml.SafeLoader,
    node: yaml.Node,
    where: tuple[str | int, ...],
    lines: dict[tuple[str | int, ...], int],
    seen: set[int],
    name: str,
) -> Any:
    lines.setdefault(where, node.start_mark.line + 1)
    if id(node) in seen:
        raise ConfigError(f"{name}:{node.start_mark.line + 1}: anchors are not read; write the entry out")
    seen.add(id(node))
    if isinstance(node, yaml.CollectionNode) and node.tag not in _COLLECTIONS:
        raise ConfigError(f"{name}:{node.start_mark.line + 1}: not valid YAML: {node.tag} is not read")
    if isinstance(node, yaml.SequenceNode):
        return [_read(loader, item, (*where, i), lines, seen, name) for i, item in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return loader.construct_object(node)
    content: dict[str, Any] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError(f"{name}:{line}: a key must be a plain word")
        if key.value in content:
            raise ConfigError(f"{name}:{line}: {key.value} stands twice")
        place = (*where, key.value)
        lines[place] = line
        content[key.value] = _read(loader, value, place, lines, seen, name)
    return content

"""Network files as nested dicts of arrays, to be changed and written as they stand, sound or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np

__all__ = ["Items", "numbered", "read_tree", "write_tree"]

#: Groups are dicts, texts are ``str`` (stored with a fixed length) or ``bytes`` (without), the rest becomes arrays.
Items: TypeAlias = dict[str, Any]


def write_tree(path: Path, tree: Items) -> Path:
    """Writes the groups and arrays of a file; items that are None are left out."""

    def put(group: h5py.Group, items: Items) -> None:
        for name, value in items.items():
            if isinstance(value, dict):
                put(group.create_group(name), value)
            elif value is not None:
                group[name] = np.bytes_(value) if isinstance(value, str) else value

    with h5py.File(path, "w") as file:
        put(file, tree)
    return path


def read_tree(path: Path) -> Items:
    """The groups and arrays of a file that h5py reads."""

    def got(group: h5py.Group) -> Items:
        return {name: got(item) if isinstance(item, h5py.Group) else item[()] for name, item in group.items()}

    with h5py.File(path, "r") as file:
        return got(file)


def numbered(*layers: Items) -> dict[str, Items]:
    """Layers by the names of their groups."""
    return {str(index): layer for index, layer in enumerate(layers)}

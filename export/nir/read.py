"""What a NIR graph holds (neuroir.org): nodes and edges, read from a ``.nir`` file with nothing trusted.

It is HDF5: ``version``, and a group ``node`` of type ``NIRGraph`` with ``nodes/NAME/type`` and each node's arrays, and
``edges``, pairs of names. It is read here with the readers of :mod:`export.netx.items`, not with ``nir.read``:
nir 1.0.8 refuses published files whose declared types differ in leading ones, and follows links.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from esvae.arrays import Float64
from esvae.errors import NetFileError
from export.ir.limits import ELEMENTS, HOLLOW_ELEMENTS
from export.netx.guard import check_readable
from export.netx.items import (
    TYPE_NAME_BYTES,
    check_there,
    damage,
    get_group,
    get_text,
    has_link,
    hollow,
    numbers,
    texts,
)

__all__ = ["NirGraph", "NirNode", "is_nir", "read_graph"]

_NODES, _EDGES, _DEPTH = 1 << 12, 1 << 14, 8
#: As :data:`export.ir.limits.HOLLOW_ELEMENTS`, of numbers that are held as float64.
_HOLLOW_ELEMENTS = HOLLOW_ELEMENTS >> 2
#: What a node's keys hold beside numbers.
_TEXTS = ("type", "padding")


@dataclass(frozen=True, eq=False)
class NirNode:
    """One node.

    Attributes:
        name: its key in the graph, behind those of the graphs around it.
        kind: its type, ``Affine`` and so on.
        values: its arrays by name, float64; a ``padding`` may be a text.
    """

    name: str
    kind: str
    values: Mapping[str, Any]

    def array(self, key: str) -> Float64[np.ndarray, " ..."]:
        """The numbers under ``key``.

        Raises:
            NetFileError: there are none.
        """
        if key not in self.values:
            raise NetFileError(f"node '{self.name}' ({self.kind}): '{key}' is missing")
        found = self.values[key]
        if not isinstance(found, np.ndarray):
            raise NetFileError(f"node '{self.name}' ({self.kind}): '{key}' is '{found}', expected numbers")
        return found


@dataclass(frozen=True, eq=False)
class NirGraph:
    """Nodes by name, and what leads where; a node may be a graph.

    Attributes:
        metadata: numbers and texts that the writer kept with the graph.
    """

    nodes: Mapping[str, NirNode | NirGraph]
    edges: tuple[tuple[str, str], ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)


def is_nir(source: str | os.PathLike[str]) -> bool:
    """Whether ``source`` is a NIR graph: by its content where it is an HDF5 file, else by its name."""
    path = Path(source)
    if not (path.is_file() and h5py.is_hdf5(path)):
        return path.suffix == ".nir" and not path.is_dir()

    def holds() -> bool:
        with damage(str(path)), h5py.File(path, "r") as file:
            return has_link(file, "node") and not has_link(file, "layer")

    try:
        check_readable(path, holds)
        return holds()
    except NetFileError:  # whoever reads it says what is wrong with it
        return path.suffix == ".nir"


def read_graph(source: Any) -> NirGraph:
    """The graph of a ``.nir`` file, or of a ``nir.NIRGraph``; one that was read already stays what it is.

    Raises:
        NetFileError: no such file, or one that holds no NIR graph; says which key.
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        check_readable(path, lambda: _read(path))
        return _read(path)
    if isinstance(source, NirGraph):
        return source
    if not hasattr(source, "nodes") or not hasattr(source, "edges"):
        raise NetFileError(f"{type(source).__name__}: expected a .nir file or a nir.NIRGraph")
    return _of_object(source, "")


def _read(path: Path) -> NirGraph:
    check_there(path)
    try:
        with damage(f"{path}: corrupt, truncated or not a NIR file"), h5py.File(path, "r") as file:
            return _graph(get_group(file, "node", ""), "", _Left())
    except NetFileError as error:
        raise error if str(error).startswith(str(path)) else NetFileError(f"{path}: {error}") from None


class _Left:
    """How much of a file may still be read."""

    def __init__(self) -> None:
        self.elements, self.hollow, self.nodes = ELEMENTS, _HOLLOW_ELEMENTS, _NODES

    def take(self, array: h5py.Dataset, where: str) -> None:
        size = array.size or 0
        self.elements -= size
        self.hollow -= size if size and hollow(array) else 0
        if min(self.elements, self.hollow) < 0:
            most = ELEMENTS if self.elements < 0 else _HOLLOW_ELEMENTS
            raise NetFileError(f"{where}: {size} elements declared; of a whole file at most {most} are read")


def _graph(group: h5py.Group, prefix: str, left: _Left, depth: int = 0) -> NirGraph:
    where = f"graph '{prefix}'" if prefix else "node"
    kind = get_text(group, "type", where, most=TYPE_NAME_BYTES)
    if kind != "NIRGraph":
        raise NetFileError(f"{where}: type '{kind}', expected NIRGraph")
    if depth > _DEPTH:
        raise NetFileError(f"{where}: graphs within graphs, expected at most {_DEPTH}")
    found: dict[str, NirNode | NirGraph] = {}
    inside = get_group(group, "nodes", f"{where}/")
    left.nodes -= len(inside)
    if left.nodes < 0:
        raise NetFileError(f"{where}: more than {_NODES} nodes")
    for name in inside:
        node, place = get_group(inside, name, f"{where}/"), f"{prefix}{name}"
        kind = get_text(node, "type", f"node '{place}'", most=TYPE_NAME_BYTES)
        if kind == "NIRGraph":
            found[name] = _graph(node, f"{place}.", left, depth + 1)
        else:
            found[name] = NirNode(place, kind, dict(_values(node, f"node '{place}' ({kind})", left)))
    edges = texts(group, "edges", where, _EDGES)
    if edges.ndim != 2 or edges.shape[1] != 2:
        raise NetFileError(f"{where}/edges: shape {edges.shape}, expected (edges, 2)")
    pairs = tuple((str(source), str(target)) for source, target in edges)
    return NirGraph(found, pairs, dict(_metadata(group, left)))


def _values(node: h5py.Group, where: str, left: _Left) -> Iterator[tuple[str, Any]]:
    for key in node:
        if key == "metadata" or key == "type":
            continue
        item = node[key] if has_link(node, key) else None
        if not isinstance(item, h5py.Dataset):
            raise NetFileError(f"{where}: '{key}' is no data set of its own")
        if key in _TEXTS and item.dtype.kind in "SO":
            yield key, get_text(node, key, where, most=TYPE_NAME_BYTES)
            continue
        left.take(item, where)
        yield key, numbers(node, key, where)


def _metadata(group: h5py.Group, left: _Left) -> Iterator[tuple[str, Any]]:
    """What can be read of it; the rest is for others."""
    held = group["metadata"] if has_link(group, "metadata") else None
    if not isinstance(held, h5py.Group):
        return
    for key in held:
        item = held[key] if has_link(held, key) else None
        if not isinstance(item, h5py.Dataset) or item.shape is None:
            continue
        if item.dtype.kind in "SO" and item.size == 1:
            yield key, get_text(held, key, "metadata")
        elif item.dtype.kind in "iuf":
            left.take(item, "metadata")
            yield key, numbers(held, key, "metadata")


def _of_object(graph: Any, prefix: str) -> NirGraph:
    """A ``nir.NIRGraph`` in memory; its arrays are copied."""
    found: dict[str, NirNode | NirGraph] = {}
    for name, node in graph.nodes.items():
        place, kind = f"{prefix}{name}", type(node).__name__
        found[name] = _of_object(node, f"{place}.") if kind == "NIRGraph" else NirNode(place, kind, _fields(node, kind))
    metadata = {str(key): _held(value) for key, value in (getattr(graph, "metadata", None) or {}).items()}
    return NirGraph(found, tuple((str(a), str(b)) for a, b in graph.edges), metadata)


def _fields(node: Any, kind: str) -> dict[str, Any]:
    held = {key: value for key, value in vars(node).items() if value is not None and key != "metadata"}
    for key in ("input_type", "output_type"):
        types = held.pop(key, None)
        shape = None if not isinstance(types, dict) else types.get(key.split("_")[0])
        if shape is not None:
            held["input_type" if kind == "Flatten" else "shape"] = shape
    return {key: _held(value) for key, value in held.items()}


def _held(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if hasattr(value, "detach"):  # a tensor
        value = value.detach().cpu().numpy()
    try:
        return np.array(value, np.float64)
    except (TypeError, ValueError):
        return str(value)

"""All that differs between two ``.net`` files, at once: structure, types, shapes, numbers and texts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from esvae.machine.documents import parse_json
from export.netx.guard import check_readable
from export.netx.items import damage, storage_problem, value_blocks
from export.netx.survey import opened, walk
from export.netx.write import GROUP

__all__ = ["FileDifference", "diff_files"]

#: What says where a network comes from, and not what it computes.
_ORIGIN = f"{GROUP}/provenance"


@dataclass(frozen=True)
class FileDifference:
    """One place where two files differ.

    Attributes:
        where: path in the files.
        kind: ``missing`` (in the one that ``what`` names), ``type``, ``shape``, ``values``, ``text`` or ``unreadable``.
        what: both sides.
        origin: it says where the network comes from alone, and changes nothing that it computes.
        count: how many numbers differ, of ``values``.
    """

    where: str
    kind: str
    what: str
    origin: bool = False
    count: int = 0


def diff_files(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> list[FileDifference]:
    """Compares two files of any origin, in the order of their paths; an empty list where they are alike.

    Raises:
        NetFileError: one is missing, is not HDF5, or the HDF5 library fails on it.
    """

    def compare() -> list[FileDifference]:
        with damage(f"{first} or {second}: corrupt"), opened(first) as left, opened(second) as right:
            return _differences(left, right)

    check_readable(first, compare, second=second)
    return compare()


def _differences(left: h5py.File, right: h5py.File) -> list[FileDifference]:
    one, other = dict(walk(left)), dict(walk(right))
    found: list[FileDifference] = []
    for path in dict.fromkeys([*one, *other]):
        if path not in one or path not in other:
            side = "the first" if path not in one else "the second"
            found.append(FileDifference(path, "missing", f"not in {side} file", path == _ORIGIN))
        else:
            found += _compared(path, one[path], other[path])
    return found


def _compared(path: str, one: h5py.Dataset | str, other: h5py.Dataset | str) -> list[FileDifference]:
    if isinstance(one, str) or isinstance(other, str):
        return [] if one == other else [FileDifference(path, "unreadable", f"{_said(one)} | {_said(other)}")]
    for item in (one, other):
        if item.shape is None or (problem := storage_problem(item)) is not None:
            return [FileDifference(path, "unreadable", "empty" if item.shape is None else str(problem))]
    if one.shape != other.shape:
        return [FileDifference(path, "shape", f"{one.shape} | {other.shape}")]
    if not all(item.dtype.kind in "biuf" for item in (one, other)):
        return _texts(path, one, other)
    found = _values(path, one, other)
    if not found and one.dtype != other.dtype:
        found = [FileDifference(path, "type", f"{one.dtype} | {other.dtype}, the numbers are equal")]
    return found


def _said(item: h5py.Dataset | str) -> str:
    return item if isinstance(item, str) else f"{item.dtype} {item.shape}"


def _texts(path: str, one: h5py.Dataset, other: h5py.Dataset) -> list[FileDifference]:
    left, right = one[()], other[()]
    if np.array_equal(np.asarray(left), np.asarray(right)):
        return []
    if path == _ORIGIN:
        return [FileDifference(path, "text", what, True) for what in _entries(left, right)]
    return [FileDifference(path, "text", f"{_short(left)} | {_short(right)}")]


def _entries(left: Any, right: Any) -> list[str]:
    try:
        one, other = parse_json(left), parse_json(right)
        names = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    except (ValueError, TypeError, AttributeError):
        return [f"{_short(left)} | {_short(right)}"]
    return [f"{name}: {_short(one.get(name))} | {_short(other.get(name))}" for name in names]


def _short(value: Any, most: int = 64) -> str:
    value = value.reshape(-1)[0] if isinstance(value, np.ndarray) and value.size == 1 else value
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[:most]} ..."


def _values(path: str, one: h5py.Dataset, other: h5py.Dataset) -> list[FileDifference]:
    count, largest, first = 0, 0.0, None
    for region, left in value_blocks(one):
        right = np.asarray(other[region])
        wrong = ~((left == right) | ((left != left) & (right != right)))
        if not np.any(wrong):
            continue
        places = np.argwhere(wrong)
        count += len(places)
        with np.errstate(invalid="ignore", over="ignore"):
            gaps = np.abs(np.asarray(left, np.float64) - np.asarray(right, np.float64))[wrong]
        largest = max(largest, float(np.nanmax(gaps, initial=0.0)))
        if first is None:
            at = tuple(int(n) for n in places[0])
            first = f"{left[at]} | {right[at]}"
            if one.shape:
                first = f"first at {_place(region, at)}: {first}"
    if first is None:
        return []
    size = int(np.prod(one.shape, dtype=np.int64))
    what = f"{count:,} of {size:,} differ, by {largest:g} at most; {first}" if one.shape else first
    return [FileDifference(path, "values", what, False, count)]


def _place(region: tuple[int | slice, ...], at: tuple[int, ...]) -> tuple[int, ...]:
    """Where in the whole array a place of one of its blocks is."""
    lead = tuple(part for part in region if isinstance(part, int))
    start = next((part.start for part in region if isinstance(part, slice)), 0)
    return (*lead, at[0] + start, *at[1:]) if at else ()

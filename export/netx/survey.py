"""What is in an HDF5 file, whatever it is: every group and array with type, shape and range, trusting nothing in it.

Only what lies in the file itself is looked at: soft and external links are named, not followed, arrays that claim more
than the limits are not read, and a group that contains itself is walked once.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from esvae.errors import NetFileError
from export.netx.guard import check_readable
from export.netx.items import check_there, damage, has_link, storage_problem, value_blocks

__all__ = ["Item", "opened", "survey", "walk"]

_MOST_ITEMS = 4096
_MOST_DEPTH = 16
_TEXT = 200  # characters of a text that are shown


@dataclass(frozen=True)
class Item:
    """One array, text or link.

    Attributes:
        path: in the file.
        kind: ``array``, ``text``, ``link`` (not followed) or ``unreadable``.
        dtype, shape: as declared; of links empty.
        stored_bytes: what it takes in the file.
        low, high: smallest and largest number, or None.
        zeros: how many of an array's numbers are zero, or None.
        text: what it says, cut short; why it was not read.
    """

    path: str
    kind: str
    dtype: str = ""
    shape: tuple[int, ...] = ()
    stored_bytes: int = 0
    low: float | None = None
    high: float | None = None
    zeros: int | None = None
    text: str = ""


def opened(path: str | os.PathLike[str]) -> h5py.File:
    """Opens an HDF5 file for reading.

    Raises:
        NetFileError: it is missing, or is not HDF5.
    """
    check_there(path)
    with damage(f"{path}: corrupt, truncated or not an HDF5 file"):
        return h5py.File(path, "r")


def survey(path: str | os.PathLike[str]) -> list[Item]:
    """All that is in a file, in the order of its names; the HDF5 library first sees it in a fork.

    Raises:
        NetFileError: it is missing, is not HDF5, or the HDF5 library fails on it.
    """

    def items() -> list[Item]:
        with damage(f"{path}: corrupt"), opened(path) as file:
            return [_item(name, item) for name, item in walk(file)]

    check_readable(path, items)
    return items()


def walk(group: h5py.Group) -> Iterator[tuple[str, h5py.Dataset | str]]:
    """Path and array of everything below ``group``, or what keeps it from being looked at."""
    seen = {h5py.h5o.get_info(group.id).addr}
    left = [_MOST_ITEMS]

    def below(parent: h5py.Group, prefix: str, depth: int) -> Iterator[tuple[str, h5py.Dataset | str]]:
        for key in sorted(parent, key=lambda name: (len(name), name) if name.isdigit() else (0, name)):
            name = f"{prefix}{key}"
            left[0] -= 1
            if left[0] < 0:
                yield name, f"and more; at most {_MOST_ITEMS} are listed"
                return
            if not has_link(parent, key):
                yield name, "a link out of its place, not followed"
                continue
            try:
                with damage("not readable"):
                    item = parent[key]
            except NetFileError as error:
                yield name, str(error)
                continue
            if isinstance(item, h5py.Dataset):
                yield name, item
            elif isinstance(item, h5py.Group):
                address = h5py.h5o.get_info(item.id).addr
                if address in seen or depth == _MOST_DEPTH:
                    yield name, "a group that is listed already" if address in seen else "nested too deeply"
                    continue
                seen.add(address)
                yield from below(item, f"{name}/", depth + 1)
            else:
                yield name, f"a {type(item).__name__}"

    yield from below(group, "", 0)


def _item(path: str, item: h5py.Dataset | str) -> Item:
    if isinstance(item, str):
        return Item(path, "link" if "link" in item else "unreadable", text=item)
    shape = None if item.shape is None else tuple(int(n) for n in item.shape)
    about: dict[str, Any] = {"dtype": str(item.dtype), "shape": shape or (), "stored_bytes": item.id.get_storage_size()}
    if shape is None:
        return Item(path, "unreadable", text="empty", **about)
    problem = storage_problem(item)
    if problem is not None:
        return Item(path, "unreadable", text=problem, **about)
    if item.dtype.kind in "biuf":
        return Item(path, "array", **about, **_range(item))
    try:
        with damage("not readable"):
            return Item(path, "text", text=_text(item), **about)
    except NetFileError as error:
        return Item(path, "unreadable", text=str(error), **about)


def _text(item: h5py.Dataset) -> str:
    if item.size != 1 or item.dtype.kind not in "SO":
        return f"{item.size} values of type {item.dtype}"
    value = item[()] if item.shape == () else item[(0,) * item.ndim]
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= _TEXT else f"{text[:_TEXT]}... ({len(text):,} characters)"


def _range(item: h5py.Dataset) -> dict[str, Any]:
    low, high, zeros = math.inf, -math.inf, 0
    for _, values in value_blocks(item):
        numbers = values[np.isfinite(values)] if values.dtype.kind == "f" else values
        if numbers.size:
            low, high = min(low, float(numbers.min())), max(high, float(numbers.max()))
        zeros += int((values == 0).sum())
    return {"low": low, "high": high, "zeros": zeros} if low <= high else {"zeros": zeros}

"""What lies under a key of an HDF5 group, read with nothing trusted and little memory.

Whatever a file declares is looked at before it is read: links, storage elsewhere, sizes, chunks. Large arrays are read
and checked some rows at a time, so that reading takes what the result takes, not several times as much.
"""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np

from esvae.arrays import Float, Float64, Int64, Integer
from esvae.chip.formats import IntFormat
from esvae.errors import NetFileError
from export.ir import Shape
from export.ir.limits import ELEMENTS, ELEMENTS_A_BYTE, HOLLOW_ELEMENTS, NEURONS

__all__ = [
    "TYPE_NAME_BYTES",
    "axis_pair",
    "check_there",
    "damage",
    "declared",
    "flag",
    "get_group",
    "get_text",
    "has_link",
    "number",
    "numbers",
    "real",
    "register",
    "shape_of",
    "storage_problem",
    "texts",
    "value_blocks",
    "whole_numbers",
]

Region: TypeAlias = tuple[int | slice, ...]

#: Numbers that are read at a time.
_BLOCK = 1 << 20
#: Bytes of a chunk, and chunks of an array: HDF5 keeps the first in memory, and some hundred bytes for each of those.
_CHUNK_BYTES = 1 << 25
_CHUNKS = 1 << 16
_TEXT_BYTES = 1 << 20
#: Bytes of the name of a type.
TYPE_NAME_BYTES = 64
_PAIR_MOST = 1 << 16


#: What the HDF5 library, and numpy beneath it, raise on damaged content.
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError, OverflowError)


@contextmanager
def damage(what: str) -> Iterator[None]:
    """Turns whatever the HDF5 library makes of damaged content into one NetFileError: ``what``, and the reason."""
    try:
        yield
    except _DAMAGE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise NetFileError(f"{what} ({_in_words(reason)})") from error


def _in_words(reason: str) -> str:
    """What the HDF5 library says of a file that it cannot open, without its own terms."""
    if "file signature not found" in reason:
        return "it does not begin as HDF5 does"
    if found := re.search(r"truncated file: eof = (\d+),.* stored_eof = (\d+)", reason):
        return f"it ends after {int(found[1]):,} of {int(found[2]):,} bytes"
    return reason


def check_there(path: str | os.PathLike[str]) -> None:
    """Checks that there is a file to be read.

    Raises:
        NetFileError: there is none, or a folder; says what makes one.
    """
    path = Path(path)
    if path.is_dir():
        raise NetFileError(f"{path}: a folder, expected a network file; make one of a run with: esvae export {path}")
    if not path.is_file():
        maker = "" if path.suffix == ".nir" else f"; make one with: esvae export RUN -o {path.name}"
        raise NetFileError(f"{path}: no such file{maker}")


def has_link(group: h5py.Group, key: str) -> bool:
    """Whether ``key`` is there and lies in the group itself, not behind a soft or external link."""
    return isinstance(group.get(key, getlink=True), h5py.HardLink)


def storage_problem(item: h5py.Dataset, most: int = ELEMENTS) -> str | None:
    """Why an array is not safe to read, or None."""
    size = math.prod(item.shape)
    if item.external or item.is_virtual:
        return "stored in another file, which is not followed"
    most = min(most, HOLLOW_ELEMENTS) if hollow(item) else most
    if size > most:
        return f"{size} elements declared, at most {most} are read"
    if item.chunks is not None:
        chunk = math.prod(item.chunks)
        if chunk * item.dtype.itemsize > _CHUNK_BYTES:
            return f"stored in chunks of {chunk * item.dtype.itemsize} bytes, at most {_CHUNK_BYTES} are read"
        if math.prod(-(-n // c) for n, c in zip(item.shape, item.chunks, strict=True)) > _CHUNKS:
            return f"stored in chunks of {chunk} elements, which makes more than {_CHUNKS}; store it in larger ones"
    return None


def hollow(item: h5py.Dataset) -> bool:
    """Whether an array claims more numbers than its bytes in the file can be believed to stand for."""
    return math.prod(item.shape) > item.id.get_storage_size() * ELEMENTS_A_BYTE


def declared(group: h5py.Group) -> tuple[int, int]:
    """Numbers that the arrays of a layer's group have once read, as it declares them; and of hollow ones."""
    found = {key: group[key] for key in ("weight", "bias", "delay") if has_link(group, key)}
    arrays = {k: item for k, item in found.items() if isinstance(item, h5py.Dataset) and item.shape is not None}
    sizes = {key: math.prod(item.shape) for key, item in arrays.items()}
    if "weight" in sizes and sizes.get("delay"):
        sizes["delay"] = sizes["weight"]  # a delay is spread over all synapses
    return sum(sizes.values()), sum(size for key, size in sizes.items() if hollow(arrays[key]))


def value_blocks(item: h5py.Dataset) -> Iterator[tuple[Region, np.ndarray]]:
    """Yields where and what, some numbers at a time, in order."""
    shape, chunks = item.shape, item.chunks
    if 0 in shape:
        return
    if math.prod(shape) <= _BLOCK:
        yield (), np.asarray(item[()])
        return
    axis = next(k for k in range(len(shape)) if math.prod(shape[k + 1 :]) <= _BLOCK)
    rest = math.prod(shape[axis + 1 :])
    step = _BLOCK // rest
    if chunks is not None and chunks[axis] * rest <= 4 * _BLOCK:
        step = max(step // chunks[axis], 1) * chunks[axis]
    for lead in itertools.product(*map(range, shape[:axis])):
        for start in range(0, shape[axis], step):
            region: Region = (*lead, slice(start, min(start + step, shape[axis])))
            yield region, np.asarray(item[region])


def _item(group: h5py.Group, key: str, where: str) -> Any:
    if not has_link(group, key):
        problem = "is a link out of its place" if key in group else "is missing"
        if not where:
            raise NetFileError(f"'{key}' {problem}: an HDF5 file of another kind, or a damaged one")
        raise NetFileError(f"{where}: '{key}' {problem}")
    return group[key]


def get_group(group: h5py.Group, key: str, where: str) -> h5py.Group:
    """The group under ``key``.

    Raises:
        NetFileError: something else is there, or nothing.
    """
    item = _item(group, key, where)
    if not isinstance(item, h5py.Group):
        raise NetFileError(f"{where}{key}: expected a group")
    return item


def _dataset(group: h5py.Group, key: str, where: str, most: int) -> h5py.Dataset:
    item = _item(group, key, where)
    if not isinstance(item, h5py.Dataset) or item.shape is None:
        raise NetFileError(f"{where}/{key}: expected a data set")
    problem = storage_problem(item, most)
    if problem is not None:
        raise NetFileError(f"{where}/{key}: {problem}")
    return item


def get_text(group: h5py.Group, key: str, where: str, *, most: int = _TEXT_BYTES) -> str:
    """The one text under ``key``.

    Raises:
        NetFileError: there is none, it has more than ``most`` bytes, or it cannot be read as text.
    """
    item = _dataset(group, key, where, ELEMENTS)
    if item.size != 1 or item.dtype.kind not in "SO" or item.dtype.itemsize > _TEXT_BYTES:
        raise NetFileError(f"{where}/{key}: expected one text")
    value = item[(0,) * item.ndim] if item.ndim else item[()]
    if not isinstance(value, bytes):
        raise NetFileError(f"{where}/{key}: expected one text")
    if len(value) > most:
        raise NetFileError(f"{where}/{key}: a text of {len(value)} bytes, expected at most {most}")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise NetFileError(f"{where}/{key}: not readable as text") from None


def texts(group: h5py.Group, key: str, where: str, most: int) -> np.ndarray:
    """An array of texts, of type ``object``.

    Raises:
        NetFileError: something else, more than ``most`` of them, or what cannot be read as text.
    """
    item = _dataset(group, key, where, most)
    if item.dtype.kind not in "SO" or item.dtype.itemsize > _TEXT_BYTES:
        raise NetFileError(f"{where}/{key}: expected texts, got {item.dtype}")
    values = np.asarray(item[()], object)
    try:
        return np.array([value.decode("utf-8") for value in values.reshape(-1)], object).reshape(values.shape)
    except (AttributeError, UnicodeDecodeError):
        raise NetFileError(f"{where}/{key}: not readable as texts") from None


def _numbers(group: h5py.Group, key: str, where: str, most: int) -> h5py.Dataset:
    item = _dataset(group, key, where, most)
    if item.dtype.kind not in "iuf":
        raise NetFileError(f"{where}/{key}: expected numbers, got {item.dtype}")
    return item


def _checked(values: np.ndarray, where: str) -> np.ndarray:
    if values.dtype.kind == "f":
        if not np.isfinite(values).all() or (values != np.rint(values)).any() or np.abs(values).max(initial=0) > 2**31:
            raise NetFileError(f"{where}: holds fractions, which netx truncates; quantize and export again")
    elif values.dtype == np.uint64 and values.size and values.max() > np.iinfo(np.int64).max:
        raise NetFileError(f"{where}: holds {values.max()}, which no register holds")
    return values


def whole_numbers(group: h5py.Group, key: str, where: str) -> Int64[np.ndarray, " ..."]:
    """A small array of whole numbers, int64; floats are taken only where each is whole, which netx would truncate.

    Raises:
        NetFileError: no numbers, fractions, or more of them than a layer has neurons.
    """
    item = _numbers(group, key, where, NEURONS)
    return _checked(np.asarray(item[()]), f"{where}/{key}").astype(np.int64)


def register(group: h5py.Group, key: str, where: str, limits: IntFormat, remedy: str) -> Integer[np.ndarray, " ..."]:
    """A large array of whole numbers that a narrow register holds: int16.

    Raises:
        NetFileError: no numbers, or fractions.
        HardwareRangeError: one that the register does not hold.
    """
    item = _numbers(group, key, where, ELEMENTS)
    values = np.empty(item.shape, np.int16)
    for region, block in value_blocks(item):
        limits.check(_checked(block, f"{where}/{key}").astype(np.int64), where, remedy)
        values[region] = block
    return values


def number(group: h5py.Group, key: str, where: str) -> int:
    """The one whole number under ``key``.

    Raises:
        NetFileError: there is none, or more than one.
    """
    values = whole_numbers(group, key, where)
    if values.size != 1:
        raise NetFileError(f"{where}/{key}: expected one number, got shape {values.shape}")
    return int(values.reshape(-1)[0])


def flag(group: h5py.Group, key: str, where: str) -> bool:
    """The one truth value under ``key``, as h5py writes it or as a number.

    Raises:
        NetFileError: there is none, or more than one.
    """
    item = _dataset(group, key, where, 1)
    if item.dtype.kind not in "biuf" or item.size != 1:
        raise NetFileError(f"{where}/{key}: expected one truth value, got {item.size} of {item.dtype}")
    return bool(np.asarray(item[()]).reshape(-1)[0])


def real(group: h5py.Group, key: str, where: str, most: int) -> Float[np.ndarray, " ..."]:
    """An array of real numbers, all finite.

    Raises:
        NetFileError: something else, or more than ``most`` of them.
    """
    item = _dataset(group, key, where, most)
    if item.dtype.kind != "f":
        raise NetFileError(f"{where}/{key}: expected real numbers, got {item.dtype}")
    values = np.asarray(item[()])
    if not np.isfinite(values).all():
        raise NetFileError(f"{where}/{key}: holds values that are not finite")
    return values


def numbers(group: h5py.Group, key: str, where: str, most: int = ELEMENTS) -> Float64[np.ndarray, " ..."]:
    """An array of numbers of any kind, all finite, as float64.

    Raises:
        NetFileError: something else, or more than ``most`` of them.
    """
    values = np.asarray(_numbers(group, key, where, most)[()], np.float64)
    if not np.isfinite(values).all():
        raise NetFileError(f"{where}/{key}: holds values that are not finite")
    return values


def shape_of(group: h5py.Group, key: str, where: str) -> Shape:
    """A layer's shape, ``(features,)`` or ``(C, H, W)``.

    Raises:
        NetFileError: it is none, or has more neurons than a layer may.
    """
    values = whole_numbers(group, key, where).reshape(-1)
    if values.size not in (1, 3) or (values < 1).any():
        raise NetFileError(f"{where}/{key}: {values.tolist()[:6]} is no shape; expected (features,) or (C, H, W)")
    shape = tuple(int(n) for n in values)
    if math.prod(shape) > NEURONS:
        raise NetFileError(f"{where}/{key}: {shape} has more than {NEURONS} neurons")
    return shape


def axis_pair(group: h5py.Group, key: str, where: str) -> tuple[int, int]:
    """A pair ``(y, x)``; one number stands for both.

    Raises:
        NetFileError: it is none, or too large.
    """
    values = whole_numbers(group, key, where).reshape(-1)
    if values.size not in (1, 2) or (np.abs(values) > _PAIR_MOST).any():
        raise NetFileError(f"{where}/{key}: {values.tolist()[:6]} is no pair (y, x) up to {_PAIR_MOST}")
    return int(values[0]), int(values[-1])

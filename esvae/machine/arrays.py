"""Arrays as ``.npy`` and ``.npz``: a header is believed only where there are exactly as many bytes as it says."""

from __future__ import annotations

import io
import math
import os
import tokenize
import warnings
import zipfile
from typing import IO, Any, Literal

import numpy as np

from esvae.errors import DataError
from esvae.machine.archives import DAMAGED_ARCHIVE, stored_entries
from esvae.machine.arguments import shown
from esvae.machine.files import atomic_file, open_regular

__all__ = ["array_argument", "load_array", "load_arrays", "save_array"]

#: By numpy's reader of headers, which reads them as Python's literals.
_RAISED = (
    *(ArithmeticError, LookupError, MemoryError, RecursionError, SyntaxError, TypeError, ValueError),
    *(tokenize.TokenError, Warning),
)
_RAISED_BY_ARCHIVES: tuple[type[Exception], ...] = (*_RAISED, *DAMAGED_ARCHIVE)
_NUMBERS = "biuf"  # kinds of dtypes
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def array_argument(values: object, name: str, expected: str = "an array") -> np.ndarray:
    """What a caller gave, as numpy makes an array of it.

    Raises:
        DataError: it makes none, as of rows of several lengths, or of a tensor with a gradient; says what was expected.
    """
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError):
        raise DataError(f"{name} {shown(values)}: expected {expected}") from None


def save_array(target: str | os.PathLike[str], values: np.ndarray) -> None:
    """Writes an array as ``.npy``, whole or not at all.

    Raises:
        EsvaeError: the file cannot be written.
    """
    with atomic_file(target) as handle:
        np.save(handle, values, allow_pickle=False)


def load_array(
    path: str | os.PathLike[str], what: str = "numbers", *, mapped: Literal["r", "c"] | None = None
) -> np.ndarray:
    """Reads one array of numbers; nothing is allocated before header and size of the file agree.

    Args:
        path: the ``.npy`` file.
        what: is expected in it, for the error.
        mapped: leave the numbers in the file, read only or copied where written to; else they are read.

    Returns:
        booleans, integers or floats, of at least one dimension.

    Raises:
        DataError: missing, no regular file, not ``.npy``, damaged, or of something else than numbers.
    """
    try:
        with open_regular(path) as handle, warnings.catch_warnings():
            warnings.simplefilter("error")  # numpy says so of what it only just makes out
            shape, fortran, dtype = _header(handle)
            start, size = handle.tell(), os.fstat(handle.fileno()).st_size
            wanted = math.prod(shape) * dtype.itemsize
            if size - start != wanted:
                raise ValueError(f"says {wanted:,} bytes of numbers, holds {size - start:,}")
            order: Literal["C", "F"] = "F" if fortran else "C"
            if mapped is not None and wanted:
                return np.memmap(handle, dtype, mapped, start, shape, order)
            return np.fromfile(handle, dtype, math.prod(shape)).reshape(shape, order=order)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except _RAISED as error:
        reason = " ".join(str(error).split())[:100]
        raise DataError(f"{path}: cannot be read as .npy: {reason}; expected one array of {what}") from None


def load_arrays(path: str | os.PathLike[str], what: str = "numbers") -> dict[str, np.ndarray]:
    """Reads the arrays of numbers of an ``.npz`` file, stored as they are, by name.

    Args:
        path: as ``numpy.savez`` writes it.
        what: is expected in it, for the error.

    Raises:
        DataError: missing, no regular file, not ``.npz``, damaged, packed, or of something else than numbers.
    """
    try:
        with open_regular(path) as handle, zipfile.ZipFile(handle) as archive, warnings.catch_warnings():
            warnings.simplefilter("error")
            entries = stored_entries(archive, os.fstat(handle.fileno()).st_size)
            return {name.removesuffix(".npy"): _entry(archive, entry) for name, entry in entries.items()}
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except _RAISED_BY_ARCHIVES as error:
        reason = " ".join(str(error).split())[:100]
        raise DataError(f"{path}: cannot be read as .npz: {reason}; expected arrays of {what}") from None


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    """One array; archives check what they read, so its numbers are those that were written."""
    content = bytearray(entry.file_size)
    with archive.open(entry) as stored:
        if stored.readinto(content) != len(content) or stored.read(1):  # type: ignore[attr-defined]
            raise ValueError(f"{entry.filename} is not as long as it says")
    handle = io.BytesIO(content)
    shape, fortran, dtype = _header(handle)
    if len(content) - handle.tell() != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{entry.filename} says shape {shape}, holds {len(content):,} bytes")
    return np.frombuffer(content, dtype, offset=handle.tell()).reshape(shape, order="F" if fortran else "C")


def _header(handle: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether the first axis runs fastest, and dtype.

    Raises:
        ValueError: not those of an array of numbers; numpy's reader raises other kinds too.
    """
    version = np.lib.format.read_magic(handle)
    if version not in _HEADERS:
        raise ValueError(f"format {version[0]}.{version[1]}")
    shape, fortran, dtype = _HEADERS[version](handle)
    if dtype.kind not in _NUMBERS or dtype.itemsize == 0:
        raise ValueError(f"holds {dtype}")
    if not shape or min(shape) < 0:
        raise ValueError(f"has shape {shape}")
    return shape, fortran, dtype

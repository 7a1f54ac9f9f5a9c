"""HDF5 files that are written whole or not at all, on a full disk too.

The HDF5 library crashes the process where it cannot write what it still holds when a file is closed. So a file is made
in memory, as the bytes that HDF5 would write, and written when it is complete; or, where it may be large, HDF5 writes
through an object of ours that never tells it of an error: the first one is kept, and raised after HDF5 is done. What is
in such a file is the same, though HDF5 may put it in other places.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, TypeVar

import h5py

from esvae.machine.files import atomic_file, sha256_file

__all__ = ["Storage", "hdf5_image", "hdf5_storage", "made_here"]

_T = TypeVar("_T")
#: SHA-256 of every image that this process has made.
_MADE: set[str] = set()


class Storage:
    """What ``h5py.File(storage, "w")`` writes through; after an error all is dropped, and zeros are read.

    Args:
        handle: of an empty file, open for reading and writing.
    """

    def __init__(self, handle: BinaryIO) -> None:
        self._handle, self._at = handle, 0
        self._error: BaseException | None = None

    def check(self) -> None:
        """Raises the first error, a full disk or an interrupt, if there was one."""
        if self._error is not None:
            raise self._error

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            offset += self._kept(lambda: self._handle.seek(0, os.SEEK_END), 0)
        self._at = offset + (self._at if whence == os.SEEK_CUR else 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def write(self, content: memoryview) -> int:
        self._kept(lambda: (self._handle.seek(self._at), self._handle.write(content)), None)
        self._at += len(content)
        return len(content)

    def read(self, size: int) -> bytes:
        _, found = self._kept(lambda: (self._handle.seek(self._at), self._handle.read(size)), (0, b""))
        self._at += size
        return found.ljust(size, b"\0")

    def truncate(self, size: int) -> int:
        return self._kept(lambda: self._handle.truncate(size), size)

    def flush(self) -> None:
        self._kept(self._handle.flush, None)

    def _kept(self, action: Callable[[], _T], otherwise: _T) -> _T:
        """Does it, unless something failed before; keeps an interrupt too, which HDF5 would take for its own error."""
        if self._error is None:
            try:
                return action()
            except BaseException as error:
                self._error = error
        return otherwise


def hdf5_image(fill: Callable[[h5py.File], None]) -> bytes:
    """The bytes of an HDF5 file, made in memory by a function that fills the empty file."""
    with h5py.File("image", "w", driver="core", backing_store=False, track_order=False) as file:
        fill(file)
        file.flush()
        image = bytes(file.id.get_file_image())
    _MADE.add(hashlib.sha256(image).hexdigest())
    return image


def made_here(path: str | os.PathLike[str]) -> bool:
    """Whether a file is, byte for byte, an image that this process has made: HDF5 then needs no guard to read it."""
    try:
        return bool(_MADE) and sha256_file(path) in _MADE
    except OSError:  # whoever reads it meets that
        return False


@contextmanager
def hdf5_storage(target: str | os.PathLike[str]) -> Iterator[Storage]:
    """Gives what an HDF5 file is written through, with h5py's file opened and closed inside; then it is ``target``.

    Raises:
        EsvaeError: as :func:`~esvae.machine.files.atomic_file`.
    """
    with atomic_file(target) as handle:
        storage = Storage(handle)
        try:
            yield storage
        finally:
            storage.check()  # rather than what HDF5 made of it

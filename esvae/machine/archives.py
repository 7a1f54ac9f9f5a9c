"""ZIP archives as ``numpy.savez`` and ``torch.save`` write them: entries as they are, so that none is a bomb."""

from __future__ import annotations

import zipfile
import zlib

__all__ = ["DAMAGED_ARCHIVE", "stored_entries"]

#: What the library raises on a damaged archive whose entries are not packed.
DAMAGED_ARCHIVE: tuple[type[Exception], ...] = (
    *(ArithmeticError, EOFError, LookupError, NotImplementedError, RuntimeError, ValueError),
    *(zipfile.BadZipFile, zlib.error),
)


def stored_entries(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The entries by name.

    Args:
        archive: open for reading.
        size: bytes of its file, than which the entries are not larger together.

    Raises:
        ValueError: an entry is packed or there twice, or they are larger than the file.
    """
    entries = {entry.filename: entry for entry in archive.infolist()}
    if len(entries) != len(archive.infolist()):
        raise ValueError("an entry twice")
    for entry in entries.values():
        if entry.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"'{entry.filename}' is packed")
    if sum(entry.file_size for entry in entries.values()) > size:
        raise ValueError("its entries are larger than the file")
    return entries

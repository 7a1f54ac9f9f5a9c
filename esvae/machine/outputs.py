"""Where results go: checked before any work is done, so that nothing of another kind and no input is written over."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from esvae.errors import ConfigError
from esvae.machine.arguments import path_argument
from esvae.machine.files import final_place, open_regular

__all__ = ["output_file", "output_folder"]

_HDF5 = b"\x89HDF\r\n\x1a\n"
#: First bytes of a file, by the ending of its name; of other endings nothing is known.
_STARTS = {
    ".h5": _HDF5,
    ".hdf5": _HDF5,
    ".net": _HDF5,
    ".nir": _HDF5,
    ".npy": b"\x93NUMPY",
    ".npz": b"PK",
    ".png": b"\x89PNG",
    ".gif": b"GIF8",
    ".svg": b"<",
    ".html": b"<",
    ".htm": b"<",
    ".json": b"{",
}


def output_file(
    target: str | os.PathLike[str],
    suffixes: str | tuple[str, ...],
    *,
    option: str,
    inputs: Iterable[str | os.PathLike[str] | None] = (),
) -> Path:
    """Checks that a file may be written there; one of the same kind that is there already will be replaced.

    Args:
        target: where to.
        suffixes: endings that the name may have, in small letters; the first goes into the error.
        option: by which it was given, for the error.
        inputs: files that are read, none of which it may be.

    Raises:
        ConfigError: no name, another ending, a device, pipe or folder, a file of another kind, an input, or a folder
            that cannot be written.
    """
    expected = f"a name that ends in {suffixes if isinstance(suffixes, str) else ' or '.join(suffixes)}"
    path = path_argument(target, option, expected)
    if not path.name.lower().endswith(suffixes):
        raise ConfigError(f"{option} {path}: expected {expected}")
    try:
        final = final_place(path)
        _check_folder(final.parent)
        if not final.exists():
            return path
        for given in inputs:
            with contextlib.suppress(OSError):  # what cannot be read is told of where it is read
                if given is not None and final.samefile(given):
                    raise ConfigError(f"{option} {path}: is what is read; name another file")
        start = _STARTS.get(path.suffix.lower(), b"")
        with open_regular(final) as handle:
            if (found := handle.read(len(start))) and found != start:
                raise ConfigError(f"{option} {path}: is there, and no {path.suffix} file; remove it or name another")
    except OSError as error:
        raise ConfigError(f"{option} {path}: cannot write there: {error.strerror or error}; name another") from None
    return path


def output_folder(target: str | os.PathLike[str], *, option: str) -> Path:
    """Checks that files may be written into a folder, which need not be there yet.

    Raises:
        ConfigError: it is no folder, or cannot be made or written.
    """
    path = path_argument(target, option, "the name of a folder")
    try:
        _check_folder(Path(os.path.realpath(path)))
    except OSError as error:
        raise ConfigError(f"{option} {path}: cannot write there: {error.strerror or error}; name another") from None
    return path


def _check_folder(folder: Path) -> None:
    """Raises OSError where ``folder`` is not there and cannot be made, or cannot be written."""
    while True:
        with contextlib.suppress(FileNotFoundError):
            is_folder = stat.S_ISDIR(folder.stat().st_mode)
            break
        folder = folder.parent
    if not is_folder:
        raise OSError(errno.ENOTDIR, f"{folder} is no folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OSError(errno.EACCES, f"{folder} is read-only")

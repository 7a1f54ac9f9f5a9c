"""One writer of a folder at a time; a lock ends with its process, however that ends, and leaves no file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from esvae.errors import EsvaeError

try:
    import fcntl
except ImportError:  # Windows, where folders cannot be held: nothing keeps two writers apart
    fcntl = None  # type: ignore[assignment]

__all__ = ["only_writer"]


@contextmanager
def only_writer(folder: str | os.PathLike[str] | None) -> Iterator[None]:
    """Holds a folder while files are written into it; makes it where it is not there, and takes it away if it is empty
    in the end.

    The folder itself is locked (``flock``), on the machines of a cluster each for itself.

    Args:
        folder: to hold; nothing where None.

    Raises:
        EsvaeError: another process holds it, or it cannot be made.
    """
    if folder is None or fcntl is None:
        yield
        return
    path = Path(folder)
    made, descriptor = _held(path)
    try:
        yield
    finally:
        if made:
            with contextlib.suppress(OSError):
                path.rmdir()
        os.close(descriptor)


def _held(folder: Path) -> tuple[bool, int]:
    """Whether the folder was made here, and the open folder that is locked."""
    made = False
    while True:
        try:
            made = not folder.is_dir()
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:  # taken away by another writer that had made it
            continue
        except OSError as error:
            raise EsvaeError(f"cannot write {folder}: {error.strerror}; choose another place") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), folder.stat()):
                return made, descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise EsvaeError(
                f"{folder}: another process is writing there; wait until it has ended, or name another folder"
            ) from None
        except FileNotFoundError:
            pass
        os.close(descriptor)

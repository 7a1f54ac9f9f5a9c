"""Reading and writing files: only regular ones, never half of one under its final name, never in place of a device."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from esvae.errors import EsvaeError

try:
    import fcntl
except ImportError:  # Windows, where every file has a name from the first
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "MOST_WEIGHTS",
    "atomic_file",
    "final_place",
    "open_regular",
    "read_regular",
    "sha256_file",
    "write_bytes",
    "write_text",
]

#: Bytes of a file of weights; larger ones are not read.
MOST_WEIGHTS = 8 << 30

#: Where Linux shows a process its open files.
_OPEN = Path("/proc/self/fd")
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


def final_place(target: str | os.PathLike[str]) -> Path:
    """Where a file of this name goes: symbolic links are followed, so that the file they lead to is replaced.

    Raises:
        OSError: what is there is no regular file, or the name cannot be looked up.
    """
    final = Path(os.path.realpath(target))
    with contextlib.suppress(FileNotFoundError):
        _check_regular(final.stat().st_mode)
    return final


@contextmanager
def atomic_file(target: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Gives a new binary file beside ``target``; on a clean exit it is flushed to disk and renamed to ``target``.

    On any exception it is removed and ``target`` keeps what it held before. On Linux it has no name until it is
    complete. A process that is killed leaves nothing behind either, or the complete file under the name of
    :func:`_put`, which the next to write ``target`` clears away.

    Raises:
        EsvaeError: ``target`` is no regular file, the folder cannot be written, or the disk is full.
    """
    temporary: Path | None = None
    try:
        final = final_place(target)
        final.parent.mkdir(parents=True, exist_ok=True)
        # Open for reading too, numpy writes through Python's file and sees every error, which C's buffers would hide.
        nameless = _nameless(final.parent)
        if nameless is None:
            temporary = final.with_name(f".{secrets.token_hex(8)}.part")  # the name may be as long as names can be
        with nameless or temporary.open("xb+") as handle:  # type: ignore[union-attr]
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
            if nameless is not None:
                _put(handle, final)
        if temporary is not None:
            temporary.replace(final)
    except OSError as error:
        reason = error.strerror or (str(error).splitlines() or [type(error).__name__])[0]
        raise EsvaeError(f"cannot write {target}: {reason}; free space or choose another place") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def _put(handle: BinaryIO, final: Path) -> None:
    """Moves a complete file without a name to its place.

    A link to it replaces no other file, so that it takes a name for a moment. That name is always the same of one
    place, and whoever has it holds a lock on the file that it names (``flock``): a name that nobody holds is one that
    a process was killed with.
    """
    temporary = final.with_name(f".{hashlib.sha256(os.fsencode(final.name)).hexdigest()[:16]}.part")
    try:
        while True:
            try:
                os.link(_OPEN / str(handle.fileno()), temporary, src_dir_fd=0)  # so that Python follows the link
                break
            except FileExistsError:
                _clear_away(temporary)
        temporary.replace(final)
    finally:
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(handle.fileno()), temporary.stat()):
                temporary.unlink()


def _clear_away(temporary: Path) -> None:
    """Waits until nobody holds what has this name; takes it away if it still has it."""
    with contextlib.suppress(FileNotFoundError), temporary.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        if os.path.samestat(os.fstat(other.fileno()), temporary.stat()):
            temporary.unlink()


def _nameless(folder: Path) -> BinaryIO | None:
    """A new file in ``folder`` without a name, held, which is gone with the process, however that ends; None where the
    system or the file system has none."""
    if fcntl is None or not hasattr(os, "O_TMPFILE") or not _OPEN.is_dir():
        return None
    try:
        handle = os.fdopen(os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o666), "wb+")
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT):
            return None
        raise
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError:  # a file system that keeps no locks
        handle.close()
        return None
    return handle


def write_bytes(target: str | os.PathLike[str], content: bytes | memoryview) -> None:
    """Writes ``content`` to ``target``, whole or not at all."""
    with atomic_file(target) as handle:
        handle.write(content)


def write_text(target: str | os.PathLike[str], text: str) -> None:
    """Writes ``text`` as UTF-8 to ``target``, whole or not at all."""
    write_bytes(target, text.encode())


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Opens a regular file for reading; what is none is refused at once, where a pipe would be waited for.

    Raises:
        OSError: missing, not to be read, or no regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _check_regular(os.fstat(descriptor).st_mode)
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def read_regular(path: str | os.PathLike[str], most: int) -> bytes:
    """The content of a regular file of at most ``most`` bytes.

    Raises:
        OSError: as :func:`open_regular`, or the file is larger.
    """
    with open_regular(path) as handle:
        size = min(os.fstat(handle.fileno()).st_size, most)  # Python sets aside what it is asked to read
        content = handle.read(size + 1)
    if len(content) > size:  # or grew while it was read
        raise OSError(errno.EFBIG, f"larger than {most:,} bytes")
    return content


def sha256_file(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a regular file's bytes, as 64 hexadecimal digits.

    Raises:
        OSError: as :func:`open_regular`.
    """
    digest = hashlib.sha256()
    with open_regular(path) as handle:
        for block in iter(lambda: handle.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def _check_regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, f"{_KINDS.get(stat.S_IFMT(mode), 'something else')}, expected a file")

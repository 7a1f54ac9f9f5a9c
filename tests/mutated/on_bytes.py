"""Changes of a file's bytes, whatever they mean, and of what stands in the file's place."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np

__all__ = ["BYTES", "PLACES", "Mutation"]

#: Changes the file at a path, by draws of a generator.
Mutation = Callable[[Path, np.random.Generator], None]


def _on_content(change: Callable[[bytearray, np.random.Generator], bytes | bytearray]) -> Mutation:
    def apply(path: Path, rng: np.random.Generator) -> None:
        path.write_bytes(bytes(change(bytearray(path.read_bytes()), rng)))

    return apply


def _at(content: bytearray, rng: np.random.Generator) -> int:
    """A place; every other time among the first 512 bytes, where formats have what matters."""
    end = len(content) if rng.random() < 0.5 else min(len(content), 512)
    return int(rng.integers(0, end + 1))


def _block(content: bytearray, rng: np.random.Generator) -> tuple[int, int]:
    start = _at(content, rng)
    return start, min(len(content), start + int(rng.choice([1, 4, 8, 64, 512, 2000])))


def _flip(content: bytearray, rng: np.random.Generator) -> bytearray:
    for _ in range(int(rng.integers(1, 9)) if content else 0):
        content[min(_at(content, rng), len(content) - 1)] ^= 1 << int(rng.integers(0, 8))
    return content


def _set(content: bytearray, rng: np.random.Generator) -> bytearray:
    """A whole number, 1 to 8 bytes wide, of either order."""
    value = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF]))
    width, order = int(rng.choice([1, 2, 4, 8])), str(rng.choice(["little", "big"]))
    at = _at(content, rng)
    content[at : at + width] = (value & ((1 << (8 * width)) - 1)).to_bytes(width, order)  # type: ignore[arg-type]
    return content


def _cut(content: bytearray, rng: np.random.Generator) -> bytearray:
    return content[: _at(content, rng)]


def _zero(content: bytearray, rng: np.random.Generator) -> bytearray:
    start, stop = _block(content, rng)
    content[start:stop] = bytes(stop - start)
    return content


def _insert(content: bytearray, rng: np.random.Generator) -> bytearray:
    at = _at(content, rng)
    content[at:at] = rng.bytes(int(rng.choice([1, 8, 8, 300])))
    return content


def _duplicate(content: bytearray, rng: np.random.Generator) -> bytearray:
    start, stop = _block(content, rng)
    content[start:start] = content[start:stop]
    return content


def _leave_out(content: bytearray, rng: np.random.Generator) -> bytearray:
    start, stop = _block(content, rng)
    del content[start:stop]
    return content


def _swap(content: bytearray, rng: np.random.Generator) -> bytearray:
    (a, b), (c, d) = sorted((_block(content, rng), _block(content, rng)))
    if b > c:
        return content
    return content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:]


def _append(content: bytearray, rng: np.random.Generator) -> bytearray:
    return content + (content if rng.random() < 0.3 else rng.bytes(int(rng.integers(1, 64))))


def _empty(content: bytearray, rng: np.random.Generator) -> bytes:
    return b""


BYTES: dict[str, Mutation] = {
    "flip": _on_content(_flip),
    "flip, again": _on_content(_flip),
    "set a number": _on_content(_set),
    "cut": _on_content(_cut),
    "zero a block": _on_content(_zero),
    "insert": _on_content(_insert),
    "duplicate a block": _on_content(_duplicate),
    "leave a block out": _on_content(_leave_out),
    "swap blocks": _on_content(_swap),
    "append": _on_content(_append),
}


def _instead(make: Callable[[Path], None]) -> Mutation:
    def apply(path: Path, rng: np.random.Generator) -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        make(path)

    return apply


def _socket(path: Path) -> None:
    here = os.open(".", os.O_RDONLY)
    os.chdir(path.parent)  # a socket's name is short
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(path.name)
    os.fchdir(here)
    os.close(here)


def _link_around(path: Path) -> None:
    path.symlink_to(path.with_name("loop"))
    path.with_name("loop").symlink_to(path)


PLACES: dict[str, Mutation] = {
    "gone": _instead(lambda path: None),
    "empty": _on_content(_empty),
    "a pipe": _instead(os.mkfifo),
    "a folder": _instead(Path.mkdir),
    "a socket": _instead(_socket),
    "a link to itself": _instead(lambda path: path.symlink_to(path.name)),
    "a loop of links": _instead(_link_around),
    "a link to a device": _instead(lambda path: path.symlink_to("/dev/zero")),
    "a link to nothing": _instead(lambda path: path.symlink_to("nowhere")),
    "a link to its folder": _instead(lambda path: path.symlink_to(path.parent)),
}

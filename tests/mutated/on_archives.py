"""Changes of ZIP archives, which ``torch.save`` and ``numpy.savez`` write: entries, the pickles and arrays in them, the
directory. Archives are written anew around a changed entry, so that their checksums hold."""

from __future__ import annotations

import io
import re
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mutated.on_bytes import BYTES, Mutation
from mutated.on_headers import NPY, SIZES, picked

__all__ = ["ZIP"]


def _on_archive(change: Callable[[dict[str, bytes], np.random.Generator], int | None]) -> Mutation:
    """``change`` gets the entries, and gives another way to store them where it wants one."""

    def apply(path: Path, rng: np.random.Generator) -> None:
        try:
            with zipfile.ZipFile(path) as archive:
                entries = {name: archive.read(name) for name in archive.namelist()}
            how = change(entries, rng)
        except Exception:  # an earlier change: zipfile raises anything
            return
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED if how is None else how) as archive:
            for name, content in entries.items():
                archive.writestr(name, content)
        path.write_bytes(buffer.getvalue())

    return apply


def _entry(entries: dict[str, bytes], rng: np.random.Generator) -> str:
    return str(picked(sorted(entries), rng))


def _changed_entry(entries: dict[str, bytes], rng: np.random.Generator) -> None:
    """Bytes of an entry, the pickle every other time."""
    pickles = [name for name in entries if name.endswith("data.pkl")]
    name = pickles[0] if pickles and rng.random() < 0.7 else _entry(entries, rng)
    place = Path(_scratch(entries[name]))
    BYTES[str(picked(sorted(BYTES), rng))](place, rng)
    entries[name] = place.read_bytes()
    place.unlink()


def _scratch(content: bytes) -> str:
    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(content)
    return file.name


def _renamed_entry(entries: dict[str, bytes], rng: np.random.Generator) -> None:
    name = _entry(entries, rng)
    odd = [
        "",
        "x",
        "../../x",
        "/etc/x",
        "archive/code/x.py",
        "archive/constants.pkl",
        "a/data.pkl",
        "archive/data/99",
        f"{name}x",
        "ü\n",
    ]
    entries[str(picked(odd, rng))] = entries.pop(name)


def _swapped_entries(entries: dict[str, bytes], rng: np.random.Generator) -> None:
    one, other = _entry(entries, rng), _entry(entries, rng)
    entries[one], entries[other] = entries[other], entries[one]


def _missing_entry(entries: dict[str, bytes], rng: np.random.Generator) -> None:
    del entries[_entry(entries, rng)]


def _grown_entry(entries: dict[str, bytes], rng: np.random.Generator) -> int:
    """Much of nothing, packed."""
    entries[_entry(entries, rng)] = bytes(int(picked([0, 1000, 1 << 20, 200 << 20], rng)))
    return zipfile.ZIP_DEFLATED


def _packed(entries: dict[str, bytes], rng: np.random.Generator) -> int:
    return int(picked([zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], rng))


def _byte_order(entries: dict[str, bytes], rng: np.random.Generator) -> None:
    for name in [name for name in entries if name.endswith("byteorder")]:
        entries[name] = picked([b"big", b"little", b"middle", b"", b"\xff"], rng)


def _in_the_array(entries: dict[str, bytes], rng: np.random.Generator) -> None:
    """The header of an array of an ``.npz``."""
    arrays = [name for name in sorted(entries) if name.endswith(".npy")]
    name = str(picked(arrays, rng))
    place = Path(_scratch(entries[name]))
    NPY[str(picked(sorted(NPY), rng))](place, rng)
    entries[name] = place.read_bytes() if place.exists() else b""
    place.unlink(missing_ok=True)


def _directory(path: Path, rng: np.random.Generator) -> None:
    """A number in the head of an entry, in the directory, or at its end."""
    content = bytearray(path.read_bytes())
    marks = [
        found.start() for found in re.finditer(b"PK(?:\x03\x04|\x01\x02|\x05\x06|\x06\x06|\x06\x07)", bytes(content))
    ]
    if marks:
        at = picked(marks, rng) + int(rng.integers(4, 46))
        width = int(picked([1, 2, 4], rng))
        content[at : at + width] = (int(picked(SIZES, rng)) & ((1 << 8 * width) - 1)).to_bytes(width, "little")
    path.write_bytes(content)


ZIP: dict[str, Mutation] = {
    **{name: _on_archive(_changed_entry) for name in ("entry", "entry, again", "entry, once more")},
    "entry's name": _on_archive(_renamed_entry),
    "swap entries": _on_archive(_swapped_entries),
    "entry gone": _on_archive(_missing_entry),
    "grown entry": _on_archive(_grown_entry),
    "packed": _on_archive(_packed),
    "byte order": _on_archive(_byte_order),
    "array": _on_archive(_in_the_array),
    "directory": _directory,
    "directory, again": _directory,
}

"""What a changed file says by another reader than the project's, written anew as a sound file; or that it is damaged.

Each function takes a file and gives the bytes of a new one with the same content, or None where the file does not hold
together. A reader that takes the changed file must make of it what it makes of the new one.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mutated.on_headers import SEAL, sealed

__all__ = [
    "SOUND",
    "OtherReader",
    "archive_anew",
    "array_anew",
    "arrays_anew",
    "hdf5_anew",
    "idx_anew",
    "json_anew",
    "netx_anew",
    "picture_anew",
    "tensors_anew",
    "yaml_anew",
]

OtherReader = Callable[[Path], bytes | None]
#: Name under which a network file as it was lies beside the changed one.
SOUND = "sound.net"


def yaml_anew(path: Path) -> bytes:
    """By libyaml; numbers are written with Python's digits."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.safe_dump(yaml.load(path.read_bytes(), loader), allow_unicode=True).encode()


def json_anew(path: Path) -> bytes | None:
    """Standard JSON alone, no key twice."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(found)) != len(found):
            raise ValueError("a key twice")
        return dict(found)

    return json.dumps(json.loads(path.read_bytes().decode(), object_pairs_hook=pairs), allow_nan=False).encode()


def array_anew(path: Path) -> bytes:
    """By ``numpy.load``."""
    buffer = io.BytesIO()
    np.save(buffer, np.load(path, allow_pickle=False), allow_pickle=False)
    return buffer.getvalue()


def arrays_anew(path: Path) -> bytes:
    """By ``numpy.load``, from an ``.npz``."""
    buffer = io.BytesIO()
    with np.load(path, allow_pickle=False) as found:
        np.savez(buffer, **{name: found[name] for name in found.files})
    return buffer.getvalue()


def tensors_anew(path: Path) -> bytes | None:
    """Read with the standard library and numpy; a seal must hold, a new one is made."""
    from safetensors.numpy import save

    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    metadata = header.pop("__metadata__", None)
    if metadata is not None and sealed(content) != content:
        return None
    if (
        metadata is not None
        and SEAL not in metadata
        and any(re.fullmatch("[0-9a-f]{64}", text) for text in metadata.values())
    ):
        return None
    kinds = {
        "F64": "<f8",
        "F32": "<f4",
        "F16": "<f2",
        "I64": "<i8",
        "I32": "<i4",
        "I16": "<i2",
        "I8": "i1",
        "U8": "u1",
        "BOOL": "?",
    }
    tensors = {}
    for name, about in header.items():
        begin, end = about["data_offsets"]
        tensors[name] = np.frombuffer(content[start + begin : start + end], kinds[about["dtype"]]).reshape(
            about["shape"]
        )
    return sealed(save(tensors, metadata))


def archive_anew(path: Path) -> bytes | None:
    """By ``torch.load``, where it is no TorchScript archive, which that would compile."""
    import torch

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any("code/" in name or name.endswith("constants.pkl") for name in archive.namelist()):
                return None
    buffer = io.BytesIO()
    torch.save(torch.load(path, "cpu", weights_only=True), buffer)
    return buffer.getvalue()


_CRITICAL = {b"IHDR", b"PLTE", b"IDAT"}


def picture_anew(path: Path) -> bytes | None:
    """The first frame as PNG of 8 bits; a PNG's checksums must hold, and a JPEG must end."""
    from PIL import Image

    content = path.read_bytes()
    if content.startswith(b"\x89PNG") and not _is_whole_png(content):
        return None
    if content.startswith(b"\xff\xd8") and b"\xff\xd9" not in content[-1024:]:
        return None
    picture = Image.open(io.BytesIO(content))
    values = np.asarray(picture)
    if picture.mode.startswith("I"):
        picture = Image.fromarray(np.floor(values / 65_535 * 255 + 0.5).astype(np.uint8))
    buffer = io.BytesIO()
    (picture if picture.mode == "L" else picture.convert("RGB")).save(buffer, "PNG")
    return buffer.getvalue()


def _is_whole_png(content: bytes) -> bool:
    """Whether the sums of all chunks that matter hold, and that of the pixels, which are all there."""
    at, pixels = 8, zlib.decompressobj()
    while at + 12 <= len(content) and not pixels.eof:
        size = int.from_bytes(content[at : at + 4], "big")
        name, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + size]
        kept = content[at + 8 + size : at + 12 + size]
        if name in _CRITICAL and zlib.crc32(name + data) != int.from_bytes(kept, "big"):
            return False
        if name == b"IDAT":
            pixels.decompress(data)
        at += 12 + size
    return pixels.eof


def idx_anew(path: Path) -> bytes | None:
    """MNIST's format: what its header says must be what follows it."""
    content = path.read_bytes()
    axes = content[3]
    sizes = [int.from_bytes(content[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(axes)]
    whole = content[:3] == b"\0\0\x08" and len(content) == 4 + 4 * axes + int(np.prod(sizes, dtype=object))
    return content if whole else None


def netx_anew(path: Path) -> bytes | None:
    """A file that still says the hash of the sound one, which is kept beside it, has not been made another one."""
    import h5py

    said = []
    for file in (path, path.with_name(SOUND)):
        with h5py.File(file, "r") as opened:
            said.append(opened["esvae/content_hash"][()] if "esvae/content_hash" in opened else None)
    return None if said[0] is not None and said[0] == said[1] else path.read_bytes()


def hdf5_anew(path: Path) -> bytes:
    """By h5py: groups and data sets as they are, stored otherwise."""
    import h5py

    buffer = io.BytesIO()
    with h5py.File(path, "r") as file, h5py.File(buffer, "w") as new:

        def put(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                new.create_dataset(name, data=item[()], dtype=item.dtype)
            else:
                new.require_group(name)

        file.visititems(put)
    return buffer.getvalue()

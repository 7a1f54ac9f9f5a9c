"""Changes of pictures: other modes and formats, sizes that nothing holds, frames, chunks with sound checksums."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mutated.on_bytes import Mutation

__all__ = ["PICTURES"]

_PNG = b"\x89PNG\r\n\x1a\n"


def _values(rng: np.random.Generator, *shape: int, kind: str = "u1") -> np.ndarray:
    return rng.integers(0, 256, shape or (16, 16)).astype(kind)


def _saved(picture: Image.Image, format_name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format_name, **options)
    return buffer.getvalue()


def _sixteen(rng: np.random.Generator) -> bytes:
    values = rng.integers(0, 65_536, (16, 16)).astype("u2")
    return _saved(Image.fromarray(values), "PNG" if rng.random() < 0.5 else "TIFF")


def _wide(rng: np.random.Generator) -> bytes:
    kind = str(rng.choice(["f4", "i4"]))
    scale = int(rng.choice([1, 1000, -(1 << 20)]))
    return _saved(Image.fromarray(_values(rng, 16, 16, kind=kind) * scale), "TIFF")


def _odd_numbers(rng: np.random.Generator) -> bytes:
    values = _values(rng, 16, 16, kind="f4")
    values[3, 3] = rng.choice([np.nan, np.inf, 1e30])
    return _saved(Image.fromarray(values), "TIFF")


def _palette(rng: np.random.Generator) -> bytes:
    picture = Image.fromarray(_values(rng, 16, 16, 3)).quantize(int(rng.choice([2, 16, 256])))
    options: dict[str, Any] = {"transparency": 0} if rng.random() < 0.5 else {}
    return _saved(picture, "PNG" if rng.random() < 0.5 else "GIF", **options)


def _four(rng: np.random.Generator) -> bytes:
    return _saved(Image.fromarray(_values(rng, 16, 16, 4), "CMYK"), "JPEG" if rng.random() < 0.5 else "TIFF")


def _alpha(rng: np.random.Generator) -> bytes:
    mode = str(rng.choice(["RGBA", "LA"]))
    return _saved(Image.fromarray(_values(rng, 16, 16, len(mode)), mode), str(rng.choice(["PNG", "TIFF"])))


def _bits(rng: np.random.Generator) -> bytes:
    return _saved(Image.fromarray(_values(rng)).convert("1"), str(rng.choice(["PNG", "BMP", "TIFF", "PPM"])))


def _other_space(rng: np.random.Generator) -> bytes:
    mode = str(rng.choice(["YCbCr", "LAB"]))
    return _saved(Image.fromarray(_values(rng, 16, 16, 3), mode), "TIFF")


def _animated(rng: np.random.Generator) -> bytes:
    frames = [Image.fromarray(_values(rng, 16, 16, 3)) for _ in range(int(rng.choice([2, 200])))]
    return _saved(frames[0], str(rng.choice(["GIF", "PNG", "WEBP", "TIFF"])), save_all=True, append_images=frames[1:])


def _formats(rng: np.random.Generator) -> bytes:
    names = [
        "BMP",
        "DDS",
        "EPS",
        "GIF",
        "ICO",
        "IM",
        "JPEG",
        "JPEG2000",
        "PCX",
        "PDF",
        "PNG",
        "PPM",
        "SGI",
        "TGA",
        "TIFF",
        "WEBP",
        "XBM",
    ]
    name = str(rng.choice(names))
    return _saved(Image.fromarray(_values(rng, 16, 16, 3)).convert("1" if name == "XBM" else "RGB"), name)


def _progressive(rng: np.random.Generator) -> bytes:
    turned = Image.Exif()
    turned[0x0112] = int(rng.integers(0, 10))
    return _saved(Image.fromarray(_values(rng, 16, 16, 3)), "JPEG", progressive=True, exif=turned)


def _shapes(rng: np.random.Generator) -> bytes:
    height, width = int(rng.choice([1, 2, 1000])), int(rng.choice([1, 3, 1000]))
    return _saved(Image.fromarray(_values(rng, height, width)), "PNG")


def _bomb(rng: np.random.Generator) -> bytes:
    """Few bytes, many pixels."""
    side = int(rng.choice([9_000, 13_000, 20_000, 65_000, (1 << 31) - 1]))
    real = rng.random() < 0.5 and side < 13_000
    rows = zlib.compress(bytes((1 + side) * side if real else 1000), 1)
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return _PNG + b"".join(_chunk(name, data) for name, data in ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")))


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _not_a_picture(rng: np.random.Generator) -> bytes:
    texts = [
        b"",
        b"<svg/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99999 99999\n",
        b"GIF89a",
        b"\xff\xd8\xff",
        b"BM",
        _PNG,
    ]
    texts += [
        b"P6\n16 16\n255\n",
        b"P5 99999999 99999999 255\n",
        b"P1\n" + b"1" * 300,
        b"P5\n16 16\n70000\n" + bytes(600),
        b"II*\0" + bytes(60),
    ]
    texts += [
        b"P2\n16 16\n255\n" + b"9" * 100_000,
        b"RIFF\xff\xff\xff\xffWEBPVP8X",
        b"#!/bin/sh\n",
        b"MM\0*\0\0\0\x08\xff\xff" + bytes(900),
    ]
    return texts[int(rng.integers(len(texts)))]


def _instead(make: Callable[[np.random.Generator], bytes]) -> Mutation:
    return lambda path, rng: path.write_bytes(make(rng)) and None


def _png_chunks(path: Path, rng: np.random.Generator) -> None:
    """Chunks left out, twice, in another order, changed, or new, with checksums that hold."""
    content = path.read_bytes()
    if not content.startswith(_PNG):
        content = _saved(Image.fromarray(_values(rng)), "PNG")
    chunks, at = [], len(_PNG)
    while at + 12 <= len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += 12 + size
    choice, which = int(rng.integers(6)), int(rng.integers(len(chunks)))
    name, data = chunks[which]
    if choice == 0:
        del chunks[which]
    elif choice == 1:
        chunks.insert(which, chunks[which])
    elif choice == 2:
        chunks.reverse()
    elif choice == 3 and data:
        changed = bytearray(data)
        changed[int(rng.integers(len(data)))] = int(rng.integers(256))
        chunks[which] = (name, bytes(changed))
    elif choice == 4:
        chunks[which] = (name, data[: int(rng.integers(len(data) + 1))])
    else:
        packed = zlib.compress(bytes(int(rng.choice([10, 1 << 20, 80 << 20]))))
        new = [
            (b"zTXt", b"a\0\0" + packed),
            (b"iCCP", b"a\0\0" + packed),
            (b"iTXt", b"a\0\1\0\0\0" + packed),
            (b"tRNS", b"\0\0"),
        ]
        new += [
            (b"acTL", struct.pack(">II", 1 << 31, 0)),
            (b"PLTE", bytes(3)),
            (b"gAMA", b""),
            (b"eXIf", b"MM\0*" + bytes(9)),
            (b"ABCD", b""),
        ]
        chunks.insert(int(rng.integers(len(chunks) + 1)), new[int(rng.integers(len(new)))])
    path.write_bytes(_PNG + b"".join(_chunk(*chunk) for chunk in chunks))


PICTURES: dict[str, Mutation] = {
    "16 bits": _instead(_sixteen),
    "32 bits": _instead(_wide),
    "odd floats": _instead(_odd_numbers),
    "palette": _instead(_palette),
    "CMYK": _instead(_four),
    "transparent": _instead(_alpha),
    "one bit": _instead(_bits),
    "colour spaces": _instead(_other_space),
    "animated": _instead(_animated),
    "other formats": _instead(_formats),
    "progressive and turned": _instead(_progressive),
    "shapes": _instead(_shapes),
    "bomb": _instead(_bomb),
    "no picture": _instead(_not_a_picture),
    "chunks": _png_chunks,
    "chunks, again": _png_chunks,
}

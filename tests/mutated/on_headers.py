"""Changes of what binary files say of themselves: ``.npy``, safetensors, and IDX, which is MNIST's format."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mutated.on_bytes import Mutation

__all__ = ["IDX", "NPY", "SAFETENSORS", "SEAL", "SIZES", "picked", "sealed"]

#: Numbers to declare.
SIZES = [0, 1, 2, 3, 7, 255, 1 << 16, (1 << 31) - 1, 1 << 31, 400_000, 1 << 40, 1 << 62, (1 << 63) - 1, 1 << 64, -1]


def picked(values: Any, rng: np.random.Generator) -> Any:
    """One of them."""
    return values[int(rng.integers(len(values)))]


# .npy: a Python literal behind its length


def _on_npy(change: Callable[[str, np.random.Generator], str], *, told: bool = True) -> Mutation:
    """Changes the header's text; ``told`` puts its length right."""

    def apply(path: Path, rng: np.random.Generator) -> None:
        content = path.read_bytes()
        wide = content[6:7] != b"\x01"
        start = 12 if wide else 10
        length = int.from_bytes(content[8:start], "little")
        header = change(content[start : start + length].decode("latin-1"), rng).encode("utf-8", "replace")
        size = (
            (len(header) if told else length).to_bytes(start - 8, "little")
            if len(header) < 65_536
            else b"\xff" * (start - 8)
        )
        path.write_bytes(content[:8] + size + header + content[start + length :])

    return apply


def _npy_shape(header: str, rng: np.random.Generator) -> str:
    numbers = list(re.finditer(r"\d+(?=[,)])", header))
    if not numbers:
        return header
    found = picked(numbers, rng)
    odd = [*map(str, SIZES), "2.0", "1e3", "True", "None", "'4'", "(4, 4)", "0x4", "4L", "9" * 5000, "-4", "4j", ""]
    return header[: found.start()] + picked(odd, rng) + header[found.end() :]


def _npy_type(header: str, rng: np.random.Generator) -> str:
    types = [
        "|O",
        "|b1",
        "|u1",
        "|i1",
        "<u2",
        ">i4",
        "<i8",
        "<f2",
        "<f4",
        ">f8",
        "<c8",
        "|S1",
        "<U1",
        "|V0",
        "|V1",
        "<M8[s]",
    ]
    types += ["<m8[D]", "<f16", "(2,)<i4", "<i4,<f4", "<q9", "", "x" * 5000, "é"]
    other = f"'{picked(types, rng)}'" if rng.random() < 0.9 else "[('a', '<f4'), ('b', '|O')]"
    return re.sub(r"('descr': )'[^']*'", lambda found: found[1] + other, header)


def _npy_order(header: str, rng: np.random.Generator) -> str:
    return header.replace("False", picked(["True", "1", "0", "None", "'x'", "[]", "", "not True"], rng))


def _npy_text(header: str, rng: np.random.Generator) -> str:
    texts = [
        "",
        "{}",
        "1 + 1",
        "(" * 5000,
        "{'a': 1}",
        "[]",
        "\x00",
        header[:-10],
        header * 2,
        header.replace("descr", "x"),
    ]
    texts += [header.replace("}", ", 'more': 1}"), header.replace("(", "(4, "), header.replace("'", '"'), "é" * 50]
    return picked([*texts, header.rstrip() + " " * 20_000 + "\n", "{'shape': __import__('os').getcwd()}"], rng)


def _npy_fitting(path: Path, rng: np.random.Generator) -> None:
    """A sound file of other numbers or another shape."""
    with contextlib.suppress(Exception):
        values = np.load(path)
        kinds = ["?", "u1", "i1", ">i2", "<i4", "<i8", "f2", "<f4", ">f8", "u8"]
        shapes = [
            (0,),
            (1,),
            values.shape[::-1],
            (values.size,),
            (1, *values.shape),
            (*values.shape, 1),
            (*values.shape[1:], 1),
        ]
        choice = int(rng.integers(3))
        if choice == 0:
            with np.errstate(all="ignore"):
                values = values.astype(picked(kinds, rng))
        elif choice == 1:
            values = np.resize(values, picked(shapes, rng)) if values.size else values
        else:
            flat = values.astype("f8" if rng.random() < 0.5 else values.dtype).copy()
            with np.errstate(all="ignore"):
                flat.flat[int(rng.integers(values.size))] = picked([-1, 2, 1e300, np.nan, np.inf, 0.5, 1 << 40], rng)
            values = flat
        np.save(path, np.asfortranarray(values) if rng.random() < 0.2 else values)


def _npy_version(path: Path, rng: np.random.Generator) -> None:
    content = bytearray(path.read_bytes())
    content[6:8] = bytes(picked([(0, 0), (1, 1), (2, 0), (3, 0), (9, 9), (255, 255)], rng))
    path.write_bytes(content)


NPY: dict[str, Mutation] = {
    "shape": _on_npy(_npy_shape),
    "shape, again": _on_npy(_npy_shape),
    "type": _on_npy(_npy_type),
    "order": _on_npy(_npy_order),
    "header": _on_npy(_npy_text),
    "header without its length": _on_npy(_npy_text, told=False),
    "other values": _npy_fitting,
    "other values, again": _npy_fitting,
    "version": _npy_version,
}

# safetensors: JSON behind its length; where it is sealed, the seal can be put right

SEAL = "sealed_sha256"


def _on_tensors(change: Callable[[dict[str, Any], bytes, np.random.Generator], str | None]) -> Mutation:
    """Changes the header; every other time the seal is made good, as by somebody who knows how."""

    def apply(path: Path, rng: np.random.Generator) -> None:
        content = path.read_bytes()
        try:
            start = 8 + int.from_bytes(content[:8], "little")
            header = json.loads(content[8:start])
            text = change(header, content[start:], rng)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):  # an earlier change
            return
        text = json.dumps(header, separators=(",", ":")) if text is None else text
        encoded = text.encode("utf-8", "replace")
        encoded += b" " * (-len(encoded) % 8)
        found = len(encoded).to_bytes(8, "little") + encoded + content[start:]
        path.write_bytes(sealed(found) if rng.random() < 0.6 else found)

    return apply


def sealed(content: bytes) -> bytes:
    """The file with the seal that its bytes have; as it is where it has none."""
    pattern = re.compile(f'"{SEAL}":"([0-9a-f]{{64}})"'.encode())
    opened = pattern.sub(f'"{SEAL}":"{"0" * 64}"'.encode(), content, count=1)
    seal = hashlib.sha256(opened).hexdigest()
    return opened.replace(f'"{SEAL}":"{"0" * 64}"'.encode(), f'"{SEAL}":"{seal}"'.encode(), 1)


def _tensor(header: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    found: dict[str, Any] = header[picked(sorted(name for name in header if name != "__metadata__"), rng)]
    return found


def _tensor_type(header: dict[str, Any], data: bytes, rng: np.random.Generator) -> None:
    types = [
        "F64",
        "F32",
        "F16",
        "BF16",
        "I64",
        "I32",
        "I16",
        "I8",
        "U8",
        "U16",
        "U32",
        "U64",
        "BOOL",
        "F8_E5M2",
        "C64",
        "",
        5,
        None,
    ]
    _tensor(header, rng)["dtype"] = picked(types, rng)


def _tensor_shape(header: dict[str, Any], data: bytes, rng: np.random.Generator) -> None:
    shape = _tensor(header, rng)["shape"]
    if shape and rng.random() < 0.7:
        shape[int(rng.integers(len(shape)))] = picked([*SIZES, 2.0, "4", None, [], True], rng)
    else:
        shape.append(picked([0, 1, 1 << 62], rng))


def _tensor_place(header: dict[str, Any], data: bytes, rng: np.random.Generator) -> None:
    _tensor(header, rng)["data_offsets"][int(rng.integers(2))] = picked(
        [*SIZES, len(data), len(data) + 1, 1.5, None], rng
    )


def _tensor_name(header: dict[str, Any], data: bytes, rng: np.random.Generator) -> None:
    name = picked(sorted(header), rng)
    header[picked(["", "x", "ü", "__metadata__", f"{name} ", name.upper(), "encoder.layers.0.norm.weight"], rng)] = (
        header.pop(name)
    )


def _tensor_swap(header: dict[str, Any], data: bytes, rng: np.random.Generator) -> None:
    one, other = picked(sorted(header), rng), picked(sorted(header), rng)
    header[one], header[other] = header[other], header[one]


def _tensor_metadata(header: dict[str, Any], data: bytes, rng: np.random.Generator) -> None:
    known = header.get("__metadata__", {})
    if "state" in known and rng.random() < 0.6:
        known["state"] = _changed_state(known["state"], rng)
        return
    odd = [
        None,
        [],
        "x",
        5,
        {},
        {"format": "pt"},
        {"state": 5},
        {"state": "{}"},
        {"state": "[" * 90_000},
        {"a": {"b": 1}},
    ]
    header["__metadata__"] = {**known, picked([SEAL, "state", "x"], rng): picked(["", "x", "f" * 64, "0" * 64], rng)}
    if rng.random() < 0.6:
        header["__metadata__"] = picked(odd, rng)


def _changed_state(text: str, rng: np.random.Generator) -> str:
    """A checkpoint's structure with a word or a number of it changed."""
    words = list(re.finditer(r'"\w*"|-?[\d.e-]+|[\[\]{},:]|null|true|false', text))
    found = picked(words, rng)
    odd = [
        '"x"',
        '"tensor"',
        '"dict"',
        '"value"',
        '"list"',
        '"t0"',
        '"t9999"',
        "0",
        "-1",
        "1.5",
        "1e999",
        "null",
        "[]",
        "{}",
        "[[]]",
        "NaN",
    ]
    return text[: found.start()] + picked(odd, rng) + text[found.end() :]


def _tensor_gone(header: dict[str, Any], data: bytes, rng: np.random.Generator) -> None:
    del header[picked(sorted(header), rng)]


def _tensor_text(header: dict[str, Any], data: bytes, rng: np.random.Generator) -> str:
    text = json.dumps(header)
    texts = [
        "",
        "{}",
        "[]",
        "null",
        "5",
        "[" * 100_000,
        '{"a":' * 5000,
        text[:-1],
        text * 2,
        text[:-1] + ', "a": 1e999}',
        "\x00",
    ]
    return str(picked([*texts, text.replace("{", '{"__metadata__":{},', 1), text.replace("F32", "ü")], rng))


def _length(path: Path, rng: np.random.Generator) -> None:
    """The first eight bytes."""
    content = path.read_bytes()
    size = (
        (picked(SIZES, rng) & ((1 << 64) - 1))
        if rng.random() < 0.5
        else int.from_bytes(content[:8], "little") + int(rng.integers(-9, 9))
    )
    path.write_bytes((size % (1 << 64)).to_bytes(8, "little") + content[8:])


SAFETENSORS: dict[str, Mutation] = {
    "type": _on_tensors(_tensor_type),
    "shape": _on_tensors(_tensor_shape),
    "place": _on_tensors(_tensor_place),
    "name": _on_tensors(_tensor_name),
    "swap entries": _on_tensors(_tensor_swap),
    "metadata": _on_tensors(_tensor_metadata),
    "metadata, again": _on_tensors(_tensor_metadata),
    "entry gone": _on_tensors(_tensor_gone),
    "header": _on_tensors(_tensor_text),
    "length": _length,
}

# IDX, the format of MNIST


def _idx_header(path: Path, rng: np.random.Generator) -> None:
    """Type, number of axes, or a size."""
    content = bytearray(path.read_bytes())
    if rng.random() < 0.3:
        content[int(rng.integers(0, 4))] = int(picked([0, 1, 2, 3, 4, 8, 9, 11, 12, 13, 14, 255], rng))
    else:
        at = int(picked([4, 8, 12], rng))
        content[at : at + 4] = int(picked([0, 1, 5, 27, 29, 60_000, (1 << 31) - 1, (1 << 32) - 1], rng)).to_bytes(
            4, "big"
        )
    path.write_bytes(content)


IDX: dict[str, Mutation] = {"header": _idx_header, "header, again": _idx_header}

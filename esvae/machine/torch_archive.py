"""Reads the tensors in a file of ``torch.save`` without torch's reader and without running anything in it.

Such a file is a ZIP archive of stored entries: ``NAME/data.pkl``, a pickle that says how tensors lie in the storages
``NAME/data/0``, ``NAME/data/1``, ... Before torch 1.6 it was five pickles in a row, of which the fourth says this, and
the fifth in which order the storages follow. A pickle is a program for a small stack machine. This one runs the few
instructions that build dictionaries, lists, numbers and text, and three calls: an ordered dictionary, a tensor and a
parameter. Nothing that the file names is imported or called; what it would make of any other class comes back as a
:class:`Foreign`. TorchScript archives hold programs, which torch's own reader would compile, and are refused.
"""

from __future__ import annotations

import io
import math
import os
import pickletools
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from esvae.errors import CheckpointError
from esvae.machine.archives import DAMAGED_ARCHIVE, stored_entries
from esvae.machine.files import MOST_WEIGHTS, read_regular

__all__ = ["Foreign", "read_torch_archive"]

#: Storage classes of torch: how a number lies in the file, and torch's type of it.
_STORAGES = {
    "FloatStorage": ("f4", torch.float32),
    "DoubleStorage": ("f8", torch.float64),
    "HalfStorage": ("f2", torch.float16),
    "BFloat16Storage": ("i2", torch.bfloat16),
    "LongStorage": ("i8", torch.int64),
    "IntStorage": ("i4", torch.int32),
    "ShortStorage": ("i2", torch.int16),
    "CharStorage": ("i1", torch.int8),
    "ByteStorage": ("u1", torch.uint8),
    "BoolStorage": ("u1", torch.bool),
}
_ORDERS = {b"little": "<", b"big": ">"}
_MARK = object()
_ZIP, _PROTOCOL, _OLD = b"PK\x03\x04", b"\x80", 0x1950A86A20F9469CFC6C
#: What reading a damaged archive or pickle may raise.
_DAMAGE: tuple[type[Exception], ...] = (*DAMAGED_ARCHIVE, AttributeError, MemoryError, TypeError)
#: Instructions of the pickle, which may grow the stack of a damaged file no further than this.
_INSTRUCTIONS = 5_000_000


@dataclass(frozen=True)
class Foreign:
    """A class that the file names, or what calling it would have given; neither was imported."""

    name: str


@dataclass(frozen=True)
class _Stored:
    """The whole numbers or floats of one entry, not yet cut into tensors."""

    values: np.ndarray
    dtype: torch.dtype


def read_torch_archive(path: str | os.PathLike[str]) -> Any:
    """What ``torch.save`` wrote: dictionaries, lists, tuples, numbers, text, tensors on the CPU, :class:`Foreign`.

    Raises:
        CheckpointError: missing, not such a file, damaged, or TorchScript.
    """
    path = Path(path)
    try:
        content = read_regular(path, MOST_WEIGHTS)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return _read_zip(content) if content.startswith(_ZIP) else _read_old(content)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except _DAMAGE as error:
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise CheckpointError(f"{path}: cannot be loaded as tensors alone ({reason})") from None


def _read_zip(content: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if any("/code/" in f"/{name}" or name.endswith("constants.pkl") for name in archive.namelist()):
            raise CheckpointError(
                "a TorchScript archive, which holds a program; save network.state_dict() with torch.save instead"
            )
        entries = stored_entries(archive, len(content))
        (pickled,) = (name for name in entries if name.rpartition("/")[2] == "data.pkl")
        folder = pickled.removesuffix("data.pkl")
        order = _ORDERS[archive.read(f"{folder}byteorder") if f"{folder}byteorder" in entries else b"little"]

        def storage(kind: str, key: str, count: int) -> _Stored:
            letter, dtype = _STORAGES[kind]
            values = np.frombuffer(archive.read(f"{folder}data/{key}"), order + letter)
            return _Stored(values, dtype)

        return _Machine(storage).run(io.BytesIO(archive.read(pickled)))


def _read_old(content: bytes) -> Any:
    """The layout of torch before 1.6: numbers come after what says how they are used, so that runs twice."""
    file = io.BytesIO(content)
    found: dict[str, tuple[str, int]] = {}

    def note(kind: str, key: str, count: int) -> _Stored:
        if count * np.dtype(_STORAGES[kind][0]).itemsize > len(content):
            raise ValueError(f"a storage of {count} numbers")
        found[key] = (kind, count)
        return _Stored(np.zeros(count, _STORAGES[kind][0]), _STORAGES[kind][1])

    if not content.startswith(_PROTOCOL) or _Machine(note).run(file) != _OLD:
        raise ValueError("torch.save did not write it")
    for _ in ("protocol", "system"):
        _Machine(note).run(file)
    start = file.tell()
    _Machine(note).run(file)
    stored: dict[str, _Stored] = {}
    for key in _Machine(note).run(file):
        letter, dtype = _STORAGES[found[key][0]]
        (count,) = np.frombuffer(file.read(8), "<i8")
        values = np.frombuffer(file.read(int(count) * np.dtype(letter).itemsize), f"<{letter}")
        if count != found[key][1] or len(values) != count:
            raise ValueError(f"storage {key} has {len(values)} of {found[key][1]} numbers")
        stored[key] = _Stored(values, dtype)
    file.seek(start)
    return _Machine(lambda kind, key, count: stored[key]).run(file)


class _Machine:
    """The pickle's stack machine, without its calls.

    Args:
        storage: gives the numbers of an entry, from the name of their class, the entry's key and how many they are.
    """

    def __init__(self, storage: Callable[[str, str, int], _Stored]) -> None:
        self.storage = storage
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, program: io.BytesIO) -> Any:
        """What the program leaves on the stack; the file is read up to the program's end."""
        for count, (code, argument, _) in enumerate(pickletools.genops(program)):
            if code.name == "STOP":
                return self.stack.pop()
            if count > _INSTRUCTIONS:
                raise ValueError("more than five million instructions")
            self.step(code.name, argument)
        raise ValueError("its pickle does not end")

    def step(self, name: str, argument: Any) -> None:
        """One instruction."""
        stack = self.stack
        if name in ("PROTO", "FRAME"):
            return
        if name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in _LITERALS:
            stack.append(argument)
        elif name == "MARK":
            stack.append(_MARK)
        elif name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memo[len(self.memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name in _FILLING:
            self._fill(self._top(_FILLING[name]) if name in ("SETITEM", "APPEND") else self._to_mark())
        else:
            stack.append(self._made(name, argument))

    def _fill(self, items: list[Any]) -> None:
        """Puts what was taken from the stack into the dictionary or list below it; what is foreign keeps nothing."""
        below = self.stack[-1]
        if isinstance(below, dict):
            below.update(zip(items[::2], items[1::2], strict=True))
        elif isinstance(below, list):
            below.extend(items)

    def _made(self, name: str, argument: Any) -> Any:
        """What an instruction makes of the values on top of the stack, which it takes away."""
        if name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            return tuple(self._top(int(name[-1])))
        if name == "TUPLE":
            return tuple(self._to_mark())
        if name in ("GLOBAL", "STACK_GLOBAL"):
            return Foreign(".".join(argument.split(" ") if name == "GLOBAL" else self._top(2)))
        if name == "BINPERSID":
            _, kind, key, _, count, *_ = self.stack.pop()
            name = kind.name.rpartition(".")[2]
            return self.storage(name, key, count) if name in _STORAGES else kind
        if name in ("REDUCE", "NEWOBJ"):
            what, arguments = self._top(2)
            return _called(what, arguments)
        if name == "BUILD":  # attributes of an object: an ordered dictionary's metadata, or of something foreign
            return self._top(2)[0]
        raise ValueError(f"it has the instruction {name}")

    def _top(self, count: int) -> list[Any]:
        if count > len(self.stack):
            raise ValueError("its pickle takes more than it has put down")
        taken = self.stack[-count:]
        del self.stack[-count:]
        return taken

    def _to_mark(self) -> list[Any]:
        taken = []
        while (value := self.stack.pop()) is not _MARK:
            taken.append(value)
        return taken[::-1]


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_FILLING = {"SETITEM": 2, "SETITEMS": 0, "APPEND": 1, "APPENDS": 0, "ADDITEMS": 0}
_EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_SET": list}
_LITERALS = {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINSTRING"}
_LITERALS |= {"SHORT_BINSTRING", "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"}


def _called(what: Any, arguments: tuple[Any, ...]) -> Any:
    """What a call in the file stands for."""
    name = what.name if isinstance(what, Foreign) else "?"
    if name == "collections.OrderedDict":
        return dict(*arguments)
    if name == "torch._utils._rebuild_tensor_v2":
        return _tensor(*arguments[:4])
    if name == "torch._utils._rebuild_parameter":
        return arguments[0]
    if name == "torch.Size":
        return tuple(arguments[0])
    return Foreign(name)


def _tensor(
    stored: _Stored | Foreign, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> torch.Tensor | Foreign:
    """A copy of the part of a storage that a tensor is; every number of it must be there."""
    if isinstance(stored, Foreign):
        return stored
    if len(size) != len(stride) or min((offset, *size, *stride)) < 0:
        raise ValueError(f"a tensor of shape {size} with strides {stride} at {offset}")
    count, last = math.prod(size), offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if count > len(stored.values) or (count and last >= len(stored.values)):
        raise ValueError(f"a tensor of shape {size} in a storage of {len(stored.values)} numbers")
    if not count:
        return torch.empty(size, dtype=stored.dtype)
    values, width = stored.values[offset:], stored.values.itemsize
    view = np.lib.stride_tricks.as_strided(values, size, [step * width for step in stride], writeable=False)
    copy = torch.from_numpy(view.astype(view.dtype.newbyteorder("="), order="C", copy=True))
    if stored.dtype == torch.bfloat16:
        return copy.view(torch.bfloat16)
    return copy.to(stored.dtype)

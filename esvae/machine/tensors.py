"""Tensors as safetensors, sealed: the file holds the SHA-256 of all its other bytes, so that a damaged one is noticed.

The seal stands in the header's metadata as 64 hexadecimal digits; it is the hash of the file with zeros in their place.
Files without any metadata, as others write them, have no seal and are read as they are.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from esvae.errors import CheckpointError
from esvae.machine.documents import parse_json
from esvae.machine.files import MOST_WEIGHTS, read_regular, write_bytes

__all__ = ["Tensors", "check_state", "load_tensors", "save_tensors"]

_SEAL = "sealed_sha256"
_OPEN = "0" * 64
_HASH = re.compile("[0-9a-f]{64}")
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_PLAIN = frozenset((*_FLOATS, torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64))


@dataclass(frozen=True)
class Tensors:
    """A file's content.

    Attributes:
        tensors: by name, on the CPU.
        metadata: texts by name, the seal left out.
        sha256: of the whole file.
    """

    tensors: dict[str, torch.Tensor]
    metadata: dict[str, str]
    sha256: str


def save_tensors(
    target: str | os.PathLike[str], tensors: dict[str, torch.Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes contiguous tensors that share no memory, and texts, whole or not at all.

    Raises:
        EsvaeError: the file cannot be written.
    """
    content = save(tensors, {**(metadata or {}), _SEAL: _OPEN})
    seal = hashlib.sha256(content).hexdigest()
    write_bytes(target, content.replace(f'"{_SEAL}":"{_OPEN}"'.encode(), f'"{_SEAL}":"{seal}"'.encode(), 1))


def load_tensors(path: str | os.PathLike[str]) -> Tensors:
    """Reads a file, and checks its seal where it has metadata.

    Raises:
        FileNotFoundError: no such file, for the caller to say what makes one.
        CheckpointError: not to be read, not safetensors, of a type that no network has, or not what was written.
    """
    try:
        content = read_regular(path, MOST_WEIGHTS)
        tensors = load(content)
        header = parse_json(content[8 : 8 + int.from_bytes(content[:8], "little")].decode())
        metadata = dict(header.get("__metadata__", {}))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (SafetensorError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path}: damaged, or not safetensors: {' '.join(str(error).split())[:100]}") from None
    if not _as_sealed(content, metadata):
        raise CheckpointError(f"{path}: damaged: its bytes are not those that were written")
    for name, value in tensors.items():
        if value.dtype not in _PLAIN:
            raise CheckpointError(f"{path}: '{name}' holds {value.dtype}, which no network here has")
    metadata.pop(_SEAL, None)
    return Tensors(tensors, metadata, hashlib.sha256(content).hexdigest())


def check_state(wanted: Mapping[str, torch.Tensor], found: Mapping[str, Any]) -> None:
    """Checks that a network of state ``wanted`` can take ``found``: names, shapes, kinds and finite numbers.

    Raises:
        CheckpointError: it cannot; says which tensor and why, for the caller to say of which file.
    """
    for name in sorted(wanted.keys() | found.keys()):
        if name not in found:
            raise CheckpointError(f"'{name}' is missing")
        if name not in wanted:
            raise CheckpointError(f"'{name}' is not part of the model")
        value, model = found[name], wanted[name]
        if not isinstance(value, torch.Tensor):
            raise CheckpointError(f"'{name}' is no tensor")
        if value.shape != model.shape:
            raise CheckpointError(f"'{name}' has shape {tuple(value.shape)}, expected {tuple(model.shape)}")
        if model.is_floating_point() and not value.is_floating_point():
            raise CheckpointError(f"'{name}' holds {value.dtype}, expected {model.dtype}".replace("torch.", ""))
        if not torch.isfinite(value).all():
            raise CheckpointError(f"'{name}' holds values that are not finite; train with a lower learning rate")
        if name.endswith("running_var") and (value < 0).any():
            raise CheckpointError(f"'{name}' holds negative variances")


def _as_sealed(content: bytes, metadata: dict[str, str]) -> bool:
    """Whether the bytes are those that were sealed, or there never was a seal."""
    if _SEAL not in metadata:
        return not any(_HASH.fullmatch(text) for text in metadata.values())  # the seal under a damaged name
    at = content.find(f'"{_SEAL}":"'.encode()) + len(_SEAL) + 4
    opened = hashlib.sha256(content[:at])
    opened.update(_OPEN.encode() + content[at + len(_OPEN) :])
    return opened.hexdigest() == metadata[_SEAL]

"""The state of an unfinished training in one file, whole or not at all: tensors as safetensors, the rest as JSON.

Nested dictionaries and lists, as the state dicts of torch's optimizers and Lightning's precision plugins are, go in and
come out as they were. No pickle is written or read.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch

from esvae.errors import CheckpointError
from esvae.machine.documents import parse_json
from esvae.machine.tensors import load_tensors, save_tensors

__all__ = ["load_state", "save_state"]

_KEY = "state"
_REMEDY = "train again from the beginning with --overwrite"


def save_state(path: str | os.PathLike[str], state: dict[str, Any]) -> None:
    """Writes ``state``: dictionaries with text or integer keys, lists, tuples, tensors, numbers, text, None.

    Raises:
        EsvaeError: the file cannot be written; the one that was there before is as it was.
        TypeError: a value of another kind.
    """
    tensors: dict[str, torch.Tensor] = {}
    skeleton = json.dumps(_pack(state, tensors))
    save_tensors(path, tensors, {_KEY: skeleton})


def load_state(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads what :func:`save_state` wrote, tensors on the CPU.

    Raises:
        CheckpointError: missing, damaged, or not such a file.
    """
    path = Path(path)
    try:
        found = load_tensors(path)
        state = _unpack(parse_json(found.metadata[_KEY]), found.tensors)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: {error.strerror}; {_REMEDY}") from None
    except CheckpointError as error:
        raise CheckpointError(f"{error}; {_REMEDY}") from None
    except (AttributeError, LookupError, TypeError, ValueError):
        state = None
    if not isinstance(state, dict):
        raise CheckpointError(f"{path}: damaged or not a checkpoint; {_REMEDY}")
    return state


def _pack(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        name = f"t{len(tensors)}"
        # A copy: safetensors refuses tensors that share memory.
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"tensor": name}
    if isinstance(value, dict):
        if not all(isinstance(key, str | int) for key in value):
            raise TypeError("a dictionary of a checkpoint has keys that are neither text nor integers")
        return {"dict": [[key, _pack(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [_pack(item, tensors) for item in value]}
    if value is None or isinstance(value, bool | int | float | str):
        return {"value": value}
    raise TypeError(f"{type(value).__name__} cannot go into a checkpoint")


def _unpack(packed: Any, tensors: dict[str, torch.Tensor]) -> Any:
    ((kind, content),) = packed.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _unpack(item, tensors) for key, item in content}
    if kind == "list":
        return [_unpack(item, tensors) for item in content]
    if kind == "tuple":
        return tuple(_unpack(item, tensors) for item in content)
    if kind == "value":
        return content
    raise ValueError(f"unknown kind {kind}")

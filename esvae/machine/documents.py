"""JSON of unknown origin: bounded in size and depth, numbers finite, one error for all that is wrong."""

from __future__ import annotations

import json
import math
import os
from typing import Any

from esvae.errors import DataError, EsvaeError
from esvae.machine.files import read_regular

__all__ = ["load_json", "parse_json"]

_JSON_BYTES = 256 << 20  # a checkpoint's or a sweep's, with room
_DEPTH = 64
_INTEGER_BITS = 64


def parse_json(text: str) -> Any:
    """Reads JSON.

    Raises:
        ValueError: not JSON, nested more than 64 deep, a key twice, or a number that is not finite or beyond 64 bits.
    """
    try:
        content = json.loads(text, object_pairs_hook=_once, **_NUMBERS)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    level = [content]
    for _ in range(_DEPTH):
        level = [item for group in level if isinstance(group, dict | list) for item in _items(group)]
        if not level:
            return content
    raise ValueError(f"nested more than {_DEPTH} deep")


def load_json(path: str | os.PathLike[str], *, error: type[EsvaeError] = DataError) -> Any:
    """Reads a file as :func:`parse_json` does.

    Raises:
        FileNotFoundError: no such file, for the caller to say what makes one.
        EsvaeError: ``error``, where it cannot be read or is no such JSON.
    """
    try:
        return parse_json(read_regular(path, _JSON_BYTES).decode())
    except FileNotFoundError:
        raise
    except OSError as reason:
        raise error(f"{path}: cannot be read ({reason.strerror})") from None
    except ValueError as reason:
        raise error(f"{path}: damaged: not valid JSON: {' '.join(str(reason).split())[:200]}") from None


def _items(group: dict[str, Any] | list[Any]) -> Any:
    return group.values() if isinstance(group, dict) else group


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _finite(digits: str) -> float:
    if not math.isfinite(value := float(digits)):
        raise ValueError(f"{digits[:20]} is too large")
    return value


def _bounded(digits: str) -> int:
    if len(digits) > 20 or (value := int(digits)).bit_length() > _INTEGER_BITS:
        raise ValueError(f"{digits[:20]}... is too large")
    return value


_NUMBERS: Any = {"parse_constant": _refused, "parse_float": _finite, "parse_int": _bounded}

"""What a simulation gives back: states of each layer after each step, by name, and where two runs part."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from esvae.errors import DataError
from esvae.files import atomic_path

__all__ = ["Trace", "first_difference", "named_traces", "save_traces"]


@dataclass(frozen=True, eq=False)
class Trace:
    """State of one layer after each step; all arrays ``(images, steps, *layer shape)``.

    Attributes:
        u: current, integer.
        v: membrane potential after the reset of neurons that fired, integer.
        s: spikes, 0 or 1.
    """

    u: np.ndarray
    v: np.ndarray
    s: np.ndarray


def named_traces(traces: Sequence[Trace]) -> dict[str, np.ndarray]:
    """``layer{k}.u``, ``.v`` and ``.s`` by name, k counting the layers with neurons from 0 in file order."""
    return {f"layer{k}.{name}": getattr(trace, name) for k, trace in enumerate(traces) for name in ("u", "v", "s")}


def save_traces(target: str | os.PathLike[str], traces: Mapping[str, np.ndarray]) -> None:
    """Writes named traces as a compressed ``.npz``, whole or not at all; states as int32, spikes as uint8."""
    arrays: dict[str, Any] = {
        name: values.astype(np.uint8 if name.endswith(".s") else np.int32) for name, values in traces.items()
    }
    with atomic_path(Path(target)) as temporary, temporary.open("wb") as handle:
        np.savez_compressed(handle, **arrays)


def first_difference(
    expected: Mapping[str, np.ndarray], got: Mapping[str, np.ndarray]
) -> tuple[str, tuple[int, ...], int, int] | None:
    """Where two sets of named traces part: name, index ``(image, step, *neuron)``, expected value, got value.

    Names are taken in the order of ``expected`` with the spikes of each layer first, and within one the earliest
    step of the earliest image.  None where all are equal.

    Raises:
        DataError: a name is missing or a shape differs.
    """
    order = sorted(expected, key=lambda name: (_layer_number(name), "suv".index(name[-1])))
    for name in order:
        if name not in got or got[name].shape != expected[name].shape:
            shape = got[name].shape if name in got else None
            raise DataError(f"trace {name}: expected shape {expected[name].shape}, got {shape}")
        wrong = np.argwhere(expected[name] != got[name])
        if len(wrong):
            at = tuple(int(i) for i in wrong[0])
            return name, at, int(expected[name][at]), int(got[name][at])
    return None


def _layer_number(name: str) -> int:
    digits = name.partition(".")[0].removeprefix("layer")
    return int(digits) if digits.isdecimal() else 0

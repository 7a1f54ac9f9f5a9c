"""What a simulation gives back, and the check that spikes fit the network that they enter."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from esvae.errors import DataError
from esvae.files import atomic_path
from export.ir import Network

__all__ = ["Trace", "check_spikes", "first_difference", "named_traces", "save_traces"]


@dataclass(frozen=True, eq=False)
class Trace:
    """State of one layer after each step, aligned by sample; all arrays ``(images, steps, *layer shape)``.

    Attributes:
        u: current, integer.
        v: membrane potential after the reset of neurons that fired, integer.
        s: spikes, 0 or 1.
    """

    u: np.ndarray
    v: np.ndarray
    s: np.ndarray


def check_spikes(network: Network, spikes: np.ndarray) -> np.ndarray:
    """Returns ``spikes`` as uint8 ``(images, steps, *input shape)``.

    A latent ``(images, steps, features)`` raster is taken by a network whose input is ``(features, 1, 1)`` too.

    Raises:
        DataError: wrong number of axes, wrong sizes, empty, or values other than 0 and 1.
    """
    spikes = np.asarray(spikes)
    wanted = network.input_shape
    if wanted[1:] == (1, 1) and spikes.ndim == 3:
        spikes = spikes[..., None, None]
    if spikes.shape[2:] != wanted or 0 in spikes.shape[:2]:
        axes = ", ".join(map(str, wanted))
        raise DataError(f"input spikes have shape {spikes.shape}, expected (images, steps, {axes}), none empty")
    if spikes.dtype.kind not in "iubf" or not np.isin(spikes, (0, 1)).all():
        raise DataError("input spikes must be 0 or 1; binarize them first")
    return spikes.astype(np.uint8, copy=False)


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

"""What a simulation gives back: states of each layer after each step, by name, and where two runs part."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from esvae.arrays import Bool, Integer, Shaped
from esvae.errors import ConfigError, DataError
from esvae.machine.files import write_bytes
from esvae.machine.hdf5 import hdf5_storage
from export.ir import Network

__all__ = ["Trace", "first_difference", "named_traces", "save_traces", "trace_writer"]


@dataclass(frozen=True, eq=False)
class Trace:
    """State of one layer after each step.

    Attributes:
        u: current, integer; of sigma-delta neurons ``sigma``.
        v: membrane potential after the reset of neurons that fired, integer; of sigma-delta neurons ``act``.
        s: spikes, 0 or 1; of sigma-delta neurons the messages, integer.
    """

    u: Integer[np.ndarray, "images steps *layer"]
    v: Integer[np.ndarray, "images steps *layer"]
    s: Integer[np.ndarray, "images steps *layer"] | Bool[np.ndarray, "images steps *layer"]

    def __repr__(self) -> str:
        images, steps, *shape = self.s.shape
        return f"Trace(u, v, s: images={images}, steps={steps}, {'x'.join(map(str, shape))})"


def named_traces(traces: Sequence[Trace], network: Network) -> dict[str, Shaped[np.ndarray, "images steps *_layer"]]:
    """The states by name: of ``layer 3 (conv)`` they are ``layer3.u``, ``.v`` and ``.s``.

    Args:
        traces: of each layer with neurons, in file order.
        network: whose.
    """
    named = zip(network.array_names, traces, strict=True)
    return {f"{layer}.{name}": getattr(trace, name) for layer, trace in named for name in ("u", "v", "s")}


#: Names of trace files that are HDF5 and written piece by piece; all others are ``.npz``, written at once.
_HDF5_SUFFIXES = (".h5", ".hdf5")


@contextmanager
def trace_writer(
    target: str | os.PathLike[str], images: int
) -> Iterator[Callable[[Mapping[str, Shaped[np.ndarray, "images steps *_layer"]]], None]]:
    """Gives a function that takes the named traces of the next images, until ``images`` are written.

    An ``.h5`` file holds one data set a name, ``(images, steps, *layer shape)``, in compressed chunks of one image, and
    takes no more memory than the images that are given at a time. An ``.npz`` file is written at the end. States and
    messages are int32, spikes uint8. The file appears whole or not at all.

    Raises:
        ConfigError: a name that ends in neither ``.npz`` nor ``.h5``.
    """
    suffix = Path(target).suffix.lower()
    if suffix == ".npz":
        pieces: list[dict[str, np.ndarray]] = []
        yield lambda traces: pieces.append(_compact(traces))
        arrays: dict[str, Any] = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
        packed = io.BytesIO()  # a zip file that cannot be closed, as on a full disk, would tell of it twice
        np.savez_compressed(packed, **arrays)
        write_bytes(target, packed.getbuffer())
        return
    if suffix not in _HDF5_SUFFIXES:
        raise ConfigError(f"trace file {target}: expected a name that ends in .npz or .h5")
    with hdf5_storage(target) as storage, h5py.File(storage, "w") as file:
        done = 0

        def append(traces: Mapping[str, np.ndarray]) -> None:
            nonlocal done
            count = 0
            for name, values in _compact(traces).items():
                count, shape = len(values), values.shape[1:]
                if name not in file:
                    options = {"chunks": (1, *shape), "compression": "gzip", "compression_opts": 1, "shuffle": True}
                    file.create_dataset(name, (images, *shape), values.dtype, **options)
                file[name][done : done + count] = values
                storage.check()
            done += count

        yield append


def _compact(traces: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """States and messages as int32, spikes as uint8, which they come as, or as truth values."""
    kept = {np.dtype(bool): np.uint8, np.dtype(np.uint8): np.uint8}
    return {name: x.astype(kept.get(x.dtype, np.int32), copy=False) for name, x in traces.items()}


def save_traces(
    target: str | os.PathLike[str], traces: Mapping[str, Shaped[np.ndarray, "images steps *_layer"]]
) -> None:
    """Writes named traces as ``.npz`` or ``.h5`` by the name of ``target``, whole or not at all."""
    with trace_writer(target, len(next(iter(traces.values())))) as append:
        append(traces)


def first_difference(
    expected: Mapping[str, Shaped[np.ndarray, "_images _steps *_layer"]],
    got: Mapping[str, Shaped[np.ndarray, "_images _steps *_layer"]],
) -> tuple[str, tuple[int, ...], int, int] | None:
    """Where two sets of named traces part: name, index ``(image, step, *neuron)``, expected value, got value.

    Layers are taken in the order of ``expected`` with the spikes of each first, and within one the earliest step of the
    earliest image.  None where all are equal.

    Raises:
        DataError: a name is missing or a shape differs.
    """
    layers = list(dict.fromkeys(map(_layer, expected)))
    order = sorted(expected, key=lambda name: (layers.index(_layer(name)), "suv".index(name[-1])))
    for name in order:
        if name not in got:
            raise DataError(f"trace {name}: there is none; there are {', '.join(got) or 'no traces'}")
        if got[name].shape != expected[name].shape:
            raise DataError(f"trace {name}: expected shape {expected[name].shape}, got {got[name].shape}")
        wrong = np.argwhere(expected[name] != got[name])
        if len(wrong):
            at = tuple(int(i) for i in wrong[0])
            return name, at, int(expected[name][at]), int(got[name][at])
    return None


def _layer(name: str) -> str:
    return name.partition(".")[0]

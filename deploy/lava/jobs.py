"""What can be run in Lava; every kind of job is carried out in the same way (see ``run.py``)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deploy.lava.graph import Graph
from deploy.lava.inside.messages import GraphWork, SamplesWork, WindowsWork
from deploy.lava.rates import Rates
from esvae.errors import DataError, NetFileError
from export.ir.labels import OWN, array_name, label
from sim.stimulus import Stimulus

__all__ = ["GraphJob", "LavaJob", "PowerOn", "SamplesJob", "WindowsJob"]

Arrays: TypeAlias = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class PowerOn:
    """Nothing enters: so many images of so many steps, of which the first begins ``start`` steps after power-on."""

    images: int
    steps: int
    start: int


@dataclass(frozen=True, eq=False)
class WindowsJob:
    """Whole windows through a whole ``.net`` file in stock netx.

    All images run back to back in one Lava run, each layer reset at the start of each image's window.

    Attributes:
        net: the file.
        entering: spikes, 0/1 in a boolean or integer dtype, ``(images, steps, features)`` or ``(images, steps, C, H,
            W)``; or the rates at which a sampler in the graph fires, whose spikes are then traced as ``latent.s`` and
            whose images are read by a process in the graph; or nothing, where the file draws by itself: its traces
            are those of one long sample from power-on, ``(1, total, ...)``.
        trace: record u, v and s of every layer at every step, too.
        sparse: have netx load dense layers as sparse ones (``sparse_fc_layer``).
        within: what the labels of its layers begin with, by which traces and messages call them.

    Raises:
        DataError: spikes that are not 0/1 of such a shape.
    """

    net: str | os.PathLike[str]
    entering: NDArray[Any] | Rates | PowerOn
    trace: bool = False
    sparse: bool = False
    within: str = OWN
    builder = "netx"

    def __post_init__(self) -> None:
        if not isinstance(self.entering, Rates | PowerOn):
            object.__setattr__(self, "entering", _checked(self.entering))

    @property
    def about(self) -> Path:
        """What is run, for messages."""
        return Path(self.net).absolute()

    def check(self) -> None:
        """Raises NetFileError where there is no such file."""
        _check_file(self.net)

    def write(self, folder: Path) -> WindowsWork:
        """Writes the arrays into a folder, and says what is to be done with them."""
        entering, start = self.entering, None
        if isinstance(entering, PowerOn):
            images, steps, start, *sample = entering.images, entering.steps, entering.start, 1
        elif isinstance(entering, Rates):
            images, steps, *sample = entering.images, entering.steps, *entering.states.shape[1:]
        else:
            images, steps, *sample = entering.shape
        return WindowsWork(
            str(folder),
            images,
            steps,
            self.trace,
            net=str(self.about),
            sparse=self.sparse,
            sample=tuple(sample),
            spikes=_saved(folder, entering) if isinstance(entering, np.ndarray) else None,
            sampler=entering.write(folder) if isinstance(entering, Rates) else None,
            **_called(self.within),
            start=start,
        )

    def shaped(self, arrays: Arrays) -> Arrays:
        """Lava's arrays in the shapes that the caller knows: as they are."""
        return arrays


@dataclass(frozen=True, eq=False)
class SamplesJob:
    """A stimulus for any ``.net`` file in stock netx, one sample after the other, each from rest.

    Attributes:
        net: the file.
        stimulus: spikes or images, resets, either clock; checked against the network (see
            :func:`sim.stimulus.as_stimulus`).
        layers: how many of the file's layer groups netx builds, or None for all.
        trace: record u, v and s of every layer at every step, too.
        sparse: have netx load dense layers as sparse ones.
        within: as in :class:`WindowsJob`.
    """

    net: str | os.PathLike[str]
    stimulus: Stimulus
    layers: int | None = None
    trace: bool = False
    sparse: bool = False
    within: str = OWN
    builder = "netx"

    @property
    def about(self) -> Path:
        """What is run, for messages."""
        return Path(self.net).absolute()

    def check(self) -> None:
        """Raises NetFileError where there is no such file."""
        _check_file(self.net)

    def write(self, folder: Path) -> SamplesWork:
        """Writes the arrays into a folder, and says what is to be done with them."""
        given, timing = self.stimulus, self.stimulus.timing
        return SamplesWork(
            str(folder),
            len(given),
            given.steps,
            self.trace,
            net=str(self.about),
            sparse=self.sparse,
            layers=self.layers,
            entering=_saved(folder, given.values),
            driven=given.images is not None,
            framed=given.framed,
            reset_interval=timing.reset_interval,
            reset_offset=timing.reset_offset,
            stagger=timing.stagger,
            **_called(self.within),
        )

    def shaped(self, arrays: Arrays) -> Arrays:
        """Lava's arrays in the shapes that the caller knows: as they are."""
        return arrays


@dataclass(frozen=True, eq=False)
class GraphJob:
    """A graph of the project's own making: no netx, no ``.net`` file, no dense array.

    Attributes:
        graph: see :mod:`deploy.lava.graph`.
        about: what is run, for messages.
        trace: record u, v and s of every layer, and s of the sampler, at every step.
        target: ``cpu``, or ``loihi2`` for a board.
    """

    graph: Graph
    about: str | os.PathLike[str] = "the network"
    trace: bool = False
    target: str = "cpu"
    builder = "Lava"

    def check(self) -> None:
        """Nothing: a graph was checked when it was made."""

    def write(self, folder: Path) -> GraphWork:
        """Writes the arrays into a folder, and says what is to be done with them."""
        return self.graph.write(folder, trace=self.trace, target=self.target)

    def shaped(self, arrays: Arrays) -> Arrays:
        """Lava's arrays in our shapes: ``(images, steps, *layer shape)``, the readout without steps."""
        graph, found = self.graph, {}
        for name, values in arrays.items():
            if name == "readout":
                found[name] = values.reshape(graph.images, *graph.shapes[graph.last])
            else:
                found[name] = values.reshape(graph.images, graph.steps, *graph.shapes[name.partition(".")[0]])
        return found


LavaJob: TypeAlias = WindowsJob | SamplesJob | GraphJob


def _called(within: str) -> dict[str, str]:
    """How layers and their arrays are called, which the file's groups fill in."""
    template = label("{number}", "{kind}", within=within)
    return {"label": template, "array": array_name(template)}


def _check_file(net: str | os.PathLike[str]) -> None:
    if not Path(net).is_file():
        raise NetFileError(f"{net}: no such file")


def _saved(folder: Path, values: NDArray[Any]) -> str:
    """Writes what enters; gives the path."""
    np.save(folder / "entering.npy", values)
    return str(folder / "entering.npy")


def _checked(latents: NDArray[Any]) -> NDArray[np.uint8]:
    array = np.asarray(latents)
    if array.ndim not in (3, 5):
        raise DataError(
            f"latents have shape {array.shape}; expected (images, steps, features) or (images, steps, C, H, W)"
        )
    if array.dtype.kind not in "bui":
        raise DataError(f"latents have dtype {array.dtype}; expected bool or an integer dtype: use .astype('uint8')")
    if 0 in array.shape:
        raise DataError(f"latents have shape {array.shape}; expected at least one image, one step and one feature")
    if array.min() < 0 or array.max() > 1:
        raise DataError(f"latents range from {array.min()} to {array.max()}; expected spikes, 0 or 1")
    return array.astype(np.uint8)

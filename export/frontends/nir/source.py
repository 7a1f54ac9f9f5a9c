"""The frontend for NIR graphs (neuroir.org), as snnTorch, SpikingJelly, Norse, Sinabs and Rockpool write them.

What is taken, folded and refused is listed in ``docs/frontends.md``; how each framework means its files, in
:mod:`export.frontends.nir.convention`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from esvae.errors import ConfigError, NetFileError
from export.frontends.nir.build import built
from export.frontends.nir.chain import NEURONS_OF_NIR, chain
from export.frontends.nir.convention import RESETS, Reset, TimeStep, time_step
from export.ir import ImageReadout, Shape
from export.ir.floats import FloatNetwork
from export.nir.read import NirGraph, NirNode, read_graph

__all__ = ["NirMeaning", "NirSource", "from_nir", "read_nir"]


@dataclass(frozen=True)
class NirMeaning:
    """What a file leaves open, as far as it is known.

    Attributes:
        dt: the time step, in the units of the graph's time constants; guessed from its gains where None.
        reset: what a spike does to the potential: ``zero``, or ``subtract`` the threshold; zero where None, with a
            warning.
        written_by: a key of :data:`~export.frontends.nir.convention.WRITERS`; guessed where None.
        time_steps: how long an input lasts, where that is fixed; a readout that sums without a leak needs it.
    """

    dt: float | None = None
    reset: Reset | None = None
    written_by: str | None = None
    time_steps: int | None = None


@dataclass(frozen=True, eq=False)
class NirSource:
    """What was made of a graph.

    Attributes:
        network: the float network.
        step: the time step, and how it was found.
        warnings: what the file does not say, and how it was taken.
        notes: how it was read, and what was added.
    """

    network: FloatNetwork
    step: TimeStep
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


def from_nir(
    graph: str | os.PathLike[str] | Any,
    *,
    dt: float | None = None,
    reset: Reset | None = None,
    written_by: str | None = None,
    time_steps: int | None = None,
) -> FloatNetwork:
    """The float network of a NIR graph; :func:`read_nir` says what was assumed, too.

    Args:
        graph: a ``.nir`` file, or a ``nir.NIRGraph``.
        dt, reset, written_by, time_steps: see :class:`NirMeaning`.

    Raises:
        NetFileError: no such file, no NIR graph, or shapes that do not fit together.
        UnsupportedLayerError: a node or an edge that has no counterpart; says which, why, and what to do.
        ConfigError: a time step that cannot be told, or that is too large.

    Example: see ``docs/frontends.md``.
    """
    return read_nir(graph, NirMeaning(dt, reset, written_by, time_steps)).network


def read_nir(graph: str | os.PathLike[str] | Any, meaning: NirMeaning = NirMeaning()) -> NirSource:
    """As :func:`from_nir`, with what was assumed."""
    if meaning.reset is not None and meaning.reset not in RESETS:
        raise ConfigError(f"reset {meaning.reset}: expected {', '.join(RESETS)}")
    found = read_graph(graph)
    first, stages = chain(found)
    nodes = [stage.node for stage in stages]
    neurons = [node for node in nodes if node.kind in NEURONS_OF_NIR]
    step = time_step(neurons, found.metadata, meaning.dt, meaning.written_by)
    layers = built(stages, _input_shape(first, nodes), step, meaning.reset or "zero")
    steps = meaning.time_steps if meaning.time_steps is not None else _steps(found)
    provenance = {"source": "NIR", "nir dt": f"{step.dt:g}, {step.reason}", "nir written by": step.written_by}
    if isinstance(graph, str | os.PathLike):
        provenance["name"] = Path(graph).stem
    network = FloatNetwork(layers.input_shape, layers.layers, steps, provenance=provenance)
    network, unread = _with_picture(network, found)
    warnings = (*_unsaid(step, neurons, meaning), *unread)
    return NirSource(network, step, warnings, (*_read_as(step, meaning), *layers.notes))


def _unsaid(step: TimeStep, neurons: list[NirNode], meaning: NirMeaning) -> Iterator[str]:
    if not step.sure:
        yield f"dt {step.dt:g} is a guess, {step.reason}; give it with --dt"
    if meaning.reset is None and any("v_threshold" in node.values for node in neurons):
        yield (
            "spikes reset the potential, as the file says; it cannot say that they subtract the threshold instead, as "
            "snnTorch's, Sinabs' and Rockpool's do by default; give --reset zero or --reset subtract"
        )
    if meaning.reset == "subtract" and meaning.written_by is None and step.written_by == "nir":
        yield (
            "what a spike leaves of the potential leaks at once, as NIR has it; snnTorch takes the threshold a step "
            "later, and Sinabs' decays are exponential: give --written-by"
        )


def _read_as(step: TimeStep, meaning: NirMeaning) -> Iterator[str]:
    if meaning.dt is None and step.sure:
        yield f"dt {step.dt:g}: {step.reason}"
    yield f"read as written by {step.written_by}"
    if step.convention.several:
        yield (
            "a neuron fires at most once in a step, where Sinabs and Rockpool count several spikes if the potential is "
            "a multiple of the threshold"
        )


def _steps(graph: NirGraph) -> int | None:
    held = np.asarray(graph.metadata.get("time_steps", ()), np.float64).reshape(-1)
    return int(held[0]) if held.size == 1 and held[0] >= 1 else None


def _with_picture(network: FloatNetwork, graph: NirGraph) -> tuple[FloatNetwork, tuple[str, ...]]:
    """With the readout that this project's own files say, or a warning why it is left out."""
    if "image_shape" not in graph.metadata:
        return network, ()
    held = [graph.metadata.get(key) for key in ("image_shape", "unit", "upscale")]
    numbers = [value.reshape(-1) for value in held if isinstance(value, np.ndarray)]
    if [value.size for value in numbers] != [3, 1, 1] or not all(np.isfinite(value).all() for value in numbers):
        return network, ("metadata: expected image_shape, unit and upscale as numbers; the picture is left out",)
    shape, (unit,), (upscale,) = numbers
    picture = ImageReadout(float(unit), tuple(int(n) for n in shape), int(upscale))
    try:
        return replace(network, readout=picture), ()
    except NetFileError as error:
        return network, (f"metadata: {error}; the picture is left out",)


#: Axes of what enters nodes that say it.
_AXES = {"Conv2d": 3, "SumPool2d": 3, "AvgPool2d": 3, "Flatten": 3, "Conv1d": 2, "Linear": 1, "Affine": 1}


def _input_shape(first: NirNode, nodes: list[NirNode]) -> Shape:
    """What enters, as the first node that says so takes it: without the axes of a batch, or of time, before it."""
    where = f"node '{first.name}' (Input)"
    declared = first.array("shape").reshape(-1) if "shape" in first.values else np.ones(0)
    if (declared < 1).any() or (declared != np.rint(declared)).any():
        raise NetFileError(f"{where}: {declared.tolist()[:6]} is no shape")
    shape = tuple(int(n) for n in declared)
    taker = next((node for node in nodes if node.kind in _AXES), None)
    axes = 3 if taker is None else _AXES[taker.kind]
    if axes == 1 and taker is not None:
        weight = taker.array("weight")
        if weight.ndim == 2 and (not shape or weight.shape[1] in (shape[-1], math.prod(shape))):
            return (int(weight.shape[1]),)
    while len(shape) > axes and shape[0] == 1:
        shape = shape[1:]
    if axes == 2 and len(shape) == 2:  # (C, L): a map that is one pixel high
        return (shape[0], 1, shape[1])
    if len(shape) == 2 and taker is not None and taker.kind == "Flatten":
        return (1, *shape)
    if len(shape) in (1, 3):
        return shape
    raise NetFileError(f"{where}: shape {shape}, expected (features,) or (C, H, W)")

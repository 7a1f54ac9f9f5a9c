"""Runs a graph of the project's own making in Lava: no netx, no ``.net`` file, no dense array."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from deploy.lava.graph import Graph
from deploy.lava.runner import LavaProgress, LavaRun, carry_out

__all__ = ["run_graph"]


def run_graph(
    graph: Graph,
    *,
    about: str | os.PathLike[str] = "the network",
    trace: bool = False,
    target: str = "cpu",
    stall_timeout: float = 60.0,
    progress: Callable[[LavaProgress], None] | None = None,
    python: str | os.PathLike[str] | None = None,
) -> LavaRun:
    """Runs a graph from its first time step to its last.

    Args:
        graph: see :mod:`deploy.lava.graph`.
        about: what is run, for error messages.
        trace: record u, v and s of every layer, and s of the sampler, at every step.
        target: ``cpu``, or ``loihi2`` for a board.
        stall_timeout, progress, python: as for :func:`~deploy.lava.runner.run_lava`.

    Returns:
        As :func:`~deploy.lava.runner.run_lava`; arrays have our shapes, ``(images, steps, *layer shape)``.

    Raises:
        LavaError: as there.
    """

    def fill(scratch: Path) -> dict[str, Any]:
        return {"loader": "native", "readout": target == "cpu", **graph.write(scratch)}

    run = carry_out(
        fill,
        about,
        trace=trace,
        target=target,
        stall_timeout=stall_timeout,
        progress=progress,
        python=python,
    )
    last = graph.nodes[-1]["name"]
    traces = run.trace
    if traces is not None:
        shapes = {name: graph.shapes[name.partition(".")[0]] for name in traces}
        traces = {name: values.reshape(graph.images, graph.steps, *shapes[name]) for name, values in traces.items()}
    return replace(run, readout=run.readout.reshape(graph.images, *graph.shapes[last]), trace=traces)

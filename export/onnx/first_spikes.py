"""What the first spikes of pixels stand for, as operators of a graph; the same numbers as :mod:`sim.readout` gives."""

from __future__ import annotations

import math

import numpy as np

from export.ir import Shape, SpikeReadout
from export.onnx.graph import OnnxGraph
from export.onnx.sums import sliced

__all__ = ["potentials_told"]


def potentials_told(graph: OnnxGraph, raster: str, told: SpikeReadout, steps: int, shape: Shape) -> str:
    """The potentials at the end of images, int32 ``(images, *shape)``.

    Args:
        graph: gets the operators.
        raster: of the last layer, ``(steps, images, *shape)``.
        told: what each time of a first spike stands for.
        steps: the window.
        shape: of the last layer.
    """
    neurons = math.prod(shape)
    rows = graph.reshape(graph.cast(raster, np.int32), (steps, -1, neurons))
    image, phase = (sliced(graph, rows, (span,), axes=(0,)) for span in ((0, steps - told.steps), (-told.steps, steps)))
    before = graph.op("ReduceMax", image, graph.constant([0], np.int64), keepdims=1)
    ever = graph.op("Max", before, graph.constant(1, np.int32))
    first = graph.op("ArgMax", graph.op("Concat", before, phase, ever, axis=0), axis=0, keepdims=0)
    levels = np.repeat(told.levels, neurons // len(told.levels), axis=0).T  # channels outermost
    found = graph.op("GatherElements", graph.constant(levels, np.int32), first, axis=0)
    return graph.reshape(found, (-1, *shape))

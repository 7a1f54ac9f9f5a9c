"""Pictures of traces: spikes and membrane potentials of one layer over the steps of an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from deploy.view.style import COLOURS, axes_or_new, line, step_axis

__all__ = ["membrane_axes", "raster_axes"]


def raster_axes(spikes: np.ndarray, title: str, ax: Axes | None = None) -> Axes:
    """A dot for each spike; ``spikes`` is ``(steps, neurons)``, steps are counted from 1, neurons from 0."""
    axis = axes_or_new(ax)
    steps, neurons = np.nonzero(spikes)
    axis.scatter(steps + 1, neurons, s=4, marker="|", color=COLOURS[0], linewidths=1.5)
    axis.set_ylim(-0.5, spikes.shape[1] - 0.5)
    axis.set_ylabel("neuron")
    _over_steps(axis, len(spikes), title)
    return axis


def membrane_axes(potentials: np.ndarray, neurons: Sequence[int], title: str, ax: Axes | None = None) -> Axes:
    """A line for each neuron; ``potentials`` is ``(steps, neurons)``, integers of the chip's register."""
    axis = axes_or_new(ax)
    for k, neuron in enumerate(neurons):
        axis.plot(np.arange(1, len(potentials) + 1), potentials[:, k], **line(k, f"neuron {neuron}"))
    axis.set_ylabel("membrane potential, register units")
    axis.legend(frameon=False)
    _over_steps(axis, len(potentials), title)
    return axis


def _over_steps(axis: Axes, steps: int, title: str) -> None:
    step_axis(axis, steps)
    axis.set_title(title)

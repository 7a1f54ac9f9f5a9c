"""Feeds an image to the first layer as a constant current, step after step: direct coding."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class CurrentSource(AbstractProcess):  # type: ignore[misc]
    """Sends each image's currents at every step of its window, and nothing before the first or after the last.

    A neuron whose current has no memory adds what arrives here as it would add a bias of that mantissa.

    Args:
        currents: whole numbers, ``(images, neurons)``.
        steps: window of an image.
        first: time step, from 1, at which the first image starts.
    """

    def __init__(self, *, currents: np.ndarray, steps: int, first: int) -> None:
        super().__init__(steps=steps, first=first)
        self.currents = Var(shape=currents.shape, init=currents)
        self.a_out = OutPort(shape=currents.shape[1:])


@implements(proc=CurrentSource, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt", "bit_accurate_loihi")
class PyCurrentSourceModel(PyLoihiProcessModel):  # type: ignore[misc]
    """A look-up by time step."""

    currents: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=13)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=13)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.steps = int(proc_params["steps"])
        self.first = int(proc_params["first"])

    def run_spk(self) -> None:
        """Sends the currents of the image whose window this time step lies in."""
        image = (int(self.time_step) - self.first) // self.steps
        inside = 0 <= image < len(self.currents)
        self.a_out.send(self.currents[image] if inside else np.zeros(self.currents.shape[1], np.int32))

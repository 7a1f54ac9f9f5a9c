"""Delivers the membrane potential of a layer once an image, when its window ends, instead of at every step."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyRefPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class Readout(AbstractProcess):  # type: ignore[misc]
    """Reads ``v`` of the neurons that it is connected to after the last step of each window.

    Args:
        shape: of the layer.
        steps: window of an image.
        first: time step, from 1, of the layer's first window's first step.
        record: an existing ``.npy`` file ``(images, *shape)`` that each image's potentials are written to.
    """

    def __init__(self, *, shape: tuple[int, ...], steps: int, first: int, record: str) -> None:
        super().__init__(steps=steps, first=first, record=record)
        self.v = RefPort(shape=shape)


@implements(proc=Readout, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt", "bit_accurate_loihi")
class PyReadoutModel(PyLoihiProcessModel):  # type: ignore[misc]
    """Asks for Lava's management phase at the end of a window alone; the other steps go on without a pause."""

    v: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32, precision=24)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.steps = int(proc_params["steps"])
        self.first = int(proc_params["first"])
        self.record = np.lib.format.open_memmap(proc_params["record"], mode="r+")

    def post_guard(self) -> bool:
        """Whether a window ends with this time step."""
        images, rest = divmod(int(self.time_step) - self.first + 1, self.steps)
        return rest == 0 and 0 < images <= len(self.record)

    def run_post_mgmt(self) -> None:
        """Writes the potentials of the image whose window has ended."""
        self.record[(int(self.time_step) - self.first) // self.steps] = self.v.read()

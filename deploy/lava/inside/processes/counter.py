"""Counts spikes over each image's window and hands the count over as a rate code: the posterior of the autoencoder."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class RateCounter(AbstractProcess):  # type: ignore[misc]
    """Counts ``s_in`` from the first step of a window on; ``rate_out`` is ``count * 2^rate_bits // steps`` so far.

    Args:
        shape: of the spikes.
        steps: window of an image; the count starts anew with each.
        rate_bits: fractional bits of the rate code.
        first: time step, from 1, of the first window's first step.
    """

    def __init__(self, *, shape: tuple[int, ...], steps: int, rate_bits: int, first: int) -> None:
        super().__init__(steps=steps, rate_bits=rate_bits, first=first)
        self.s_in = InPort(shape=shape)
        self.rate_out = OutPort(shape=shape)
        self.count = Var(shape=shape, init=0)


@implements(proc=RateCounter, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt", "bit_accurate_loihi")
class PyRateCounterModel(PyLoihiProcessModel):  # type: ignore[misc]
    """One small counter a neuron, and a division by the window's length, which is a shift where it is a power of 2."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=1)
    rate_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=17)
    count: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=16)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.steps = int(proc_params["steps"])
        self.rate_bits = int(proc_params["rate_bits"])
        self.first = int(proc_params["first"])

    def run_spk(self) -> None:
        """Adds this time step's spikes; the code that goes out after a window's last step is the image's."""
        if (int(self.time_step) - self.first) % self.steps == 0:
            self.count[:] = 0
        self.count += self.s_in.recv().astype(np.int32)
        self.rate_out.send(((self.count.astype(np.int64) << self.rate_bits) // self.steps).astype(np.int32))

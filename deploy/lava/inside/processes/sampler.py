"""The samplers as a Lava process: rate codes go in, spikes come out, by integers alone.

Each neuron has a 32 bit Galois linear feedback shift register, which gives numbers ``x`` of ``rate_bits`` bits.
Poisson: at each step the neuron spikes iff the next ``x`` is below its code. Systematic: an integrate-and-fire neuron
that starts from one ``x``. ``sim/sampler.py`` is the definition; the registers' first states and the taps come from
there.
"""

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


class RateSampler(AbstractProcess):  # type: ignore[misc]
    """Spikes at rates that are given for each image, or that another process counts.

    Args:
        states: of the registers at the start of each image, none zero, ``(images, neurons)``.
        codes: rate codes 0 to ``2^rate_bits``, ``(images, neurons)``; None to take them from ``rate_in``, where they
            must be the step before an image starts.
        shape: of the spikes, in Lava's axis order; neurons are counted with the last axis slowest.
        steps: window of an image.
        rate_bits: by which the registers advance for each number.
        taps: of the registers.
        systematic: spikes evenly spaced from a random start, instead of each drawn anew.
        first: time step, from 1, at which the first image starts; silent before it and after the last image.
    """

    def __init__(
        self,
        *,
        states: np.ndarray,
        codes: np.ndarray | None,
        shape: tuple[int, ...],
        steps: int,
        rate_bits: int,
        taps: int,
        systematic: bool,
        first: int,
    ) -> None:
        given = {"steps": steps, "rate_bits": rate_bits, "taps": taps, "systematic": systematic, "first": first}
        super().__init__(counted=codes is None, out_shape=shape, **given)
        self.states = Var(shape=states.shape, init=states)
        self.codes = Var(shape=states.shape, init=np.zeros_like(states) if codes is None else codes)
        self.rate_in = InPort(shape=states.shape[1:])
        self.s_out = OutPort(shape=shape)


@implements(proc=RateSampler, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt", "bit_accurate_loihi")
class PyRateSamplerModel(PyLoihiProcessModel):  # type: ignore[misc]
    """Bit-exact: whole numbers of at most 32 bits, shifts, exclusive or, and a comparison."""

    states: np.ndarray = LavaPyType(np.ndarray, np.int64, precision=32)
    codes: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=17)
    rate_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=17)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=1)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.counted = bool(proc_params["counted"])
        self.steps = int(proc_params["steps"])
        self.rate_bits = int(proc_params["rate_bits"])
        self.taps = np.uint32(proc_params["taps"])
        self.systematic = bool(proc_params["systematic"])
        self.first = int(proc_params["first"])
        self.out_shape = tuple(proc_params["out_shape"])
        self.register: Any = None
        self.potential: Any = None
        self.code: Any = None

    def run_spk(self) -> None:
        """Sends the spikes of this time step; then takes what the counter hands over, for the next."""
        image, step = divmod(int(self.time_step) - self.first, self.steps)
        fired = np.zeros(self.states.shape[1], np.int32)
        if 0 <= image < len(self.states):
            if step == 0:
                self.register = self.states[image].astype(np.uint32)
                if not self.counted:
                    self.code = self.codes[image]
            if not self.systematic:
                fired = (self._drawn() < self.code).astype(np.int32)
            else:
                self.potential = (self._drawn() if step == 0 else self.potential) + self.code
                fired = (self.potential >= 1 << self.rate_bits).astype(np.int32)
                self.potential = self.potential - (fired.astype(np.int64) << self.rate_bits)
        self.s_out.send(fired.reshape(self.out_shape[::-1]).transpose())
        if self.counted:
            code = self.rate_in.recv()
            if step == self.steps - 1:
                self.code = code.astype(np.int64)

    def _drawn(self) -> np.ndarray:
        """The next number of each register, int64."""
        for _ in range(self.rate_bits):
            self.register = (self.register >> np.uint32(1)) ^ (self.register & np.uint32(1)) * self.taps
        x: np.ndarray = (self.register & np.uint32((1 << self.rate_bits) - 1)).astype(np.int64)
        return x

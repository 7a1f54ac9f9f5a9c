"""Neurons whose biases are the pixels of an image, and of the next one when its window begins."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.lif.models import AbstractPyLifModelFixed
from lava.proc.lif.process import LIF


class ImageNeurons(LIF):  # type: ignore[misc]
    """Lava's LIF neurons, at rest at the start of each window.

    Args:
        pixels: mantissas of the biases, ``(images, *shape)``.
        steps: window of an image.
        first: time step, from 1, at which the first image starts.
        neuron: arguments of Lava's process.
    """

    def __init__(self, *, pixels: np.ndarray, steps: int, first: int, **neuron: Any) -> None:
        super().__init__(bias_mant=pixels[0], **neuron)
        self.proc_params["steps"] = steps
        self.proc_params["first"] = first
        self.pixels = Var(shape=pixels.shape, init=pixels)


@implements(proc=ImageNeurons, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt", "bit_accurate_loihi")
class PyImageNeuronsModel(AbstractPyLifModelFixed):  # type: ignore[misc]
    """Lava's own fixed-point step, which scales its bias anew each time; only bias and reset are set here."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    vth: int = LavaPyType(int, np.int32, precision=17)
    pixels: np.ndarray = LavaPyType(np.ndarray, np.int16, precision=13)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.steps = int(proc_params["steps"])
        self.first = int(proc_params["first"])
        self.effective_vth = 0

    def scale_threshold(self) -> None:
        """Aligns the threshold with the potential, as Lava's LIF models do."""
        self.effective_vth = self.vth << self.vth_shift
        self.isthrscaled = True

    def spiking_activation(self) -> Any:
        """Who fires."""
        return self.v > self.effective_vth

    def run_spk(self) -> None:
        """A step of the neurons, with the image in whose window it lies; after the last window, the last image."""
        image, step = divmod(int(self.time_step) - self.first, self.steps)
        if step == 0:
            self.u[:] = 0
            self.v[:] = 0
        self.bias_mant[:] = self.pixels[min(max(image, 0), len(self.pixels) - 1)]
        super().run_spk()

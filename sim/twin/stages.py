"""One layer with neurons, made ready to run: its weights where torch wants them, its biases neuron by neuron.

Rasters between layers are ``(steps, images, neurons)`` with the neurons of a map in the order ``H W C``: the layout in
which convolutions are fastest, and which a dense layer meets by the order of its columns. Spikes are uint8, 0 or 1;
messages are int32, and their sums of the narrowest type that the largest message of a raster allows.
"""

from __future__ import annotations

from functools import partial
from typing import TypeAlias

import numpy as np
import torch

from esvae.chip.formats import ACCUMULATOR_BITS, REGISTER_BITS
from export.ir import Delta, Dense, InputNeurons, Lif, Neuron, RecurrentDense, Shape, Synapse, is_graded
from export.ir.bounds import largest_sum
from export.netx.rules import filling_shift
from sim.counts.alike import Tally
from sim.twin.lif_kernel import Memoryless, Places, run_lif, run_memoryless
from sim.twin.lif_torch import run_lif_torch
from sim.twin.recurrent import Loop
from sim.twin.sigma_kernel import run_graded, run_graded_torch
from sim.twin.sums import LayerSums, MessageSums, Path
from sim.twin.synapses import exact_type, memory_order

__all__ = ["InputStage", "Stage", "States"]

#: v after the last step ``(images, neurons)``; and u and v after every step ``(steps, images, neurons)``, or None.
States: TypeAlias = tuple[torch.Tensor, "torch.Tensor | None", "torch.Tensor | None"]


class _Neurons:
    """The neurons of a layer: integer state on the CPU by numba, elsewhere by torch.

    Args:
        neuron: which.
        bits: width to which what arrives is wrapped.
        device, portable: as of :class:`Stage`.
        loop: synapses from the neurons to themselves, or None.
    """

    def __init__(
        self, neuron: Neuron | Delta, bits: int, device: torch.device, portable: bool, loop: Loop | None = None
    ) -> None:
        self.neuron, self.bits = neuron, bits
        self.device, self.portable, self.loop = device, portable, loop

    def run(
        self,
        a: torch.Tensor,
        reach: int,
        bias: torch.Tensor,
        resets: np.ndarray,
        trace: bool,
        places: Places | None = None,
    ) -> tuple[torch.Tensor, States]:
        """The spikes that the sums ``a``, none above ``reach``, give, and the states; ``a`` may be overwritten."""
        assert isinstance(self.neuron, Lif)
        if self.portable:
            back = None if self.loop is None else self.loop.matrix(a)
            spikes, v_end, u, v = run_lif_torch(
                a, bias, self.neuron, resets=resets, bits=self.bits, trace=trace, recurrent=back
            )
            return spikes, (v_end, u, v)
        if self.loop is not None:
            found = self.loop.run(a.numpy(), bias.numpy(), self.neuron, resets=resets, trace=trace)
        else:
            found = run_lif(
                a.numpy(),
                bias.numpy(),
                self.neuron,
                reach=reach,
                resets=resets,
                bits=self.bits,
                trace=trace,
                places=places,
            )
        kept = [None if x is None else torch.from_numpy(x) for x in found[2:]]
        return torch.from_numpy(found[0]), (torch.from_numpy(found[1]), kept[0], kept[1])

    def send(
        self, a: torch.Tensor | None, bias: torch.Tensor, shape: tuple[int, int, int], trace: bool
    ) -> tuple[torch.Tensor, States]:
        """The messages that the sums ``a``, or frames as ``bias``, give, and the states."""
        assert not isinstance(self.neuron, Lif)
        if self.portable:
            messages, end, u, v = run_graded_torch(a, bias, self.neuron, shape, bits=self.bits, trace=trace)
            return messages, (end, u, v)
        sums = None if a is None else a.numpy()
        sent, ends, *kept = run_graded(sums, bias.numpy(), self.neuron, shape, bits=self.bits, trace=trace)
        sigma, act = (None if x is None else torch.from_numpy(x) for x in kept)
        return torch.from_numpy(sent), (torch.from_numpy(ends), sigma, act)


class InputStage:
    """Input neurons: images or frames are their biases, and nothing arrives over synapses."""

    def __init__(self, layer: InputNeurons, shape: Shape, device: torch.device, portable: bool) -> None:
        self.shape = shape
        self._neurons = _Neurons(layer.neuron, REGISTER_BITS, device, portable)

    @torch.inference_mode()
    def run(self, images: np.ndarray, steps: int, resets: np.ndarray, trace: bool) -> tuple[torch.Tensor, States]:
        """Images ``(images, *shape)`` to spikes, or frames ``(images, steps, *shape)`` to messages: ``(steps, images,
        neurons)``."""
        order = memory_order(self.shape)
        framed = images.ndim > 1 + len(self.shape)
        rows = images.reshape(*images.shape[: 1 + framed], -1)
        rows = rows if order is None else rows[..., order]
        rows = rows.swapaxes(0, 1) if framed else rows
        bias = torch.from_numpy(np.ascontiguousarray(rows, dtype=np.int32)).to(self._neurons.device)
        if framed:
            return self._neurons.send(None, bias, (steps, *bias.shape[1:]), trace)
        a = torch.zeros(steps, *bias.shape, device=bias.device)
        return self._neurons.run(a, 0, bias, resets, trace)


class Stage:
    """Synapses and the neurons behind them.

    Args:
        layer: the layer.
        input_shape: of what enters.
        memory_shape: of the map or features that lie in memory; differs from ``input_shape`` behind a flatten layer.
        output_shape: of its neurons.
        device: where to compute.
        portable: without the kernels that only a CPU has.
        path: how sums are computed on the CPU.
        graded: whether messages enter, and not spikes.

    Attributes:
        sums: gives what arrives: whole numbers ``(steps, images, neurons)``, in memory of their own.
    """

    def __init__(
        self,
        layer: Synapse[Neuron],
        input_shape: Shape,
        memory_shape: Shape,
        output_shape: Shape,
        device: torch.device,
        portable: bool,
        path: Path,
        graded: bool = False,
    ) -> None:
        self.graded = graded
        self.layer, self.input_shape, self.shape = layer, input_shape, output_shape
        bits = ACCUMULATOR_BITS
        if isinstance(layer, Dense | RecurrentDense):
            bits = REGISTER_BITS - filling_shift(layer.weight)
        make = partial(LayerSums, layer, input_shape, memory_shape, output_shape, device, portable)
        self.sums: LayerSums | MessageSums
        if graded:
            self.sums = MessageSums(layer, make, bits, path)
            self._largest = largest_sum(layer)
        else:
            # Off the CPU a convolution is a matrix product in float64: exact in whatever order a device sums.
            self.sums = make(torch.float64 if portable else exact_type(layer), path)
            # Of messages, which are signed, magnitudes add up; of spikes only weights of one sign, and those that meet.
            self._largest = self.sums.reach
        loop = Loop(layer.recurrent) if isinstance(layer, RecurrentDense) else None
        wide = loop is not None or (isinstance(layer, Dense) and layer.delay is not None)
        neuron = layer.neuron
        if isinstance(neuron, Lif):
            neuron = neuron.spread(output_shape, memory_order(output_shape))
        self._neurons = _Neurons(neuron, REGISTER_BITS if wide else bits, device, portable, loop)
        self._bias = torch.from_numpy(_bias(layer, output_shape)).to(device)
        self._memoryless: Memoryless | None = None
        if isinstance(neuron, Lif) and loop is None and not portable and not graded:
            self._memoryless = Memoryless.of(neuron, self._bias.numpy(), self._largest)

    @torch.inference_mode()
    def settle(self) -> None:
        """Decides by trials how sums are computed, before several threads run it."""
        if isinstance(self.sums, LayerSums):
            self.sums.settle()

    @torch.inference_mode()
    def run(
        self, raster: torch.Tensor, resets: np.ndarray, trace: bool, tally: Tally | None = None
    ) -> tuple[torch.Tensor, States]:
        """Spikes or messages ``(steps, images, inputs)`` to spikes or messages ``(steps, images, neurons)``, and the
        neurons' states; a tally counts spikes on their way, where it can."""
        if is_graded(self.layer.neuron):
            a = self.sums(raster)[0] if isinstance(self.sums, MessageSums) else self.sums(raster)
            return self._neurons.send(a, self._bias[None], (a.shape[0], a.shape[1], a.shape[2]), trace)
        if isinstance(self.sums, MessageSums):
            a, message = self.sums(raster)
            return self._neurons.run(a, self._largest * message, self._bias, resets, trace)
        if self._memoryless is not None and not trace:
            gather = self.sums.gathering(raster)
            if gather is not None and gather.by_image(raster):
                spikes, v_end = gather.fire(raster, self._memoryless, resets, tally)
                return spikes, (v_end, None, None)
        a, places = self.sums.placed(raster)
        if self._memoryless is not None and not trace and a.dtype != torch.float64:
            fired, ends = run_memoryless(a.numpy(), self._memoryless, resets, places, tally)
            return torch.from_numpy(fired), (torch.from_numpy(ends), None, None)
        return self._neurons.run(a, self._largest, self._bias, resets, trace, places)


def _bias(layer: Synapse, shape: Shape) -> np.ndarray:
    """Bias of every neuron in memory order: int32 ``(1, neurons)``."""
    bias = np.zeros(1, np.int32) if layer.bias is None else layer.bias.astype(np.int32)
    if len(shape) == 3:
        bias = bias.transpose(1, 2, 0) if bias.ndim == 3 else bias
        bias = np.broadcast_to(bias, (*shape[1:], shape[0]))
    return np.broadcast_to(bias.reshape(-1), (int(np.prod(shape)),)).reshape(1, -1).copy()

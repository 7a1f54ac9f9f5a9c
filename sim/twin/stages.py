"""One layer with neurons, made ready to run: its weights where torch wants them, its biases neuron by neuron.

Rasters between layers are ``(steps, images, neurons)`` with the neurons of a map in the order ``H W C``: the layout in
which convolutions are fastest, and which a dense layer meets by the order of its columns. Spikes are uint8, 0 or 1;
messages are int32, and their sums of the narrowest type that the largest message of a raster allows.
"""

from __future__ import annotations

from functools import partial
from typing import Protocol, TypeAlias

import numpy as np
import torch

from esvae.arrays import Bool, Integer
from esvae.chip.formats import ACCUMULATOR_BITS, REGISTER_BITS
from export.ir import Dense, GradedNeuron, InputNeurons, Lif, Neuron, RecurrentDense, Shape, Synapse
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


class _Neurons(Protocol):
    """The neurons of a layer: integer state on the CPU by numba, elsewhere by torch.

    Every neuron model is run by one of the classes below, which a stage chooses when it is made.
    """

    def driven(self, drive: torch.Tensor, steps: int, resets: np.ndarray, trace: bool) -> tuple[torch.Tensor, States]:
        """What leaves input neurons, which an image or frames drive as biases, and their states."""

    def behind(
        self,
        sums: LayerSums | MessageSums,
        raster: torch.Tensor,
        bias: torch.Tensor,
        reach: int,
        resets: np.ndarray,
        trace: bool,
        tally: Tally | None,
    ) -> tuple[torch.Tensor, States]:
        """What leaves neurons behind synapses, and their states.

        Args:
            sums: gives what arrives of ``raster``.
            bias: int32 ``(1, neurons)``.
            reach: what no magnitude of a sum is above; of messages, where none is above 1.
            resets, trace, tally: as of :meth:`Stage.run`.
        """

    def settle(self, sums: LayerSums, trace: bool) -> None:
        """Decides by trials how :meth:`behind` computes."""


class _Spiking:
    """Neurons that integrate and fire.

    Args:
        neuron: which.
        bits: width to which what arrives is wrapped.
        portable: as of :class:`Stage`.
        loop: synapses from the neurons to themselves, or None.
        memoryless: the same as a law of each sum alone, where spikes enter and there is one.
    """

    def __init__(
        self, neuron: Lif, bits: int, portable: bool, loop: Loop | None = None, memoryless: Memoryless | None = None
    ) -> None:
        self._neuron, self._bits, self._portable, self._loop = neuron, bits, portable, loop
        self._memoryless = memoryless

    def driven(self, drive: torch.Tensor, steps: int, resets: np.ndarray, trace: bool) -> tuple[torch.Tensor, States]:
        """Of images ``(images, neurons)``."""
        return self._run(torch.zeros(steps, *drive.shape, device=drive.device), 0, drive, resets, trace)

    def behind(
        self,
        sums: LayerSums | MessageSums,
        raster: torch.Tensor,
        bias: torch.Tensor,
        reach: int,
        resets: np.ndarray,
        trace: bool,
        tally: Tally | None,
    ) -> tuple[torch.Tensor, States]:
        """Spikes; a tally counts them where the memoryless law gives them."""
        if isinstance(sums, MessageSums):
            a, message = sums(raster)
            return self._run(a, reach * message, bias, resets, trace)
        law = None if trace else self._memoryless
        gather = sums.gathering(raster, law)
        if gather is not None and law is not None and gather.by_image(raster):
            spikes, v_end = gather.fire(raster, law, resets, tally)
            return spikes, (v_end, None, None)
        a, places = sums.placed(raster, gather)
        if law is not None and a.dtype != torch.float64:
            fired, ends = run_memoryless(a.numpy(), law, resets, places, tally)
            return torch.from_numpy(fired), (torch.from_numpy(ends), None, None)
        return self._run(a, reach, bias, resets, trace, places)

    def settle(self, sums: LayerSums, trace: bool) -> None:
        """Sums and neurons together, where the memoryless law holds."""
        sums.settle(None if trace else self._memoryless)

    def _run(
        self,
        a: torch.Tensor,
        reach: int,
        bias: torch.Tensor,
        resets: np.ndarray,
        trace: bool,
        places: Places | None = None,
    ) -> tuple[torch.Tensor, States]:
        """Spikes of the sums ``a``, none above ``reach``; ``a`` may be overwritten."""
        neuron, bits = self._neuron, self._bits
        if self._portable:
            back = None if self._loop is None else self._loop.matrix(a)
            spikes, v_end, u, v = run_lif_torch(a, bias, neuron, resets=resets, bits=bits, trace=trace, recurrent=back)
            return spikes, (v_end, u, v)
        if self._loop is not None:
            found = self._loop.run(a.numpy(), bias.numpy(), neuron, resets=resets, trace=trace)
        else:
            found = run_lif(
                a.numpy(), bias.numpy(), neuron, reach=reach, resets=resets, bits=bits, trace=trace, places=places
            )
        kept = [None if x is None else torch.from_numpy(x) for x in found[2:]]
        return torch.from_numpy(found[0]), (torch.from_numpy(found[1]), kept[0], kept[1])


class _Graded:
    """Neurons that send messages: sigma-delta and its halves. They are never reset.

    Args:
        neuron, bits, portable: as of :class:`_Spiking`.
    """

    def __init__(self, neuron: GradedNeuron, bits: int, portable: bool) -> None:
        self._neuron, self._bits, self._portable = neuron, bits, portable

    def driven(self, drive: torch.Tensor, steps: int, resets: np.ndarray, trace: bool) -> tuple[torch.Tensor, States]:
        """Of frames ``(steps, images, neurons)``."""
        return self._run(None, drive, (steps, *drive.shape[1:]), trace)

    def behind(
        self,
        sums: LayerSums | MessageSums,
        raster: torch.Tensor,
        bias: torch.Tensor,
        reach: int,
        resets: np.ndarray,
        trace: bool,
        tally: Tally | None,
    ) -> tuple[torch.Tensor, States]:
        """Messages; sums of any size are taken, and none are counted on their way."""
        a = sums(raster)[0] if isinstance(sums, MessageSums) else sums(raster)
        return self._run(a, bias[None], (a.shape[0], a.shape[1], a.shape[2]), trace)

    def settle(self, sums: LayerSums, trace: bool) -> None:
        """Sums alone."""
        sums.settle()

    def _run(
        self, a: torch.Tensor | None, bias: torch.Tensor, shape: tuple[int, int, int], trace: bool
    ) -> tuple[torch.Tensor, States]:
        """Messages of the sums ``a``, or of frames as ``bias``."""
        if self._portable:
            messages, end, u, v = run_graded_torch(a, bias, self._neuron, shape, bits=self._bits, trace=trace)
            return messages, (end, u, v)
        sums = None if a is None else a.numpy()
        sent, ends, *kept = run_graded(sums, bias.numpy(), self._neuron, shape, bits=self._bits, trace=trace)
        sigma, act = (None if x is None else torch.from_numpy(x) for x in kept)
        return torch.from_numpy(sent), (torch.from_numpy(ends), sigma, act)


class InputStage:
    """Input neurons: images or frames are their biases, and nothing arrives over synapses."""

    def __init__(self, layer: InputNeurons, shape: Shape, device: torch.device, portable: bool) -> None:
        self.shape, self._device = shape, device
        neuron = layer.neuron
        self._neurons: _Neurons
        if isinstance(neuron, Lif):
            self._neurons = _Spiking(neuron, REGISTER_BITS, portable)
        else:
            self._neurons = _Graded(neuron, REGISTER_BITS, portable)

    @torch.inference_mode()
    def run(
        self, images: Integer[np.ndarray, " images *shape"], steps: int, resets: Bool[np.ndarray, " steps"], trace: bool
    ) -> tuple[Integer[torch.Tensor, "steps images neurons"], States]:
        """Images ``(images, *shape)`` to spikes, or frames ``(images, steps, *shape)`` to messages: ``(steps, images,
        neurons)``."""
        order = memory_order(self.shape)
        framed = images.ndim > 1 + len(self.shape)
        rows = images.reshape(*images.shape[: 1 + framed], -1)
        rows = rows if order is None else rows[..., order]
        rows = rows.swapaxes(0, 1) if framed else rows
        drive = torch.from_numpy(np.ascontiguousarray(rows, dtype=np.int32)).to(self._device)
        return self._neurons.driven(drive, steps, resets, trace)


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
        self.layer, self.input_shape, self.shape = layer, input_shape, output_shape
        bits = ACCUMULATOR_BITS
        if isinstance(layer, Dense | RecurrentDense):
            bits = REGISTER_BITS - filling_shift(layer.weight)
        make = partial(LayerSums, layer, input_shape, memory_shape, output_shape, device, portable)
        self.sums: LayerSums | MessageSums
        if graded:
            self.sums = MessageSums(layer, make, bits, path)
            self._reach = largest_sum(layer)
        else:
            # Off the CPU a convolution is a matrix product in float64: exact in whatever order a device sums.
            self.sums = make(torch.float64 if portable else exact_type(layer), path)
            # Of messages, which are signed, magnitudes add up; of spikes only weights of one sign, and those that meet.
            self._reach = self.sums.reach
        bias = torch.from_numpy(_bias(layer, output_shape))
        self._bias = bias.to(device)
        loop = Loop(layer.recurrent) if isinstance(layer, RecurrentDense) else None
        if loop is not None or (isinstance(layer, Dense) and layer.delay is not None):
            bits = REGISTER_BITS
        neuron = layer.neuron
        self._neurons: _Neurons
        if isinstance(neuron, Lif):
            lif = neuron.spread(output_shape, memory_order(output_shape))
            memoryless = None
            if loop is None and not portable and not graded:
                memoryless = Memoryless.of(lif, bias.numpy(), self._reach)
            self._neurons = _Spiking(lif, bits, portable, loop, memoryless)
        else:
            self._neurons = _Graded(neuron, bits, portable)

    @torch.inference_mode()
    def settle(self, trace: bool) -> None:
        """Decides by trials how sums are computed, before several threads run it."""
        if isinstance(self.sums, LayerSums):
            self._neurons.settle(self.sums, trace)

    @torch.inference_mode()
    def run(
        self,
        raster: Integer[torch.Tensor, "steps images inputs"],
        resets: Bool[np.ndarray, " steps"],
        trace: bool,
        tally: Tally | None = None,
    ) -> tuple[Integer[torch.Tensor, "steps images neurons"], States]:
        """Spikes or messages ``(steps, images, inputs)`` to spikes or messages ``(steps, images, neurons)``, and the
        neurons' states; a tally counts spikes on their way, where it can."""
        return self._neurons.behind(self.sums, raster, self._bias, self._reach, resets, trace, tally)


def _bias(layer: Synapse, shape: Shape) -> np.ndarray:
    """Bias of every neuron in memory order: int32 ``(1, neurons)``."""
    bias = np.zeros(1, np.int32) if layer.bias is None else layer.bias.astype(np.int32)
    if len(shape) == 3:
        bias = bias.transpose(1, 2, 0) if bias.ndim == 3 else bias
        bias = np.broadcast_to(bias, (*shape[1:], shape[0]))
    return np.broadcast_to(bias.reshape(-1), (int(np.prod(shape)),)).reshape(1, -1).copy()

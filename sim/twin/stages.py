"""One layer with neurons, made ready to run: its weights where torch wants them, its biases neuron by neuron.

Rasters between layers are ``(steps, images, neurons)`` with the neurons of a map in the order ``H W C``: the layout in
which convolutions are fastest, and which a dense layer meets by the order of its columns.
"""

from __future__ import annotations

import contextlib
from typing import Literal, TypeAlias

import numpy as np
import torch

from export.ir import Dense, InputNeurons, Lif, RecurrentDense, Shape, Synapse
from export.ir.bounds import largest_sum
from export.ir.geometry import matrix
from export.ir.limits import columns
from sim.twin.events import EventSums
from sim.twin.lif_kernel import run_lif
from sim.twin.lif_torch import run_lif_torch
from sim.twin.recurrent import Loop
from sim.twin.synapses import (
    DenseSums,
    exact_type,
    is_direct,
    map_sums,
    memory_order,
    portable_map_sums,
)

__all__ = ["InputStage", "Path", "Stage", "States", "logical"]

#: ``dense`` computes every product, ``events`` only those of spikes, ``auto`` chooses by the activity that it meets.
Path: TypeAlias = Literal["auto", "dense", "events"]

#: v after the last step ``(images, neurons)``; and u and v after every step ``(steps, images, neurons)``, or None.
States: TypeAlias = tuple[torch.Tensor, "torch.Tensor | None", "torch.Tensor | None"]

#: Numbers of the matrix that an unfolded convolution makes at a time of a raster's rows, a kernel's worth of each.
_UNFOLDED = 1 << 24


def logical(raster: torch.Tensor, shape: Shape) -> torch.Tensor:
    """``(..., neurons)`` in memory order as a view ``(..., *shape)``."""
    if len(shape) == 1:
        return raster
    channels, height, width = shape
    axes = range(raster.ndim - 1)
    return raster.reshape(*raster.shape[:-1], height, width, channels).permute(*axes, -1, -3, -2)


class _Neurons:
    """The neurons of a layer: integer state on the CPU by numba, elsewhere by torch."""

    def __init__(
        self, neuron: Lif, reach: int, wraps: bool, device: torch.device, portable: bool, loop: Loop | None = None
    ) -> None:
        self.neuron, self.reach, self.wraps = neuron, reach, wraps
        self.device, self.portable, self.loop = device, portable, loop

    def run(self, a: torch.Tensor, bias: torch.Tensor, resets: np.ndarray, trace: bool) -> States:
        """Overwrites the sums ``a`` with spikes."""
        if self.portable:
            back = None if self.loop is None else self.loop.matrix(a)
            return run_lif_torch(a, bias, self.neuron, resets=resets, wraps=self.wraps, trace=trace, recurrent=back)
        if self.loop is not None:
            states = self.loop.run(a.numpy(), bias.numpy(), self.neuron, resets=resets, trace=trace)
        else:
            states = run_lif(
                a.numpy(), bias.numpy(), self.neuron, reach=self.reach, resets=resets, wraps=self.wraps, trace=trace
            )
        v_end, u, v = (None if x is None else torch.from_numpy(x) for x in states)
        assert v_end is not None
        return v_end, u, v


class InputStage:
    """Input neurons: images are their biases, and nothing arrives over synapses."""

    def __init__(self, layer: InputNeurons, shape: Shape, device: torch.device, portable: bool) -> None:
        self.shape = shape
        self._neurons = _Neurons(layer.neuron, 0, False, device, portable)

    @torch.inference_mode()
    def run(self, images: np.ndarray, steps: int, resets: np.ndarray, trace: bool) -> tuple[torch.Tensor, States]:
        """Images ``(images, *shape)`` to spikes ``(steps, images, neurons)``."""
        order = memory_order(self.shape)
        rows = images.reshape(len(images), -1)
        rows = rows if order is None else rows[:, order]
        bias = torch.from_numpy(np.ascontiguousarray(rows, dtype=np.int32)).to(self._neurons.device)
        a = torch.zeros(steps, *bias.shape, device=bias.device)
        return a, self._neurons.run(a, bias, resets, trace)


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
    """

    def __init__(
        self,
        layer: Synapse[Lif],
        input_shape: Shape,
        memory_shape: Shape,
        output_shape: Shape,
        device: torch.device,
        portable: bool,
        path: Path,
    ) -> None:
        self.layer, self.input_shape, self.shape = layer, input_shape, output_shape
        self.reach = largest_sum(layer)
        # Off the CPU a convolution is a matrix product in float64: exact in whatever order a device sums.
        self.dtype = torch.float64 if portable else exact_type(layer)
        self._unfold = portable
        self._matrix: DenseSums | None = None
        self._weight: torch.Tensor | None = None
        loop = None
        if isinstance(layer, Dense):
            self._matrix = DenseSums(layer, memory_order(memory_shape), self.dtype, device)
        elif isinstance(layer, RecurrentDense):
            entering = Dense(layer.weight, None, layer.neuron)
            self._matrix = DenseSums(entering, memory_order(memory_shape), self.dtype, device)
            loop = Loop(layer.recurrent)
        elif input_shape[1:] == (1, 1):
            # On a 1x1 map the layer is a matrix: what each input alone would send.
            sent = matrix(layer, input_shape)[memory_order(output_shape)]
            self._matrix = DenseSums(Dense(sent, None, layer.neuron), None, self.dtype, device)
        else:
            self._weight = torch.from_numpy(layer.weight).to(device, self.dtype)
            self._unfold = portable or not is_direct(layer, output_shape)
            if not self._unfold:
                self._weight = self._weight.contiguous(memory_format=torch.channels_last)
        self._events: EventSums | None = None
        if (
            not isinstance(layer, Dense | RecurrentDense)
            and self._weight is not None
            and self.dtype is torch.float32
            and not portable
            and path != "dense"
        ):
            self._events = EventSums.of(layer, input_shape, output_shape)
        if self._events is not None and path == "events":
            self._events.activity = 1.0
        wraps = not isinstance(layer, Dense | RecurrentDense)
        self._neurons = _Neurons(layer.neuron, self.reach, wraps, device, portable, loop)
        self._bias = torch.from_numpy(_bias(layer, output_shape)).to(device)

    @torch.inference_mode()
    def run(self, raster: torch.Tensor, resets: np.ndarray, trace: bool) -> tuple[torch.Tensor, States]:
        """Spikes ``(steps, images, inputs)`` to spikes ``(steps, images, neurons)`` and the neurons' states."""
        a = self.sums(raster)
        states = self._neurons.run(a, self._bias, resets, trace)
        return a.to(torch.float32), states

    def sums(self, raster: torch.Tensor) -> torch.Tensor:
        """What arrives: whole numbers ``(steps, images, neurons)``, in memory of their own."""
        steps, images = raster.shape[:2]
        # The last step tells well enough how active the window is, and the sums do not depend on the choice.
        if self._events is not None and float(raster[-1].mean()) <= self._events.activity:
            return self._events(raster)
        x = raster.to(self.dtype)
        if self._matrix is not None:
            return self._matrix(x)
        assert self._weight is not None
        assert not isinstance(self.layer, Dense | RecurrentDense)
        maps = logical(x.reshape(steps * images, -1), self.input_shape)
        if self._unfold:
            rows = max(1, _UNFOLDED // columns(self.layer, self.input_shape, self.shape))
            parts = [portable_map_sums(self.layer, part, self._weight) for part in maps.split(rows)]
            sums = torch.cat(parts)
        else:
            with _without_nnpack():
                sums = map_sums(self.layer, maps, self._weight)
        return sums.permute(0, 2, 3, 1).contiguous().reshape(steps, images, -1)


def _without_nnpack() -> contextlib.AbstractContextManager[object]:
    """Keeps torch from Winograd and Fourier kernels, where it has them and a switch for them."""
    switch = getattr(torch.backends, "nnpack", None)
    return contextlib.nullcontext() if switch is None else switch.flags(enabled=False)


def _bias(layer: Synapse, shape: Shape) -> np.ndarray:
    """Bias of every neuron in memory order: int32 ``(1, neurons)``."""
    bias = np.zeros(1, np.int32) if layer.bias is None else layer.bias.astype(np.int32)
    if len(shape) == 3:
        bias = bias.transpose(1, 2, 0) if bias.ndim == 3 else bias
        bias = np.broadcast_to(bias, (*shape[1:], shape[0]))
    return np.broadcast_to(bias.reshape(-1), (int(np.prod(shape)),)).reshape(1, -1).copy()

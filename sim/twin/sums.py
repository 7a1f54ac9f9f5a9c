"""What arrives at a layer's neurons: every product of a layer, for spikes, and for messages of whatever size.

Messages need a type that holds their products: which one is enough is told by the largest message of a raster, as the
weights tell it for spikes (see :mod:`sim.twin.synapses`). Where nothing changes no message is sent, so steps without
any are left out, and those with few are driven by events.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache, cached_property
from typing import Literal, TypeAlias

import numpy as np
import torch

from esvae.arrays import Int32, Real
from export.ir import Conv, ConvTranspose, Dense, RecurrentDense, Shape, Synapse
from export.ir.bounds import all_firing
from export.ir.geometry import is_point, matrix
from export.ir.limits import columns, products
from sim.twin.events import EventSums
from sim.twin.gather import GatherSums
from sim.twin.int8 import ByteSums, byte_sums
from sim.twin.lif_kernel import Memoryless, Places, run_memoryless
from sim.twin.synapses import (
    DenseSums,
    exact_type,
    is_direct,
    logical,
    map_sums,
    memory_order,
    portable_map_sums,
    wrapped_delayed,
)

__all__ = ["LayerSums", "MessageSums", "Path"]

#: ``events`` computes only the products of spikes, and so does ``gather``, neuron by neuron in registers (see
#: :mod:`sim.twin.gather`); ``dense`` every one, of 8 bit where those are faster (see :mod:`sim.twin.int8`), ``float``
#: every one in floating point; ``auto`` chooses by the activity that it meets, once it is worth trying out.
Path: TypeAlias = Literal["auto", "dense", "float", "events", "gather"]

#: Numbers of the matrix that an unfolded convolution makes at a time of a raster's rows, a kernel's worth of each.
_UNFOLDED = 1 << 24
#: Products of a layer, those of silent inputs among them, that take about as long as trying out its forms.
_WORTH_TRYING = 1 << 29


class LayerSums:
    """The sums of a layer in one float type.

    Args:
        layer, input_shape, memory_shape, output_shape, device, portable, path: as of :class:`sim.twin.stages.Stage`.
        dtype: that holds every partial sum exactly.

    Attributes:
        events: the same driven by events, where that is possible.
        columns: order of a matrix's inputs in memory, or None where it is the layer's own.
    """

    def __init__(
        self,
        layer: Synapse,
        input_shape: Shape,
        memory_shape: Shape,
        output_shape: Shape,
        device: torch.device,
        portable: bool,
        dtype: torch.dtype,
        path: Path,
    ) -> None:
        self.layer, self.input_shape, self.shape, self.dtype = layer, input_shape, output_shape, dtype
        self.columns = memory_order(memory_shape)
        self._full: DenseSums | _MapSums
        self.events: EventSums | None = None
        unfolded = portable
        narrow = dtype is torch.float32 and not portable
        if isinstance(layer, Dense):
            self._full = DenseSums(layer, self.columns, dtype, device)
        elif isinstance(layer, RecurrentDense):  # what it sends itself is added step by step
            self._full = DenseSums(Dense(layer.weight, None, layer.neuron), self.columns, dtype, device)
        elif is_point(input_shape):
            self._full = DenseSums(_on_a_point(layer, input_shape, output_shape), None, dtype, device)
        else:
            unfolded = portable or not is_direct(layer, input_shape, output_shape)
            self._full = _MapSums(layer, input_shape, output_shape, dtype, device, unfolded)
            if narrow and path in ("auto", "events"):
                self.events = EventSums.of(layer, input_shape, output_shape)
        if self.events is not None and path == "events":
            self.events.activity = 1.0
        self._bytewise = narrow and not unfolded and path in ("auto", "dense")
        self._gathered = narrow and path in ("auto", "gather")
        self._tries, self._come = path == "auto" and narrow, 0

    def __call__(self, raster: Real[torch.Tensor, "steps images inputs"]) -> Real[torch.Tensor, "steps images neurons"]:
        """Spikes ``(steps, images, inputs)``, uint8, to sums, whole numbers ``(steps, images, neurons)``."""
        sums, places = self.placed(raster, self.gathering(raster))
        return sums if places is None else places.in_order_of_neurons(sums)

    def placed(
        self, raster: Real[torch.Tensor, "steps images inputs"], gather: GatherSums | None
    ) -> tuple[Real[torch.Tensor, "steps images places"], Places | None]:
        """As a call, in memory of their own; and where they lie there, if not in the order of the neurons.

        Args:
            raster: spikes.
            gather: what :meth:`gathering` gives; where that is None, another form is taken.
        """
        if gather is not None:
            return gather(raster), None
        bytes_ = self.bytes if self._tried else None
        if self.gather is None and self.events is not None:
            gain = 1.0 if bytes_ is None else bytes_.gain
            if _active(raster) * gain <= self.events.activity:
                return self.events(raster), None
        if bytes_ is not None:
            return bytes_(raster), bytes_.places
        return self.products(raster), None

    def gathering(
        self, raster: Real[torch.Tensor, "steps images inputs"], neuron: Memoryless | None = None
    ) -> GatherSums | None:
        """The gathered form, where it is to be taken for a raster: for the sums, or for a neuron that follows them at
        once. What little comes before a trial is worth it is gathered."""
        gather = self.gather
        self._come += raster.shape[0] * raster.shape[1]
        if not self._tried:
            return gather
        return gather if gather is not None and _active(raster) <= self._worth(gather, neuron) else None

    def settle(self, neuron: Memoryless | None = None) -> None:
        """Tries out which form is the fastest, for the sums or for a neuron, which else a raster does."""
        self._come = self._enough
        if self.gather is not None:
            self._worth(self.gather, neuron)
        else:
            _ = self.bytes

    def _worth(self, gather: GatherSums, neuron: Memoryless | None) -> float:
        """The share of inputs that fire up to which to gather."""
        if not self._tries:
            return 1.0

        def other(raster: torch.Tensor) -> object:
            sums, places = self.placed(raster, None)
            return sums if neuron is None else run_memoryless(sums.numpy(), neuron, np.zeros(len(sums), bool), places)

        return gather.worth(other, neuron)

    @property
    def _tried(self) -> bool:
        """Whether forms are compared by now, where they are at all."""
        return self._come >= self._enough

    @cached_property
    def _enough(self) -> int:
        """Rows of rasters, steps of images, from which on it is worth trying out which form is the fastest."""
        given = self._of_the_raster if self._tries else None
        return 0 if given is None else math.ceil(_WORTH_TRYING / products(*given))

    @cached_property
    def reach(self) -> int:
        """What no magnitude of a sum is above, whatever spikes arrive."""
        return int(max((sign * all_firing(self.layer, self.input_shape, sign=sign)).max() for sign in (1, -1)))

    @cached_property
    def bytes(self) -> ByteSums | None:
        """The sums by 8-bit products, where they hold and are faster."""
        given = self._of_the_raster
        return byte_sums(*given, self.products) if self._bytewise and given is not None else None

    @cached_property
    def gather(self) -> GatherSums | None:
        """The sums gathered from what fired, where they hold."""
        given = self._of_the_raster
        return GatherSums.of(*given, self.reach) if self._gathered and given is not None else None

    @cached_property
    def _of_the_raster(self) -> tuple[Conv | ConvTranspose | Dense, Shape, Shape] | None:
        """The layer with its inputs in the order of the raster, and its shapes: maps, or what a matrix multiplies."""
        layer = self.layer
        if isinstance(layer, RecurrentDense):
            return None
        if not isinstance(layer, Dense):
            if not is_point(self.input_shape):
                return layer, self.input_shape, self.shape
            layer = _on_a_point(layer, self.input_shape, self.shape)
        elif self.columns is not None:
            layer = replace(layer, weight=layer.weight[:, self.columns])
        return layer, (layer.weight.shape[1],), (len(layer.weight),)

    def products(self, raster: Real[torch.Tensor, "steps images inputs"]) -> Real[torch.Tensor, "steps images neurons"]:
        """As a call, with every product."""
        return self._full(raster.to(self.dtype))


class _MapSums:
    """The sums of a (transposed) convolution, with every product.

    Args:
        layer, input_shape, output_shape, dtype, device: as of :class:`LayerSums`.
        unfolded: as a matrix product, and not torch's own convolution.
    """

    def __init__(
        self,
        layer: Conv | ConvTranspose,
        input_shape: Shape,
        output_shape: Shape,
        dtype: torch.dtype,
        device: torch.device,
        unfolded: bool,
    ) -> None:
        self._layer, self._input_shape = layer, input_shape
        self._weight = torch.from_numpy(layer.weight).to(device, dtype)
        #: Rows of a raster that are unfolded at a time.
        self._rows = max(1, _UNFOLDED // columns(layer, input_shape, output_shape)) if unfolded else None
        if not unfolded:
            self._weight = self._weight.contiguous(memory_format=torch.channels_last)

    def __call__(self, raster: torch.Tensor) -> torch.Tensor:
        """Spikes ``(steps, images, inputs)``, floats, to sums ``(steps, images, neurons)``."""
        steps, images = raster.shape[:2]
        maps = logical(raster.reshape(steps * images, -1), self._input_shape)
        if self._rows is None:
            with _without_nnpack():
                sums = map_sums(self._layer, maps, self._weight)
        else:
            sums = torch.cat([portable_map_sums(self._layer, part, self._weight) for part in maps.split(self._rows)])
        return sums.permute(0, 2, 3, 1).contiguous().reshape(steps, images, -1)


def _active(raster: torch.Tensor) -> float:
    """The share of inputs that fire at the last step: it tells well enough how active a window is."""
    last = raster.numpy()[-1]
    return np.count_nonzero(last.view(bool)) / last.size


def _on_a_point(layer: Conv | ConvTranspose, input_shape: Shape, output_shape: Shape) -> Dense:
    """On a 1x1 map a layer is a matrix: what each input alone would send."""
    return Dense(matrix(layer, input_shape)[memory_order(output_shape)], None, layer.neuron)


class MessageSums:
    """The sums of a layer that messages enter.

    Args:
        layer: its synapses.
        make: gives the sums in a type, by type and path.
        bits: to which a product of a delayed synapse wraps.
        path: how sums are computed on the CPU.
    """

    def __init__(
        self,
        layer: Synapse,
        make: Callable[[torch.dtype, Path], LayerSums],
        bits: int,
        path: Path,
    ) -> None:
        self._layer, self._bits = layer, bits
        self._of = cache(lambda dtype: make(dtype, path))
        self._heaviest = int(abs(layer.weight).max())
        self._delayed = layer if isinstance(layer, Dense) and layer.delay is not None else None

    def __call__(
        self, raster: Int32[torch.Tensor, "steps images inputs"]
    ) -> tuple[Real[torch.Tensor, "steps images neurons"], int]:
        """Messages ``(steps, images, inputs)``, int32, to sums: whole numbers ``(steps, images, neurons)``; and the
        largest magnitude of a message."""
        largest = max(int(raster.max()), -int(raster.min()))
        return self._sums(raster, largest), largest

    def _sums(self, raster: torch.Tensor, largest: int) -> torch.Tensor:
        sums = self._of(torch.float64 if raster.device.type != "cpu" else exact_type(self._layer, largest))
        if self._delayed is not None:
            if self._heaviest * largest >= 1 << (self._bits - 1):
                return wrapped_delayed(self._delayed, sums.columns, raster, self._bits)
            return sums.products(raster)
        share = (raster != 0).float().mean(dim=(1, 2))
        events = sums.events
        few = (share <= events.activity) if events is not None else share == 0
        if not few.any():
            return sums.products(raster)
        if few.all() and events is not None:
            return events.of_messages(raster)
        total = raster.new_zeros((*raster.shape[:2], math.prod(sums.shape)), dtype=sums.dtype)
        if not few.all():
            total[~few] = sums.products(raster[~few])
        if events is not None:
            total[few] = events.of_messages(raster[few])
        return total


def _without_nnpack() -> contextlib.AbstractContextManager[object]:
    """Keeps torch from Winograd and Fourier kernels, where it has them and a switch for them."""
    switch = getattr(torch.backends, "nnpack", None)
    return contextlib.nullcontext() if switch is None else switch.flags(enabled=False)

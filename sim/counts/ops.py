"""Exact counts of what a network does: spikes, synaptic operations, neuron updates.

A synaptic operation is one spike arriving over one synapse that exists (see :mod:`sim.counts.fan_out`). Loihi 2's own
counters count the same. A graded message counts as a spike does, whatever it says: one event, which costs a
multiplication at every synapse that it reaches; a neuron whose message is 0 sends none. How wide messages are is told
beside the counts, and no profile has a figure for it. Counts are whole numbers from the spikes to the totals; only
means and spreads are rounded. They are taken chunk by chunk beside the engine and keep 24 bytes an image and layer: any
number of images can be counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from esvae.arrays import Float64, Int64, Shaped, UInt8
from esvae.errors import DataError
from export.ir import Network, RecurrentDense, unlooped
from sim.counts.fan_out import Macs, fan_out, macs
from sim.counts.kernel import SpikeCounter, Tally
from sim.counts.spread import QUANTITIES, Spread, StepCounts, StepMoments, spread_over
from sim.trace import Trace

__all__ = [
    "Activity",
    "Counted",
    "Counter",
    "Counts",
    "LayerCounts",
    "Rasters",
    "count",
    "count_traces",
]

#: Images that are summed up at a time.
_BATCH = 256


@runtime_checkable
class Activity(Protocol):
    """One layer's spikes over a chunk of images, as :class:`sim.twin.engine.LayerActivity` has them."""

    @property
    def entering(self) -> Shaped[torch.Tensor, "steps images *input"]:
        """0 or 1, or messages."""

    @property
    def spikes(self) -> Shaped[torch.Tensor, "steps images *layer"]:
        """0 or 1, or messages."""


@dataclass(frozen=True, eq=False)
class Rasters:
    """An :class:`Activity` from arrays at hand."""

    entering: Shaped[torch.Tensor, "steps images *input"]
    spikes: Shaped[torch.Tensor, "steps images *layer"]


@dataclass(frozen=True)
class LayerCounts:
    """One layer's work on an image's whole window.

    Attributes:
        layer: its label.
        inputs, neurons: that feed it, that are in it.
        synapses: that exist.
        spikes_in: spikes that entered, a recurrent layer's own among them, mean over images.
        synops: synaptic operations they caused, mean over images.
        spikes: that the layer's neurons fired, mean over images.
        updates: neuron updates, one for each neuron and step.
        activity: spikes for each neuron and step, 0 to 1.
        sparsity: share of synapses and steps without an operation, 0 to 1.
        zero_weights: share of the weights that are zero, so that no synapse exists.
        macs: products of the float equivalent, which runs once an image.
        message_bits: that the widest message which entered takes, sign included; 0 where spikes enter. netx asks the
            chip for :data:`esvae.chip.formats.MESSAGE_BITS`.
        over_images: distribution of spikes_in, synops and spikes over images.
        over_steps: the same for each step of the window.
    """

    layer: str
    inputs: int
    neurons: int
    synapses: int
    spikes_in: float
    synops: float
    spikes: float
    updates: int
    activity: float
    sparsity: float
    zero_weights: float
    macs: Macs
    message_bits: int
    over_images: dict[str, Spread]
    over_steps: StepCounts


@dataclass(frozen=True, eq=False)
class Counts:
    """Everything that was counted.

    Attributes:
        images, steps: how many, and the window of each.
        layers: summaries, in file order.
        per_image: spikes in, synaptic operations, spikes out of each image.
        entering: spikes summed over images, an array a layer, its inputs as ``(C, H, W)`` flattened; of a recurrent
            layer, its own spikes follow, at the step at which they are fired.
        input_updates: neuron updates of input neurons, which no synapse feeds, an image; 0 where there are none.
        raster: the first image's spikes, an array a layer, the entering ones first.
    """

    images: int
    steps: int
    layers: tuple[LayerCounts, ...]
    per_image: Int64[np.ndarray, "layers images 3"]
    entering: tuple[Int64[np.ndarray, "steps _inputs"], ...]
    input_updates: int
    raster: tuple[UInt8[np.ndarray, "steps _neurons"], ...]

    @property
    def mean_entering(self) -> tuple[Float64[np.ndarray, "steps _inputs"], ...]:
        """Spikes that enter each layer, mean over images."""
        return tuple(entering / self.images for entering in self.entering)

    @property
    def totals(self) -> dict[str, int]:
        """Exact sums over layers and images."""
        return dict(zip(QUANTITIES, map(int, self.per_image.sum(axis=(0, 1))), strict=True))


@dataclass
class Counted:
    """What :meth:`Counter.counted` found in a chunk, an entry a layer.

    Attributes:
        tallies: what passed its synapses.
        sent: spikes that left, int64 ``(steps, images)``.
        widest: the largest message that entered, as a number of the same bits.
        raster: the first image's spikes, the entering ones first; of a first chunk.
        input_neurons: how many.
    """

    tallies: list[Tally] = field(default_factory=list)
    sent: list[np.ndarray] = field(default_factory=list)
    widest: list[int] = field(default_factory=list)
    raster: list[np.ndarray] = field(default_factory=list)
    input_neurons: int = 0


class Counter:
    """Counts chunk after chunk of a run of :meth:`sim.twin.engine.Engine.run`.

    Args:
        network: the network that runs.
    """

    def __init__(self, network: Network) -> None:
        self._synapses, self._labels = list(network.synapses()), network.labels
        self._reach = [fan_out(layer, before) for layer, before, _ in self._synapses]
        self._counters = [SpikeCounter(reach) for reach in self._reach]
        self._per_image: list[np.ndarray] = []
        self._waiting: list[np.ndarray] = []
        self._steps: list[StepMoments] = []
        self._raster: tuple[np.ndarray, ...] = ()
        self._input_neurons, self._from_pixels = 0, network.input_neurons is not None
        self._graded, self._widest = network.graded, [0] * len(self._synapses)

    def add(self, chunk: Iterable[Activity]) -> None:
        """Counts one chunk.

        Where input neurons turn images into spikes, their activity comes first; the pixels are no spikes and are not
        counted, the neurons' updates are.

        Raises:
            DataError: the chunk has another window than those before it, or is not of this network.
        """
        self.keep(self.counted(chunk))

    def counted(self, chunk: Iterable[Activity]) -> Counted:
        """Counts one chunk, layer after layer as they come, in any thread; :meth:`keep` adds it to the others.

        Raises:
            DataError: it is not of this network.
        """
        found, of, before = Counted(), len(self._synapses), None
        layers = iter(chunk)
        if len(chunk) == of + 1 if isinstance(chunk, Sequence) else self._from_pixels:
            found.input_neurons = math.prod(next(layers).spikes.shape[2:])
        for layer in layers:
            k = len(found.tallies)
            if k >= of:
                raise DataError(f"activity of more than {of} layers, the network has {of}")
            if not self._raster:
                found.raster += [_first_image(spikes) for spikes in (layer.entering, layer.spikes)[k > 0 :]]
            seen = _seen(layer) if isinstance(self._synapses[k][0], RecurrentDense) else layer.entering
            tally = self._counters[k].tally(seen)
            found.widest.append(_largest(layer.entering) if self._graded[k] else 0)
            if before is not None:
                found.sent.append(tally.spikes if _same(before, seen) else _fired(before))
            found.tallies.append(tally)
            before = layer.spikes
        if len(found.tallies) != of or before is None:
            raise DataError(f"activity of {len(found.tallies)} layers, the network has {of}")
        found.sent.append(_fired(before))
        return found

    def keep(self, found: Counted) -> None:
        """Adds what :meth:`counted` gave.

        Raises:
            DataError: it has another window than those before it.
        """
        steps = len(found.tallies[0].spikes)
        if not self._steps:
            self._steps = [StepMoments(steps) for _ in found.tallies]
            self._raster = tuple(found.raster)
        if len(self._steps[0]) != steps:
            raise DataError(f"a chunk of {steps} steps after chunks of {len(self._steps[0])}; count them apart")
        for counter, tally in zip(self._counters, found.tallies, strict=True):
            counter.keep(tally)
        self._input_neurons = max(self._input_neurons, found.input_neurons)
        self._widest = [max(pair) for pair in zip(self._widest, found.widest, strict=True)]
        layers = zip(found.tallies, found.sent, strict=True)
        self._waiting.append(np.stack([np.stack([t.spikes, t.operations, sent], axis=-1) for t, sent in layers]))
        if sum(table.shape[2] for table in self._waiting) >= _BATCH:
            self._settle()

    def _settle(self) -> None:
        """Sums up what waits: a few images at a time would take longer to sum up than to count."""
        if self._waiting:
            table, self._waiting = np.concatenate(self._waiting, axis=2), []
            for moments, layer in zip(self._steps, table, strict=True):
                moments.add(layer)
            self._per_image.append(table.sum(axis=1))

    def result(self) -> Counts:
        """What has been counted so far.

        Raises:
            DataError: nothing has.
        """
        self._settle()
        if not self._per_image:
            raise DataError("no image was counted; give at least one")
        per_image = np.concatenate(self._per_image, axis=1)
        steps = len(self._steps[0])
        layers = tuple(self._layer(k, per_image[k], steps) for k in range(len(self._synapses)))
        return Counts(
            images=per_image.shape[1],
            steps=steps,
            layers=layers,
            per_image=per_image,
            entering=tuple(counter.by_neuron for counter in self._counters),
            input_updates=self._input_neurons * steps,
            raster=self._raster,
        )

    def _layer(self, k: int, per_image: np.ndarray, steps: int) -> LayerCounts:
        node, before, after = self._synapses[k]
        layer, inputs = unlooped(node, before)
        neurons, synapses = math.prod(after), int(self._reach[k].sum())
        spreads = {name: spread_over(per_image[:, i]) for i, name in enumerate(QUANTITIES)}
        synops = spreads["synops"].mean
        return LayerCounts(
            layer=self._labels[k],
            inputs=math.prod(inputs),
            neurons=neurons,
            synapses=synapses,
            spikes_in=spreads["spikes_in"].mean,
            synops=synops,
            spikes=spreads["spikes"].mean,
            updates=neurons * steps,
            activity=spreads["spikes"].mean / (neurons * steps),
            sparsity=1 - synops / (synapses * steps) if synapses else 1.0,
            zero_weights=float((layer.weight == 0).mean()),
            macs=macs(layer, inputs),
            message_bits=self._widest[k].bit_length() + 1 if self._graded[k] else 0,
            over_images=spreads,
            over_steps=self._steps[k].spreads(len(per_image)),
        )


def _seen(layer: Activity) -> torch.Tensor:
    """What passes a recurrent layer's synapses: the spikes that enter, then its own."""
    return torch.cat([layer.entering.to(layer.spikes.dtype), layer.spikes], dim=2)


def _same(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether both are views of the same spikes, so that one count serves both."""
    return left.numel() == right.numel() and left.data_ptr() == right.data_ptr()


def _fired(spikes: torch.Tensor) -> np.ndarray:
    """Spikes of each step and image: int64 ``(steps, images)``."""
    return SpikeCounter(np.zeros(tuple(spikes.shape[2:]), np.int64)).tally(spikes).spikes


def _first_image(spikes: torch.Tensor) -> np.ndarray:
    return (spikes[:, 0].reshape(len(spikes), -1) != 0).to("cpu", torch.uint8).numpy()


def _largest(messages: torch.Tensor) -> int:
    """The number whose bits, and one for the sign, hold every message."""
    return max(int(messages.max()), ~int(messages.min()))


def count(network: Network, activity: Iterable[Sequence[Activity]]) -> Counts:
    """Counts over all chunks of a run of :meth:`sim.twin.engine.Engine.run`.

    Raises:
        DataError: the run gave no image.
    """
    counter = Counter(network)
    for chunk in activity:
        counter.add(chunk)
    return counter.result()


def count_traces(network: Network, spikes: np.ndarray, traces: Sequence[Trace]) -> Counts:
    """Counts from traces that were kept, of whichever backend.

    Args:
        network: that was run.
        spikes: that entered it, ``(images, steps, *input shape)``.
        traces: of every layer with neurons, aligned by sample.

    Raises:
        DataError: spikes or traces that do not fit the network.
    """
    outside = np.asarray(spikes)
    if outside.shape[2:] != network.input_shape and (*outside.shape[2:], 1, 1) != network.input_shape:
        raise DataError(f"input spikes have shape {outside.shape}, expected (images, steps, *{network.input_shape})")
    layers = list(network.synapses())
    if len(traces) != len(layers):
        raise DataError(f"traces of {len(traces)} layers, the network has {len(layers)}")
    fired = [outside, *(trace.s for trace in traces)]
    chunk = []
    for k, (_, before, after) in enumerate(layers):
        entering, leaving = (
            np.ascontiguousarray(s.swapaxes(0, 1), np.uint8 if s.itemsize == 1 else np.int32) for s in fired[k : k + 2]
        )
        if leaving.shape[:2] != entering.shape[:2] or leaving.shape[2:] != after:
            steps, images = entering.shape[:2]
            raise DataError(f"{network.labels[k]}: spikes {fired[k + 1].shape}, expected {(images, steps, *after)}")
        arrived = torch.from_numpy(entering.reshape(*entering.shape[:2], *before))
        chunk.append(Rasters(arrived, torch.from_numpy(leaving)))
    return count(network, [chunk])

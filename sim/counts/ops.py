"""Exact counts of what a network does: spikes, synaptic operations, neuron updates.

A synaptic operation is one spike arriving over one synapse that exists (see :mod:`sim.counts.fan_out`). Loihi 2's own
counters count the same. A graded message counts as a spike does, whatever it says: one event, which costs a
multiplication at every synapse that it reaches; a neuron whose message is 0 sends none. How wide messages are is told
beside the counts, and no profile has a figure for it. Counts are whole numbers from the spikes to the totals; only
means and spreads are rounded. They are taken chunk by chunk beside the engine and keep 24 bytes an image and layer: any
number of images can be counted.
"""

from __future__ import annotations

import itertools
import math
import operator
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from esvae.arrays import Float64, Int64, Shaped, UInt8
from esvae.errors import DataError
from export.ir import Network, RecurrentDense, unlooped
from sim.counts.alike import Tally
from sim.counts.by_thread import ThreadCounts
from sim.counts.fan_out import Macs, fan_out, macs
from sim.counts.kernel import Reach
from sim.counts.spread import QUANTITIES, Spread, StepCounts, StepMoments, spread_over
from sim.trace import Trace

__all__ = [
    "Activity",
    "Counter",
    "Counts",
    "LayerCounts",
    "Rasters",
    "count",
    "count_traces",
]


@runtime_checkable
class Activity(Protocol):
    """One layer's spikes over a chunk of images, as :class:`sim.twin.engine.LayerActivity` has them."""

    @property
    def entering(self) -> Shaped[torch.Tensor, "steps images *input"]:
        """0 or 1, or messages."""

    @property
    def spikes(self) -> Shaped[torch.Tensor, "steps images *layer"]:
        """0 or 1, or messages."""

    @property
    def tally(self) -> Tally | None:
        """One of :meth:`Counter.tallies`, where spikes were counted as they were fired."""


@dataclass(frozen=True, eq=False)
class Rasters:
    """An :class:`Activity` from arrays at hand."""

    entering: Shaped[torch.Tensor, "steps images *input"]
    spikes: Shaped[torch.Tensor, "steps images *layer"]
    tally: None = None


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


class Counter:
    """Counts chunk after chunk of a run of :meth:`sim.twin.engine.Engine.run`, or of one that
    :meth:`~sim.twin.engine.Engine.over` shares out: each thread counts for itself.

    Args:
        network: the network that runs.
    """

    def __init__(self, network: Network) -> None:
        self._synapses, self._labels = list(network.synapses()), network.labels
        self._reach = [Reach(fan_out(layer, before)) for layer, before, _ in self._synapses]
        self._leaving = [Reach(np.zeros(after, np.int64)) for _, _, after in self._synapses]
        # Whether what leaves a layer is, as it is, all that enters the next one.
        pairs = itertools.pairwise(self._synapses)
        self._passes = [ends[2] == begins[1] and not isinstance(begins[0], RecurrentDense) for ends, begins in pairs]
        self._from_pixels, self._graded = network.input_neurons is not None, network.graded
        self._steps, self._images = 0, 0
        self._raster: list[np.ndarray] = []
        self._lock, self._own, self._parts = threading.Lock(), threading.local(), list[ThreadCounts]()

    def add(self, chunk: Iterable[Activity], first: int | None = None) -> None:
        """Counts one chunk, layer after layer as they come.

        Where input neurons turn images into spikes, their activity comes first; the pixels are no spikes and are not
        counted, the neurons' updates are.

        Args:
            chunk: the layers' activities.
            first: number of its first image, from 0 on; the one after those before unless given.

        Raises:
            DataError: the chunk has another window than those before it, or is not of this network.
        """
        of, table = len(self._synapses), list[list[np.ndarray]]()
        ahead: Tally | None = None
        before: torch.Tensor | None = None
        with_pixels = self._from_pixels
        if isinstance(chunk, Sequence):
            with_pixels = len(chunk) == of + 1
            if len(chunk) - with_pixels != of:
                raise DataError(f"activity of {len(chunk)} layers, the network has {of}")
        layers, k = iter(chunk), 0
        updated = math.prod(next(layers).spikes.shape[2:]) if with_pixels else 0
        for layer in layers:
            if k == 0:
                steps, images = layer.entering.shape[:2]
                part, first = self._begin(steps, images, first)
                part.input_neurons = updated
            if first == 0:
                self._raster += [_first_image(spikes) for spikes in (layer.entering, layer.spikes)[k > 0 :]]
            if ahead is not None and self._passes[k - 1]:
                fired, operations = ahead.fired, ahead.operations
            else:
                seen = _seen(layer) if isinstance(self._synapses[k][0], RecurrentDense) else layer.entering
                fired, operations = part.counters[k].add(seen)
                if before is not None:
                    table[-1].append(fired if _same(before, seen) else part.leaving[k - 1].add(before)[0])
                del seen
            if self._graded[k]:
                part.widest[k] = max(part.widest[k], _largest(layer.entering))
            table.append([fired, operations])
            taken = layer.tally is not None and layer.tally.taken
            ahead, before, k = layer.tally if taken else None, None if taken else layer.spikes, k + 1
            if ahead is not None:
                table[-1].append(ahead.fired)
            del layer  # what has been counted is memory for what comes
        assert first is not None
        if before is not None:
            table[-1].append(part.leaving[-1].add(before)[0])
        part.keep(first, table)

    def tallies(self, steps: int, images: int) -> list[Tally | None]:
        """For each layer, counts of the spikes that it will fire in the next chunk of this thread.

        They are for neurons to take on their way, while the spikes lie in a cache; :meth:`add` takes them over, and
        counts by itself where they were not taken.
        """
        part = self._part(steps)
        return [
            (part.counters[k + 1] if passes else part.leaving[k]).tally(images)
            for k, passes in enumerate([*self._passes, False])
        ]

    def _begin(self, steps: int, images: int, first: int | None) -> tuple[ThreadCounts, int]:
        """What this thread has counted, and the number of the first of these images."""
        part = self._part(steps)
        with self._lock:
            first = self._images if first is None else first
            self._images += images
        return part, first

    def _part(self, steps: int) -> ThreadCounts:
        """What this thread has counted."""
        with self._lock:
            self._steps = self._steps or steps
            if self._steps != steps:
                raise DataError(f"a chunk of {steps} steps after chunks of {self._steps}; count them apart")
            if not hasattr(self._own, "part"):
                self._own.part = ThreadCounts(self._reach, self._leaving, steps)
                self._parts.append(self._own.part)
        part: ThreadCounts = self._own.part
        return part

    def result(self) -> Counts:
        """What has been counted so far.

        Raises:
            DataError: nothing has.
        """
        if not self._parts:
            raise DataError("no image was counted; give at least one")
        for part in self._parts:
            part.settle()
        ordered = sorted((each for part in self._parts for each in part.per_image), key=operator.itemgetter(0))
        per_image = np.concatenate([counted for _, counted in ordered], axis=1)
        layers = tuple(self._layer(k, per_image[k]) for k in range(len(self._synapses)))
        return Counts(
            images=per_image.shape[1],
            steps=self._steps,
            layers=layers,
            per_image=per_image,
            entering=tuple(
                np.sum([part.counters[k].by_neuron for part in self._parts], axis=0) for k in range(len(layers))
            ),
            input_updates=max(part.input_neurons for part in self._parts) * self._steps,
            raster=tuple(self._raster),
        )

    def _layer(self, k: int, per_image: np.ndarray) -> LayerCounts:
        steps, widest = self._steps, max(part.widest[k] for part in self._parts)
        moments = StepMoments(steps)
        for part in self._parts:
            moments.merge(part.moments[k])
        node, before, after = self._synapses[k]
        layer, inputs = unlooped(node, before)
        neurons, synapses = math.prod(after), int(self._reach[k].synapses.sum())
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
            message_bits=widest.bit_length() + 1 if self._graded[k] else 0,
            over_images=spreads,
            over_steps=moments.spreads(len(per_image)),
        )


def _seen(layer: Activity) -> torch.Tensor:
    """What passes a recurrent layer's synapses: the spikes that enter, then its own."""
    return torch.cat([layer.entering.to(layer.spikes.dtype), layer.spikes], dim=2)


def _same(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether both are views of the same spikes, so that one count serves both."""
    return left.numel() == right.numel() and left.data_ptr() == right.data_ptr()


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

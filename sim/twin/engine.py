"""The integer twin: the fast, batched backend, equal to :mod:`sim.reference` in every integer.

Time is folded into the batch, so that one convolution serves all steps of several images; then one compiled pass runs
the neurons over the window. Images go through in chunks that fit a given memory and, where that allows, the processor's
cache; where a chunk has work for every thread, each takes its part of the images through all layers. Integers do not
depend on the order of summation, so neither chunks nor threads change a result.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numba
import numpy as np
import torch

from esvae.arrays import Int32, Real
from esvae.errors import ConfigError
from esvae.machine.allocator import keep_large_blocks
from esvae.machine.threads import each_in_a_thread, threads
from export.ir import Flatten, InputNeurons, Network, Shape, Synapse, is_graded
from sim.counts.alike import Tally
from sim.stimulus import Stimulus, as_stimulus
from sim.trace import Trace
from sim.twin.stages import InputStage, Stage, States
from sim.twin.sums import Path
from sim.twin.synapses import logical

__all__ = ["DEFAULT_MEMORY", "Engine", "LayerActivity"]

#: Bytes that a chunk of images may take, where the caller does not say.
DEFAULT_MEMORY = 1 << 29
#: Bytes of the widest layer's sums, in float32, that still lie in a thread's caches together with the spikes beside
#: them; gathered sums take half.
_CACHED = 1 << 23
#: Images to a thread, where the memory holds them: with fewer, what a call costs shows beside what it computes.
_LEAST = 16
#: Updates of neurons for which a thread of its own is worth it, about 2 ms: threads take turns in what is not compiled.
_SHARE = 1 << 21
#: Updates of neurons after which threads wait for each other, about a quarter of a second: what is left of a round when
#: the first of them finds nothing more to do is time that it loses.
_ROUND = 1 << 28
_FLOAT = 4
_Found = TypeVar("_Found")


@dataclass(frozen=True, eq=False)
class LayerActivity:
    """One layer's part of a run over a chunk of images.

    Attributes:
        layer: what it is: synapses with neurons, or input neurons, which nothing enters.
        input_shape, shape: of what enters, and of its neurons.
        trace: states after every step, or None.
        tally: counts of these spikes, where some were wanted; they hold where they were taken.
    """

    layer: Synapse | InputNeurons
    input_shape: Shape
    shape: Shape
    trace: Trace | None
    tally: Tally | None
    _entered: Real[torch.Tensor, "steps images before"]
    _before: Shape
    _left: Real[torch.Tensor, "steps images neurons"]
    _end: Int32[torch.Tensor, "images neurons"]

    @cached_property
    def entering(self) -> Real[torch.Tensor, "steps images *input"]:
        """Spikes, 0 or 1, or messages, int32, that entered."""
        before = logical(self._entered, self._before)
        return before.reshape(*before.shape[:2], *self.input_shape)

    @cached_property
    def spikes(self) -> Real[torch.Tensor, "steps images *layer"]:
        """Spikes or messages that left, likewise."""
        return logical(self._left, self.shape)

    @cached_property
    def v_end(self) -> Int32[np.ndarray, " images *layer"]:
        """Membrane potential after the last step; of sigma-delta neurons ``act``."""
        return logical(self._end, self.shape).cpu().numpy()


class Engine:
    """A network made ready for repeated runs.

    Args:
        network: the integer network.
        device: ``cpu``, ``cuda``, or another of torch's.
        memory: bytes that a chunk may take; one image is run whatever it takes.
        path: how sums are computed on the CPU (see :data:`sim.twin.sums.Path`); the integers are the same.

    Raises:
        ConfigError: a device that is not there.
    """

    def __init__(
        self, network: Network, device: str = "cpu", *, memory: int = DEFAULT_MEMORY, path: Path = "auto"
    ) -> None:
        self.network, self._memory, self._settled = network, memory, set[bool]()
        self._device = _checked_device(device)
        if self._device.type == "cpu":
            keep_large_blocks()
        self._make(self._device.type != "cpu", path)

    def _make(self, portable: bool, path: Path) -> None:
        """Makes the stages; ``portable`` is what runs off the CPU."""
        network, device = self.network, self._device
        self._input = None
        if network.input_neurons is not None:
            self._input = InputStage(network.input_neurons, network.input_shape, device, portable)
        self._stages: list[Stage] = []
        shape = memory_shape = network.input_shape
        graded = iter(network.graded)
        for layer, after in zip(network.layers, network.shapes, strict=True):
            if not isinstance(layer, Flatten):
                stage = Stage(layer, shape, memory_shape, after, device, portable, path, next(graded))
                self._stages.append(stage)
                memory_shape = after
            shape = after

    def run(
        self,
        given: np.ndarray | Stimulus,
        *,
        trace: bool = False,
        chunk: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Iterator[list[LayerActivity]]:
        """Runs images from rest, some at a time; the results do not depend on how many.

        Args:
            given: spikes, 0 or 1, ``(images, steps, *input shape)``; or a stimulus, which may also hold images for
                input neurons, resets and staggered time.
            trace: also keep the states after every step.
            chunk: images to a pass; None for as many as fit the memory and the cache.
            progress: called with the number of images done after each chunk.

        Yields:
            For each chunk, the activity of each layer with neurons, in file order.

        Raises:
            DataError: a stimulus that does not fit the network.
        """
        stimulus = as_stimulus(self.network, given)
        rounds = self._rounds(stimulus, chunk, trace=trace, turns=1)  # as activities are large
        return _each(lambda part: list(self._activities(_part(stimulus, part), trace)), rounds, progress)

    def over(
        self,
        function: Callable[[Iterator[LayerActivity], range], _Found],
        given: np.ndarray | Stimulus,
        *,
        trace: bool = False,
        chunk: int | None = None,
        progress: Callable[[int], None] | None = None,
        tallies: Callable[[int, int], Sequence[Tally | None]] | None = None,
    ) -> Iterator[_Found]:
        """As :meth:`run`, but gives what a function makes of each chunk, in the thread that computes it.

        As many chunks are computed at once as there are threads.

        Args:
            function: takes the activity of one layer after the other, as they are computed, and which images those of
                the chunk are.
            given, trace, chunk, progress: see there.
            tallies: of so many steps and images, what may count each layer's spikes as they are fired.
        """
        stimulus = as_stimulus(self.network, given)

        def found(part: range) -> _Found:
            some = None if tallies is None else tallies(stimulus.steps, len(part))
            return function(self._activities(_part(stimulus, part), trace, some), part)

        return _each(found, self._rounds(stimulus, chunk, trace=trace), progress)

    def potentials(
        self, given: np.ndarray | Stimulus, *, chunk: int | None = None, progress: Callable[[int], None] | None = None
    ) -> Iterator[Int32[np.ndarray, " images *layer"]]:
        """As :meth:`run`, but gives of each chunk only the last layer's potentials after the last step."""
        stimulus = as_stimulus(self.network, given)

        def end(part: range) -> np.ndarray:
            for _, _, states in self._pass(_part(stimulus, part), False):
                v_end = states[0]
            return logical(v_end, self._shapes[-1]).cpu().numpy()

        return _each(end, self._rounds(stimulus, chunk, kept=False), progress)

    def _rounds(
        self,
        stimulus: Stimulus,
        chunk: int | None,
        *,
        kept: bool = True,
        trace: bool = False,
        turns: int | None = None,
    ) -> Iterator[list[range]]:
        """Images to compute before threads wait for each other, in parts, each for all threads or for one.

        Args:
            stimulus: what enters.
            chunk: images of a part for all threads; None for as many as fit, and a thread each where that is worth it.
            kept, trace: see :meth:`_chunk`.
            turns: parts of a thread in a round; None for as many as are worth it.
        """
        steps, images = stimulus.steps, len(stimulus)
        size = chunk or self._chunk(steps, kept=kept, trace=trace)
        work = min(size, images) * self._updates(steps)
        hands = 1 if chunk else self._hands(min(size, images), work, trace)
        if hands == 1:
            yield from ([range(first, min(first + size, images))] for first in range(0, images, size))
            return
        count = min(hands * -(-images // size), images)
        cuts = [images * number // count for number in range(count + 1)]
        parts = [range(*pair) for pair in itertools.pairwise(cuts)]
        together = hands * (turns or max(1, _ROUND // work))
        for first in range(0, count, together):
            yield parts[first : first + together]

    def _hands(self, images: int, updates: int, trace: bool) -> int:
        """Threads that take images of their own of so many, which are so much work; from then on they may."""
        hands = numba.get_num_threads() if self._device.type == "cpu" else 1
        if images < hands or updates < hands * _SHARE:
            return 1
        if hands > 1 and trace not in self._settled:
            with threads(1):
                for stage in self._stages:
                    stage.settle(trace)
            self._settled.add(trace)
        return hands

    def _updates(self, steps: int) -> int:
        """Updates of neurons that an image takes."""
        return steps * sum(math.prod(shape) for shape in self._shapes)

    def final_potentials(
        self, given: np.ndarray | Stimulus, *, progress: Callable[[int], None] | None = None
    ) -> Int32[np.ndarray, " images *layer"]:
        """Membrane potential of the last layer after the last step."""
        stimulus = as_stimulus(self.network, given)
        found = np.empty((len(stimulus), *self._shapes[-1]), np.int32)
        first = 0
        for potentials in self.potentials(stimulus, progress=progress):
            found[first : first + len(potentials)] = potentials
            first += len(potentials)
        return found

    def traces(self, given: np.ndarray | Stimulus) -> list[Trace]:
        """States of every layer after every step: int32, as are messages; uint8 for the spikes."""
        chunks = [[layer.trace for layer in layers] for layers in self.run(given, trace=True)]
        return [
            Trace(*(np.concatenate([getattr(t, name) for t in layer]) for name in ("u", "v", "s")))
            for layer in zip(*chunks, strict=True)
        ]

    @property
    def _shapes(self) -> list[Shape]:
        """Shape of each layer with neurons."""
        first = [] if self._input is None else [self._input.shape]
        return first + [stage.shape for stage in self._stages]

    def _chunk(self, steps: int, *, kept: bool, trace: bool) -> int:
        """Images to a pass: what the memory holds, at most what the cache does."""
        sizes = [math.prod(self.network.input_shape), *(math.prod(shape) for shape in self._shapes)]
        widest = max(sizes) * steps * _FLOAT
        held = (sum(sizes) if kept else max(sizes)) * steps * _FLOAT + 2 * widest
        if trace:  # u, v and s, in the order of the steps and then in that of the images
            held += 6 * sum(sizes) * steps * _FLOAT
        fitting = self._memory // held
        if self._device.type == "cpu":
            fitting = min(fitting, max(_CACHED // widest, _LEAST) * numba.get_num_threads())
        return max(1, fitting)

    def _pass(
        self, part: Stimulus, trace: bool, tallies: Sequence[Tally | None] | None = None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, States]]:
        """For each layer with neurons: the raster that entered, the one that left, and the states."""
        number = 0
        if self._input is not None:
            assert part.images is not None
            resets = part.timing.resets(0, part.steps)
            raster, states = self._input.run(part.images, part.steps, resets, trace)
            yield raster.new_zeros(part.steps, len(part), 0), raster, states
            number = 1
        else:
            assert part.spikes is not None
            raster = self._entered(part.spikes)
        for stage, tally in zip(self._stages, tallies or [None] * len(self._stages), strict=True):
            if part.timing.stagger:
                raster = torch.cat([torch.zeros_like(raster[:1]), raster[:-1]])
            entered = raster
            raster, states = stage.run(entered, part.timing.resets(number, part.steps), trace, tally)
            yield entered, raster, states
            number += 1

    def _entered(self, spikes: np.ndarray) -> torch.Tensor:
        """Spikes ``(images, steps, *input shape)`` as a raster in memory order."""
        images, steps = spikes.shape[:2]
        turned = np.moveaxis(spikes, 2, -1) if spikes.ndim == 5 else spikes
        rows = turned.reshape(images, steps, -1).swapaxes(0, 1)
        return torch.from_numpy(np.ascontiguousarray(rows)).to(self._device, torch.uint8)

    def _activities(
        self, part: Stimulus, trace: bool, tallies: Sequence[Tally | None] | None = None
    ) -> Iterator[LayerActivity]:
        if part.timing.stagger:  # what leaves a layer is not what enters the next at the same step
            tallies = None
        synapses = [(stage.layer, stage.input_shape, stage.shape) for stage in self._stages]
        if self._input is not None and self.network.input_neurons is not None:
            neurons: Synapse | InputNeurons = self.network.input_neurons
            layers = [(neurons, (0,), self._input.shape), *synapses]
        else:
            layers = list(synapses)
        before_shape: Shape = self.network.input_shape if self._input is None else (0,)
        taken = [None] * (len(layers) - len(self._stages)) + [*(tallies or [None] * len(self._stages))]
        passed = zip(layers, taken, self._pass(part, trace, tallies), strict=True)
        for (layer, input_shape, shape), tally, (entered, left, states) in passed:
            kept = None
            if trace:
                sent = left if is_graded(layer.neuron) else left.to(torch.uint8)
                rasters = (*(x for x in states[1:] if x is not None), sent)
                by_image = (logical(x, shape).transpose(0, 1).cpu() for x in rasters)
                kept = Trace(*(np.ascontiguousarray(x.numpy()) for x in by_image))
            yield LayerActivity(layer, input_shape, shape, kept, tally, entered, before_shape, left, states[0])
            before_shape = shape


def _each(
    function: Callable[[range], _Found], rounds: Iterable[list[range]], progress: Callable[[int], None] | None
) -> Iterator[_Found]:
    """What a function makes of each part of the images, in order."""
    for parts in rounds:
        for part, found in zip(parts, each_in_a_thread(function, parts), strict=True):
            yield found
            if progress is not None:
                progress(part.stop)


def _part(stimulus: Stimulus, images: range) -> Stimulus:
    return stimulus.part(images.start, images.stop)


def _checked_device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device '{name}': expected cpu, cuda or another device of torch's") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device 'cuda': torch finds no GPU here; use cpu, or install a CUDA build of torch")
    return device

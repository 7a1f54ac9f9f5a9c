"""A prior made of gates, run from power-on: fast, since neurons without memory need no states but their spikes.

Equal to the twin and the reference in every spike; 10^5 images take seconds. The order of images is the chip's: image i
is the window that begins ``start + i * T`` steps after power-on, whoever asks for it and whatever was asked before.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from esvae.arrays import Integer, UInt8
from esvae.chip.formats import DECAY_UNITY
from esvae.errors import UnsupportedLayerError
from esvae.machine.jit import kernel
from export.ir import CircuitPrior, Dense, Lif, RecurrentDense

__all__ = ["CircuitRun", "circuit_latents", "circuit_windows"]

#: Images that are run at a time on the way to those that are wanted.
_CHUNK = 512


@kernel()
def _run(
    first: Any,
    targets: Any,
    weights: Any,
    bias: Any,
    read: Any,
    reads: Any,
    latent_bias: Any,
    spikes: Any,
    source: Any,
    latents: Any,
) -> None:
    """Runs as many steps as ``source`` has rows, from ``spikes``, which is left as the last step has them.

    ``first``, ``targets`` and ``weights`` are the recurrent synapses by the neuron that fires; ``read`` the latents',
    a row a neuron, and ``reads`` where there are any.
    """
    sums, drive = np.empty_like(bias), np.empty_like(latent_bias)
    for step in range(len(source)):
        for neuron in range(len(bias)):
            sums[neuron] = bias[neuron]
        for latent in range(len(drive)):
            drive[latent] = latent_bias[latent]
        for neuron in range(len(bias)):
            if spikes[neuron]:
                for at in range(first[neuron], first[neuron + 1]):
                    sums[targets[at]] += weights[at]
        for neuron in range(len(bias)):
            spikes[neuron] = sums[neuron] > 0
            source[step, neuron] = spikes[neuron]
            if spikes[neuron] and reads[neuron]:
                for latent in range(len(drive)):
                    drive[latent] += read[neuron, latent]
        for latent in range(len(drive)):
            latents[step, latent] = drive[latent] > 0


class CircuitRun:
    """Source and latents, run on from power-on as far as somebody wants.

    Args:
        prior: its neurons must have no memory.

    Raises:
        UnsupportedLayerError: they have.

    Attributes:
        steps: time steps that the source has done.
    """

    def __init__(self, prior: CircuitPrior) -> None:
        outgoing = prior.source.recurrent.T
        _, self._targets = np.nonzero(outgoing)
        self._weights = outgoing[outgoing != 0].astype(np.int32)
        self._first = np.concatenate([[0], np.cumsum(np.count_nonzero(outgoing, axis=1))])
        self._bias, self._latent_bias = _drive(prior.source, "source"), _drive(prior.latents, "latents")
        self._read = np.ascontiguousarray(prior.latents.weight.T, dtype=np.int32)
        self._reads = self._read.any(axis=1)
        self._spikes = np.zeros(len(self._bias), np.uint8)
        self.steps = 0

    def advance(self, steps: int) -> tuple[UInt8[np.ndarray, "steps neurons"], UInt8[np.ndarray, "steps latents"]]:
        """The source's spikes in the next steps, and what the latents answer to each, a time step later."""
        source = np.empty((steps, len(self._bias)), np.uint8)
        latents = np.empty((steps, len(self._latent_bias)), np.uint8)
        synapses = (self._first, self._targets, self._weights, self._bias, self._read, self._reads)
        _run(*synapses, self._latent_bias, self._spikes, source, latents)
        self.steps += steps
        return source, latents


def _drive(layer: RecurrentDense[Lif] | Dense[Lif], name: str) -> np.ndarray:
    """What is added at every step, less the threshold: a neuron without memory fires where the sum is above 0."""
    neuron = layer.neuron
    if (neuron.current_decay, neuron.voltage_decay) != (DECAY_UNITY, DECAY_UNITY):
        raise UnsupportedLayerError(f"{name} of the circuit: expected decays of {DECAY_UNITY}, got {neuron}")
    bias = np.zeros(layer.outputs, np.int32) if layer.bias is None else layer.bias.astype(np.int32)
    return bias - np.int32(neuron.threshold)


#: Runs that can go on where the images before were taken; a run is far smaller than its prior.
_RUNS: WeakKeyDictionary[CircuitPrior, CircuitRun] = WeakKeyDictionary()


def circuit_windows(
    prior: CircuitPrior, steps: int, first: int, stop: int
) -> tuple[UInt8[np.ndarray, "images steps neurons"], UInt8[np.ndarray, "images steps latents"]]:
    """Spikes of source and latents in images ``first`` to before ``stop``, aligned by image as the decoder is.

    Args:
        prior: of the network.
        steps: the window.
        first, stop: images, counted from power-on.
    """
    begin = prior.layout.start + first * steps
    run = _RUNS.get(prior)
    if run is None or run.steps > begin:
        run = _RUNS[prior] = CircuitRun(prior)
    while run.steps < begin:
        run.advance(min(_CHUNK * steps, begin - run.steps))
    source, latents = run.advance((stop - first) * steps)
    return source.reshape(stop - first, steps, -1), latents.reshape(stop - first, steps, -1)


def circuit_latents(
    prior: CircuitPrior, steps: int, images: Integer[np.ndarray, " images"]
) -> UInt8[np.ndarray, "images steps latents"]:
    """Latent spikes of the given images, in whatever order they are named."""
    found = np.empty((len(images), steps, prior.latents.outputs), np.uint8)
    order = np.argsort(images, kind="stable")
    ends = np.flatnonzero(np.diff(images[order]) != 1) + 1  # stretches of images one after the other
    for stretch in np.split(order, ends):
        for begin in range(0, len(stretch), _CHUNK):
            part = stretch[begin : begin + _CHUNK]
            low = int(images[part[0]])
            _, found[part] = circuit_windows(prior, steps, low, low + len(part))
    return found

"""When everything happens: which time step of Lava (or of the chip) serves which step of which image.

All images run back to back without a pause. Every synapse holds its sums back by one time step, so each layer works on
a sample's step one time step after the layer before it. With the source's step ``t`` of an image counted from 1, and
layers with neurons from 0::

    source   sends step t of image i            at time step   start + i*T + t - 1
    layer k  works on step t of image i         at time step   start + i*T + t + k
    layer k  is reset to rest at the first of those, ``start + i*T + k + 1``, before it takes anything in
    the last layer shows image i                after time step  start + (i+1)*T + depth - 1

Nothing leaks from image to image, also where the window is shorter than the network is deep: layer k is reset exactly
where the first spikes of an image reach it, and what the layer before it sent earlier has arrived earlier.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from esvae.errors import DataError, UnsupportedLayerError
from export.ir import Dense, Network, RecurrentDense
from export.ir.circuit import circuit_of, whole_network

__all__ = ["LayerPlan", "Plan", "plan", "steps_of"]

_MOST_WINDOWS = 1_000_000


@dataclass(frozen=True)
class LayerPlan:
    """The clock of one layer with neurons.

    Attributes:
        layer: its label.
        first: time step, from 1, at which the layer works on the first step of the first image.
        reset_phase: the layer is reset at each time step that leaves this rest when divided by the window.
    """

    layer: str
    first: int
    reset_phase: int


@dataclass(frozen=True)
class Plan:
    """The whole run.

    Attributes:
        images: how many.
        steps: window T of one image.
        depth: layers with neurons.
        start: time step, from 1, at which the source sends the first step of the first image.
        latency: time steps from the source's sending of a step to the last layer's answer to it.
        total: time steps to run.
        reset_interval, reset_offset: what stock netx is given for these resets.
        layers: the clock of each layer.
    """

    images: int
    steps: int
    depth: int
    start: int
    latency: int
    total: int
    reset_interval: int
    reset_offset: int
    layers: tuple[LayerPlan, ...]

    def __repr__(self) -> str:
        return f"Plan({self.images} images of {self.steps} steps: {self.total} time steps, latency {self.latency})"

    @property
    def windows(self) -> list[tuple[int, int]]:
        """First and last time step at which the last layer works on each image; its potential is read after the
        last.

        Raises:
            DataError: more images than a list is made of; :meth:`window` gives any one.
        """
        if self.images > _MOST_WINDOWS:
            raise DataError(f"{self.images:,} images: the windows of at most {_MOST_WINDOWS:,} are listed")
        return [self.window(image) for image in range(self.images)]

    def window(self, image: int) -> tuple[int, int]:
        """That of one image, from 0 on."""
        first = self.layers[-1].first + image * self.steps
        return first, first + self.steps - 1

    @property
    def step_overhead(self) -> float:
        """Share of the time steps that fill and drain the pipeline."""
        return 1 - self.images * self.steps / self.total


def steps_of(network: Network, steps: int | None = None) -> int:
    """The window: ``steps`` where given, else the network's own.

    Raises:
        DataError: neither says, or fewer than one.
    """
    steps = network.time_steps if steps is None else steps
    if steps is None:
        raise DataError("the file says no window; give its length with --steps")
    if steps < 1:
        raise DataError(f"a window of {steps} steps: expected at least 1")
    return steps


def plan(network: Network, images: int, *, steps: int | None = None, start: int | None = None) -> Plan:
    """Plans ``images`` back to back.

    Args:
        network: whose layers.
        images: how many, at least 1.
        steps: window, where it is not the network's own.
        start: time step at which the source starts, at least 1; None for the first one. A prior on the chip says it
            itself: its layers are the first of the plan, and nothing enters them.

    Raises:
        DataError: no image, no window, or a start before 1.
        UnsupportedLayerError: sigma-delta neurons; delays or recurrent synapses, whose spikes would arrive in the next
            image's window.
    """
    window = steps_of(network, steps)
    if images < 1:
        raise DataError(f"{images} images: expected at least 1")
    circuit = circuit_of(network)
    if circuit is not None:
        if window != network.time_steps or start is not None:
            raise DataError(
                "this generator draws on the chip, in its own window and from its own start; leave both out"
            )
        start = circuit.layout.start
    start = 1 if start is None else start
    if start < 1:
        raise DataError(f"start at time step {start}: expected 1 or later")
    if network.sends_messages:
        raise UnsupportedLayerError(
            "sigma-delta neurons: netx cannot reset them between two images; run them one at a time: esvae simulate"
        )
    driven = network.input_neurons is not None  # neurons that an image drives as their bias
    names = whole_network(network).neuron_labels
    for where, (layer, _, _) in zip(network.labels, network.synapses(), strict=True):
        delay = layer.delay if isinstance(layer, Dense) else None
        if delay is not None and np.any(delay):
            raise UnsupportedLayerError(
                f"{where}: has delays of up to {int(np.max(delay))} steps, which reach into the next image's "
                "window; run its images one at a time: esvae simulate --backend twin"
            )
        if isinstance(layer, RecurrentDense):
            raise UnsupportedLayerError(
                f"{where}: is recurrent, so what its neurons fire last reaches into the next image's window; run its "
                "images one at a time: esvae simulate --backend twin"
            )
    first = start if driven else start + 1
    layers = tuple(LayerPlan(name, first + k, (first + k) % window) for k, name in enumerate(names))
    depth = len(layers)
    latency = layers[-1].first - start
    return Plan(
        images=images,
        steps=window,
        depth=depth,
        start=start,
        latency=latency,
        total=start - 1 + images * window + latency,
        reset_interval=window,
        reset_offset=first - 1,
        layers=layers,
    )

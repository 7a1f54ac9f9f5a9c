"""What makes a generator of a network: the prior that feeds it, and the picture that its potentials become."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import get_args

import numpy as np

from esvae.chip.formats import DEFAULT_RATE_BITS, MAX_RATE_BITS, SpikeLaw
from esvae.chip.neuron import Lif
from esvae.errors import NetFileError
from export.ir import limits
from export.ir.nodes import UNHASHED_DEFAULT, Dense, RecurrentDense, Shape

__all__ = [
    "CircuitLayout",
    "CircuitPrior",
    "ImageReadout",
    "Prior",
    "SpikeReadout",
    "check_circuit",
    "check_prior",
    "check_readout",
    "check_spike_readout",
]


@dataclass(frozen=True, eq=False)
class Prior:
    """The generator's rates: ``r = sigmoid(weight[k] @ n + bias[k])`` with ``n`` standard normal (ESVAE, section 3.3).

    Attributes:
        weight: ``(components, latents, noise)`` float32; the paper's prior has one component.
        bias: ``(components, latents)`` float32.
        share: ``(components,)`` float32, the probability of each component.
        rate_bits: fractional bits of the integer rate code that the sampler compares against.
        sampler: how a rate code becomes spikes, see :mod:`sim.sampler`.
        levels: drawn rates are rounded to multiples of ``1 / levels``, as counted ones are; None leaves them.
    """

    weight: np.ndarray
    bias: np.ndarray
    share: np.ndarray
    rate_bits: int = DEFAULT_RATE_BITS
    sampler: SpikeLaw = field(default="poisson", metadata=UNHASHED_DEFAULT)
    levels: int | None = field(default=None, metadata=UNHASHED_DEFAULT)


@dataclass(frozen=True)
class CircuitLayout:
    """What one must know of a circuit to read its spikes.

    Attributes:
        start: time steps from power-on to the first layer's first step of the first image: where image i begins, at
            ``start + i * T``, and ``reset_offset`` of netx.
        seed: that the register's first bits were drawn from; the bits themselves are weights.
        feedback: ``p`` and ``q`` of the register ``s_k = s_(k-p) xor s_(k-q)``.
        noise: lanes of the register, the first ones, that are read as noise at every step.
        groups: what the source's neurons are, in order, and how many of each.
    """

    start: int
    seed: int
    feedback: tuple[int, int]
    noise: int
    groups: tuple[tuple[str, int], ...]

    def group(self, name: str) -> slice:
        """The neurons of a group; empty where there is none."""
        at = 0
        for each, count in self.groups:
            if each == name:
                return slice(at, at + count)
            at += count
        return slice(0, 0)


@dataclass(frozen=True, eq=False)
class CircuitPrior:
    """A prior that needs no host: neurons that draw random bits, rates and latent spikes by themselves.

    Attributes:
        source: random bits, components and factors, all out of its own recurrent synapses.
        latents: the neurons that fire as latent spikes do, behind the source.
        layout: when its images begin, and what its neurons are.
    """

    source: RecurrentDense[Lif]
    latents: Dense[Lif]
    layout: CircuitLayout

    @property
    def synapses(self) -> tuple[RecurrentDense[Lif], Dense[Lif]]:
        """Its layers, in file order."""
        return self.source, self.latents


@dataclass(frozen=True)
class ImageReadout:
    """How the last layer's membrane potentials become a picture: ``tanh(v / unit)``, then a permutation of pixels.

    Attributes:
        unit: potential that stands for 1.0 before tanh (64 times the layer's weight scale).
        image_shape: ``(C, H, W)`` of the picture, values in [-1, 1].
        upscale: the last layer's ``(C * upscale^2, H / upscale, W / upscale)`` maps are interleaved as torch's
            ``pixel_shuffle`` does; 1 leaves them as they are.
    """

    unit: float
    image_shape: Shape
    upscale: int = 1


@dataclass(frozen=True, eq=False)
class SpikeReadout:
    """Pixels that tell their potentials by the time of their first spike (see :mod:`export.readout`).

    The window's last steps are its read phase. In it the drives, the last inputs, fire at every step, and at no other;
    nothing else enters. A pixel that fires for the first time at step t of the read phase stands for ``levels[:, t]``.

    Attributes:
        drives: inputs that drive the read phase.
        levels: ``(channels or neurons of the last layer, read steps + 2)`` int32, potentials at the end of the image:
            of a pixel that fired before the read phase, at each of its steps, and not at all.
    """

    drives: int
    levels: np.ndarray

    @property
    def steps(self) -> int:
        """Of the read phase."""
        return self.levels.shape[1] - 2


def check_prior(prior: Prior, latents: int) -> None:
    """Raises NetFileError unless the prior gives one rate for each of the latents."""
    components = len(prior.share)
    if prior.weight.size > limits.PRIOR_ELEMENTS:
        raise NetFileError(f"prior weight {prior.weight.shape}: at most {limits.PRIOR_ELEMENTS:,} numbers")
    if prior.weight.ndim != 3 or prior.weight.shape[:2] != (components, latents):
        raise NetFileError(f"prior weight {prior.weight.shape}, expected ({components}, {latents}, noise)")
    if prior.bias.shape != (components, latents):
        raise NetFileError(f"prior bias {prior.bias.shape}, expected ({components}, {latents})")
    if prior.share.ndim != 1 or not (prior.share >= 0).all() or not prior.share.sum() > 0:
        raise NetFileError("prior share: expected one probability for each component")
    if not 1 <= prior.rate_bits <= MAX_RATE_BITS:
        raise NetFileError(f"rate_bits {prior.rate_bits}: expected 1 to {MAX_RATE_BITS}")
    if prior.sampler not in get_args(SpikeLaw):
        raise NetFileError(f"sampler '{prior.sampler}': expected {' or '.join(get_args(SpikeLaw))}")
    if prior.levels is not None and not 1 <= prior.levels <= limits.STEPS:
        raise NetFileError(f"prior levels {prior.levels}: expected 1 to {limits.STEPS}")


def check_circuit(prior: CircuitPrior, input_shape: Shape) -> None:
    """Raises NetFileError unless the circuit's layers fit together and give one spike train for each input."""
    behind = prior.latents.output_shape(prior.source.output_shape((prior.source.inputs,)))
    if math.prod(behind) != math.prod(input_shape):
        raise NetFileError(f"the circuit has {math.prod(behind)} latents, the network takes {math.prod(input_shape)}")
    layout = prior.layout
    if not 1 <= layout.start <= limits.STEPS:
        raise NetFileError(f"circuit: start {layout.start}, expected 1 to {limits.STEPS}")
    if sum(count for _, count in layout.groups) != prior.source.outputs:
        raise NetFileError(f"circuit: groups {layout.groups} do not add up to {prior.source.outputs} neurons")


def check_readout(readout: ImageReadout, shape: Shape) -> None:
    """Raises NetFileError unless the last layer's ``shape`` gives the readout's picture."""
    channels, height, width = readout.image_shape
    r = readout.upscale
    if not (readout.unit > 0 and math.isfinite(readout.unit)):
        raise NetFileError(f"readout unit {readout.unit}: expected a positive number")
    if not 1 <= r <= max(height, width):
        raise NetFileError(f"readout upscale {r}: expected 1 to {max(height, width)}")
    maps = (channels * r * r, height // r, width // r)
    if shape != maps and shape != (math.prod(maps),):
        raise NetFileError(f"readout: the last layer {shape} does not give {readout.image_shape} images")


def check_spike_readout(told: SpikeReadout, inputs: int, shape: Shape, steps: int) -> None:
    """Raises NetFileError unless first spikes of a last layer of ``shape`` can be read in a window of ``steps``."""
    if not 1 <= told.drives < inputs:
        raise NetFileError(f"spike readout: {told.drives} drives of {inputs} inputs, expected 1 to {inputs - 1}")
    levels, neurons = told.levels, math.prod(shape)
    if levels.ndim != 2 or not len(levels) or neurons % len(levels) or levels.dtype.kind != "i":
        raise NetFileError(f"spike readout: levels {levels.shape}, expected whole numbers for {shape[0]} outputs")
    if not 1 <= told.steps < steps:
        raise NetFileError(f"spike readout: {told.steps} read steps of a window of {steps}: expected 1 to {steps - 1}")

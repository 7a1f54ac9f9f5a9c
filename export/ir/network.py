"""The network between PyTorch and the chip: frozen nodes that hold arrays in torch's axis order.

A :class:`Network` is integer: every weight, bias, threshold and decay is what the chip's registers hold. It is checked
once, when it is made, so that the writers and the simulator can rely on it. The same nodes with float arrays and a
:class:`FloatLif` make up a :class:`~export.ir.floats.FloatNetwork`, from which the passes produce it.

Axis order is torch's everywhere: ``C H W`` for maps, ``O I/groups kh kw`` for kernels, ``(y, x)`` for pairs.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property

import numpy as np

from esvae.chip.formats import BIAS, DECAY, DELAY, STATE_LIMIT, THRESHOLD, WEIGHT
from esvae.errors import HardwareRangeError, NetFileError
from export.ir import limits
from export.ir.bounds import largest_sum
from export.ir.nodes import (
    INTEGRATOR,
    NEVER_FIRES,
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    FloatLif,
    InputNeurons,
    Layer,
    Lif,
    Shape,
    Synapse,
)

#: Numbers of a large array that are widened at a time.
_BLOCK = 1 << 20

__all__ = [
    "INTEGRATOR",
    "NEVER_FIRES",
    "Conv",
    "ConvTranspose",
    "Dense",
    "Flatten",
    "FloatLif",
    "ImageReadout",
    "InputNeurons",
    "Layer",
    "Lif",
    "Network",
    "Prior",
    "Shape",
    "Synapse",
]


@dataclass(frozen=True, eq=False)
class Prior:
    """The generator's rates: ``r = sigmoid(weight[k] @ n + bias[k])`` with ``n`` standard normal (ESVAE, section 3.3).

    Attributes:
        weight: ``(components, latents, noise)`` float32; the paper's prior has one component.
        bias: ``(components, latents)`` float32.
        share: ``(components,)`` float32, the probability of each component.
        rate_bits: fractional bits of the integer rate code that the sampler compares against.
    """

    weight: np.ndarray
    bias: np.ndarray
    share: np.ndarray
    rate_bits: int = 8


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
class Network:
    """An integer spiking network, checked when made.

    Attributes:
        input_shape: ``(C, H, W)`` or ``(features,)`` of the spikes that enter at each step.
        layers: in the order in which spikes pass through them.
        time_steps: the window of one image, in steps; None where the file does not say.
        prior, readout: what makes a generator of it, or None.
        provenance: free text by key: versions, hashes, config. Not part of the content hash.
        input_neurons: neurons of the input layer, which take images instead of spikes, or None.

    Raises:
        NetFileError: shapes that do not fit together.
        HardwareRangeError: a number that the chip's registers do not hold.
    """

    input_shape: Shape
    layers: tuple[Layer, ...]
    time_steps: int | None = None
    prior: Prior | None = None
    readout: ImageReadout | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
    input_neurons: InputNeurons | None = None

    def __post_init__(self) -> None:
        if len(self.input_shape) not in (1, 3) or min(self.input_shape) < 1:
            raise NetFileError(f"input shape {self.input_shape}: expected (features,) or (C, H, W)")
        if self.depth == 0:
            raise NetFileError("the network has no layer with neurons")
        if self.time_steps is not None and not 1 <= self.time_steps <= limits.STEPS:
            raise NetFileError(f"time_steps {self.time_steps}: expected 1 to {limits.STEPS}")
        if math.prod(self.input_shape) > limits.NEURONS:
            raise NetFileError(f"input shape {self.input_shape}: at most {limits.NEURONS:,} inputs")
        if self.input_neurons is not None:
            _check_neuron(self.input_neurons.neuron, "input layer")
        shape = self.input_shape
        for index, layer in enumerate(self.layers):
            before = shape
            try:
                shape = layer.output_shape(before)
            except NetFileError as error:
                raise NetFileError(f"layer {index}: {error}") from None
            if not isinstance(layer, Flatten):
                where = f"layer {index} ({type(layer).__name__})"
                problem = limits.layer_problem(layer, before, shape)
                if problem is not None:
                    raise NetFileError(f"{where}: {problem}")
                _check_synapse(layer, shape, where)
        if self.time_steps is not None:
            problem = self.window_problem(self.time_steps)
            if problem is not None:
                raise NetFileError(problem)
        self._check_generator(shape)

    def window_problem(self, steps: int) -> str | None:
        """What is too large about a run of so many steps, or None."""
        if (problem := limits.window_problem(None, (), self.input_shape, steps)) is not None:
            return f"input: {problem}"
        for index, (layer, before, after) in enumerate(self.synapses()):
            if (problem := limits.window_problem(layer, before, after, steps)) is not None:
                return f"layer {index} ({type(layer).__name__}): {problem}"
        return None

    def _check_generator(self, shape: Shape) -> None:
        if self.prior is not None:
            latents = math.prod(self.input_shape)
            components = len(self.prior.share)
            if self.prior.weight.size > limits.PRIOR_ELEMENTS:
                raise NetFileError(f"prior weight {self.prior.weight.shape}: at most {limits.PRIOR_ELEMENTS:,} numbers")
            if self.prior.weight.ndim != 3 or self.prior.weight.shape[:2] != (components, latents):
                raise NetFileError(f"prior weight {self.prior.weight.shape}, expected ({components}, {latents}, noise)")
            if self.prior.bias.shape != (components, latents):
                raise NetFileError(f"prior bias {self.prior.bias.shape}, expected ({components}, {latents})")
            if self.prior.share.ndim != 1 or not (self.prior.share >= 0).all() or not self.prior.share.sum() > 0:
                raise NetFileError("prior share: expected one probability for each component")
            if not 1 <= self.prior.rate_bits <= limits.RATE_BITS:
                raise NetFileError(f"rate_bits {self.prior.rate_bits}: expected 1 to {limits.RATE_BITS}")
        if self.readout is not None:
            channels, height, width = self.readout.image_shape
            r = self.readout.upscale
            if not (self.readout.unit > 0 and math.isfinite(self.readout.unit)):
                raise NetFileError(f"readout unit {self.readout.unit}: expected a positive number")
            if not 1 <= r <= max(height, width):
                raise NetFileError(f"readout upscale {r}: expected 1 to {max(height, width)}")
            maps = (channels * r * r, height // r, width // r)
            if shape != maps and shape != (math.prod(maps),):
                raise NetFileError(f"readout: the last layer {shape} does not give {self.readout.image_shape} images")

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Output shape of every layer, in order."""
        shapes = []
        shape = self.input_shape
        for layer in self.layers:
            shape = layer.output_shape(shape)
            shapes.append(shape)
        return tuple(shapes)

    def synapses(self) -> Iterator[tuple[Synapse, Shape, Shape]]:
        """Each layer that has a neuron, with its input shape and its output shape, in file order."""
        shape = self.input_shape
        for layer, after in zip(self.layers, self.shapes, strict=True):
            if not isinstance(layer, Flatten):
                yield layer, shape, after
            shape = after

    @property
    def depth(self) -> int:
        """Number of layers with neurons, input neurons included."""
        return sum(not isinstance(layer, Flatten) for layer in self.layers) + (self.input_neurons is not None)

    def content_hash(self) -> str:
        """SHA-256 over everything that decides what the network computes; provenance is left out."""
        return self._hash

    @cached_property
    def _hash(self) -> str:
        digest = hashlib.sha256()
        digest.update(json.dumps([self.input_shape, self.time_steps]).encode())
        first = () if self.input_neurons is None else (self.input_neurons,)
        for node in (*first, *self.layers, self.prior, self.readout):
            digest.update(type(node).__name__.encode())
            for item in fields(node) if node is not None else ():
                value = getattr(node, item.name)
                if item.name == "delay" and value is None:
                    continue  # as the hash was before there were delays
                digest.update(item.name.encode())
                if isinstance(value, np.ndarray):
                    digest.update(json.dumps(value.shape).encode())
                    flat = np.ascontiguousarray(value).reshape(-1)
                    for start in range(0, flat.size, _BLOCK):  # the canonical numbers are wider than those kept
                        part = flat[start : start + _BLOCK]
                        digest.update(part.astype("<i8" if value.dtype.kind in "iu" else "<f8").tobytes())
                else:
                    digest.update(repr(value).encode())
        return digest.hexdigest()


def _check_neuron(neuron: Lif | FloatLif, where: str) -> None:
    if not isinstance(neuron, Lif):
        raise HardwareRangeError(f"{where}: neuron is float; quantize the network first")
    DECAY.check(neuron.current_decay, f"{where} current", "parts of 4096 lost each step")
    DECAY.check(neuron.voltage_decay, f"{where} voltage", "parts of 4096 lost each step")
    if neuron != INTEGRATOR and neuron.threshold != NEVER_FIRES:
        THRESHOLD.check(neuron.threshold, where, "use a smaller weight scale for the layer")


def _check_synapse(layer: Synapse, shape: Shape, where: str) -> None:
    _check_neuron(layer.neuron, where)
    WEIGHT.check(layer.weight, where, "use a smaller weight scale")
    if isinstance(layer, Dense) and layer.delay is not None:
        DELAY.check(layer.delay, where, "netx clamps longer delays in silence; train with max_delay=62")
    if layer.bias is not None:
        BIAS.check(layer.bias, where, "use a smaller weight scale for the layer")
        if layer.bias.shape not in (shape[:1], shape):
            raise NetFileError(f"{where}: bias has shape {layer.bias.shape}, expected {shape[:1]} or {shape}")
    most = largest_sum(layer)
    if most >= STATE_LIMIT:
        raise HardwareRangeError(f"{where}: weights of one neuron sum to {most}, above {STATE_LIMIT - 1}; split it")

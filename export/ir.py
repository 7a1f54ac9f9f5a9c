"""The network between PyTorch and the chip: frozen nodes that hold arrays in torch's axis order.

A :class:`Network` is integer: every weight, bias, threshold and decay is what the chip's registers hold. It is checked
once, when it is made, so that the writers and the simulator can rely on it. The same nodes with float arrays and a
:class:`FloatLif` make up a :class:`~export.float_network.FloatNetwork`, from which the passes produce it.

Axis order is torch's everywhere: ``C H W`` for maps, ``O I/groups kh kw`` for kernels, ``(y, x)`` for pairs.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import TypeAlias

import numpy as np

from esvae.errors import HardwareRangeError, NetFileError
from export.formats import BIAS, DECAY, STATE_LIMIT, THRESHOLD, WEIGHT

__all__ = [
    "Conv",
    "ConvTranspose",
    "Dense",
    "Flatten",
    "FloatLif",
    "ImageReadout",
    "Layer",
    "Lif",
    "Network",
    "Prior",
    "Shape",
    "Synapse",
]

Shape: TypeAlias = tuple[int, ...]
Pair: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class Lif:
    """The chip's integer leaky integrate-and-fire neuron, one set of parameters a layer.

    Attributes:
        current_decay: ``iDecay``, parts of 4096 lost each step; 4096 means a current without memory.
        voltage_decay: ``vDecay``, likewise for the membrane potential.
        threshold: ``vThMant``; the neuron fires when its potential is above ``threshold << 6``.
    """

    current_decay: int
    voltage_decay: int
    threshold: int


@dataclass(frozen=True)
class FloatLif:
    """The float neuron ``v <- keep * v + x; s = v > threshold; v[s] = 0``.

    Attributes:
        keep: the share of the potential that survives a step, 0 to 1.
        threshold: ``math.inf`` for the readout, which never fires.
    """

    keep: float
    threshold: float


@dataclass(frozen=True, eq=False)
class Dense:
    """Fully connected synapses.

    Attributes:
        weight: ``(outputs, inputs)``.
        bias: ``(outputs,)``, added at every step, or None.
    """

    weight: np.ndarray
    bias: np.ndarray | None
    neuron: Lif | FloatLif

    def output_shape(self, input_shape: Shape) -> Shape:
        """``(inputs,)`` gives ``(outputs,)``; a map must pass a :class:`Flatten` first."""
        if self.weight.ndim != 2 or 0 in self.weight.shape:
            raise NetFileError(f"dense weight has shape {self.weight.shape}, expected (outputs, inputs)")
        if input_shape != (self.weight.shape[1],):
            hint = "; put a flatten layer before it" if len(input_shape) == 3 else ""
            raise NetFileError(f"dense takes ({self.weight.shape[1]},) inputs, got {input_shape}{hint}")
        return (self.weight.shape[0],)


@dataclass(frozen=True, eq=False)
class Conv:
    """Convolution synapses (cross-correlation, as torch's ``conv2d``).

    Attributes:
        weight: ``(O, I/groups, kh, kw)``.
        bias: ``(O,)`` or one for each neuron ``(O, H, W)``, or None.
        stride, padding, dilation: ``(y, x)``.
    """

    weight: np.ndarray
    bias: np.ndarray | None
    neuron: Lif | FloatLif
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def output_shape(self, input_shape: Shape) -> Shape:
        """``(I, H, W)`` gives ``(O, H', W')``."""
        _check_kernel(self, input_shape, self.weight.shape[1] * self.groups, "conv")
        if self.weight.shape[0] % self.groups:
            raise NetFileError(
                f"conv has {self.weight.shape[0]} output channels, not a multiple of {self.groups} groups"
            )
        size = [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(
                input_shape[1:], self.padding, self.dilation, self.weight.shape[2:], self.stride, strict=True
            )
        ]
        return _positive((self.weight.shape[0], *size), "conv")


@dataclass(frozen=True, eq=False)
class ConvTranspose:
    """Transposed convolution synapses (as torch's ``conv_transpose2d``).

    Attributes:
        weight: ``(I, O/groups, kh, kw)``.
        bias: ``(O,)`` or one for each neuron ``(O, H, W)``, or None.
        stride, padding, dilation, output_padding: ``(y, x)``.
    """

    weight: np.ndarray
    bias: np.ndarray | None
    neuron: Lif | FloatLif
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    output_padding: Pair = (0, 0)
    groups: int = 1

    def output_shape(self, input_shape: Shape) -> Shape:
        """``(I, H, W)`` gives ``(O, H', W')``."""
        _check_kernel(self, input_shape, self.weight.shape[0], "transposed conv")
        if self.weight.shape[0] % self.groups:
            raise NetFileError(
                f"transposed conv has {self.weight.shape[0]} inputs, not a multiple of {self.groups} groups"
            )
        if any(o >= max(s, d) for o, s, d in zip(self.output_padding, self.stride, self.dilation, strict=True)):
            raise NetFileError(f"output padding {self.output_padding} must be below stride or dilation")
        size = [
            (n - 1) * s - 2 * p + d * (k - 1) + o + 1
            for n, s, p, d, k, o in zip(
                input_shape[1:],
                self.stride,
                self.padding,
                self.dilation,
                self.weight.shape[2:],
                self.output_padding,
                strict=True,
            )
        ]
        return _positive((self.weight.shape[1] * self.groups, *size), "transposed conv")


@dataclass(frozen=True)
class Flatten:
    """Turns ``(C, H, W)`` into ``(C*H*W,)``, channels outermost; has no neuron and takes no time step."""

    def output_shape(self, input_shape: Shape) -> Shape:
        """``(C, H, W)`` gives ``(C*H*W,)``."""
        return (math.prod(input_shape),)


Synapse: TypeAlias = Dense | Conv | ConvTranspose
Layer: TypeAlias = Dense | Conv | ConvTranspose | Flatten


def _check_kernel(layer: Conv | ConvTranspose, input_shape: Shape, channels: int, name: str) -> None:
    if layer.weight.ndim != 4 or 0 in layer.weight.shape:
        raise NetFileError(f"{name} weight has shape {layer.weight.shape}, expected four axes, none empty")
    if layer.groups < 1 or min(layer.stride) < 1 or min(layer.dilation) < 1 or min(layer.padding) < 0:
        raise NetFileError(f"{name}: stride, dilation and groups must be at least 1, padding at least 0")
    if len(input_shape) != 3 or input_shape[0] != channels:
        raise NetFileError(f"{name} takes ({channels}, H, W) inputs, got {input_shape}")


def _positive(shape: Shape, name: str) -> Shape:
    if min(shape) < 1:
        raise NetFileError(f"{name} has the empty output {shape}; its kernel is larger than its padded input")
    return shape


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

    def __post_init__(self) -> None:
        if len(self.input_shape) not in (1, 3) or min(self.input_shape) < 1:
            raise NetFileError(f"input shape {self.input_shape}: expected (features,) or (C, H, W)")
        if not any(not isinstance(layer, Flatten) for layer in self.layers):
            raise NetFileError("the network has no layer with neurons")
        if self.time_steps is not None and self.time_steps < 1:
            raise NetFileError(f"time_steps {self.time_steps}: expected at least 1")
        shape = self.input_shape
        for index, layer in enumerate(self.layers):
            try:
                shape = layer.output_shape(shape)
            except NetFileError as error:
                raise NetFileError(f"layer {index}: {error}") from None
            if not isinstance(layer, Flatten):
                _check_synapse(layer, shape, f"layer {index} ({type(layer).__name__})")
        self._check_generator(shape)

    def _check_generator(self, shape: Shape) -> None:
        if self.prior is not None:
            latents = math.prod(self.input_shape)
            components = len(self.prior.share)
            if self.prior.weight.ndim != 3 or self.prior.weight.shape[:2] != (components, latents):
                raise NetFileError(f"prior weight {self.prior.weight.shape}, expected ({components}, {latents}, noise)")
            if self.prior.bias.shape != (components, latents):
                raise NetFileError(f"prior bias {self.prior.bias.shape}, expected ({components}, {latents})")
            if self.prior.share.ndim != 1 or not (self.prior.share >= 0).all() or not self.prior.share.sum() > 0:
                raise NetFileError("prior share: expected one probability for each component")
            if not 1 <= self.prior.rate_bits <= 16:
                raise NetFileError(f"rate_bits {self.prior.rate_bits}: expected 1 to 16")
        if self.readout is not None:
            channels, height, width = self.readout.image_shape
            r = self.readout.upscale
            if not (self.readout.unit > 0 and math.isfinite(self.readout.unit)):
                raise NetFileError(f"readout unit {self.readout.unit}: expected a positive number")
            maps = (channels * r * r, height // r, width // r)
            if r < 1 or (shape != maps and shape != (math.prod(maps),)):
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
        """Number of layers with neurons: the time steps that a spike needs to reach the last."""
        return sum(not isinstance(layer, Flatten) for layer in self.layers)

    def content_hash(self) -> str:
        """SHA-256 over everything that decides what the network computes; provenance is left out."""
        digest = hashlib.sha256()
        digest.update(json.dumps([self.input_shape, self.time_steps]).encode())
        for node in (*self.layers, self.prior, self.readout):
            digest.update(type(node).__name__.encode())
            for item in fields(node) if node is not None else ():
                value = getattr(node, item.name)
                digest.update(item.name.encode())
                if isinstance(value, np.ndarray):
                    canonical = value.astype("<i8" if value.dtype.kind in "iu" else "<f8")
                    digest.update(json.dumps(value.shape).encode() + np.ascontiguousarray(canonical).tobytes())
                else:
                    digest.update(repr(value).encode())
        return digest.hexdigest()


def _check_synapse(layer: Synapse, shape: Shape, where: str) -> None:
    neuron = layer.neuron
    if not isinstance(neuron, Lif):
        raise HardwareRangeError(f"{where}: neuron is float; quantize the network first")
    WEIGHT.check(layer.weight, where, "use a smaller weight scale")
    if layer.bias is not None:
        BIAS.check(layer.bias, where, "use a smaller weight scale for the layer")
        if layer.bias.shape not in (shape[:1], shape):
            raise NetFileError(f"{where}: bias has shape {layer.bias.shape}, expected {shape[:1]} or {shape}")
    DECAY.check(neuron.current_decay, f"{where} current", "parts of 4096 lost each step")
    DECAY.check(neuron.voltage_decay, f"{where} voltage", "parts of 4096 lost each step")
    THRESHOLD.check(neuron.threshold, where, "use a smaller weight scale for the layer")
    fan_in = np.abs(layer.weight.astype(np.int64))
    sums = (
        fan_in.sum(axis=(0, 2, 3))
        if isinstance(layer, ConvTranspose)
        else fan_in.sum(axis=tuple(range(1, fan_in.ndim)))
    )
    if sums.max() >= STATE_LIMIT:
        raise HardwareRangeError(
            f"{where}: weights of one neuron sum to {sums.max()}, above {STATE_LIMIT - 1}; split it"
        )

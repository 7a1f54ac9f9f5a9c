"""The nodes of a network: neurons, synapses and what lies between them, with arrays in torch's axis order.

The same nodes hold integers (with a :class:`Lif`) in a :class:`~export.ir.Network` and floats (with a
:class:`FloatLif`) in a :class:`~export.ir.floats.FloatNetwork`.  Axis order: ``C H W`` for maps,
``O I/groups kh kw`` for kernels, ``(y, x)`` for pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np

from esvae.chip.formats import DECAY_UNITY
from esvae.errors import NetFileError

__all__ = [
    "INTEGRATOR",
    "NEVER_FIRES",
    "Conv",
    "ConvTranspose",
    "Dense",
    "Flatten",
    "FloatLif",
    "InputNeurons",
    "Layer",
    "Lif",
    "Pair",
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


#: The threshold that lava-dl's slayer writes for a layer whose neurons must not fire (``block.base.AbstractAffine``):
#: one bit wider than the register, above every potential.
NEVER_FIRES = (1 << 18) - 1

#: What netx makes of a dense layer that has no neuron (``netx/hdf5.py: create_dense``): the current sums up without a
#: leak, the potential shows it, and the threshold of 2^17 lies above every potential.
INTEGRATOR = Lif(0, DECAY_UNITY, 1 << 17)


@dataclass(frozen=True)
class FloatLif:
    """The float neuron ``i <- current_keep * i + x; v <- keep * v + i + bias; s = v > threshold; v[s] = 0``.

    Attributes:
        keep: the share of the potential that survives a step, 0 to 1.
        threshold: ``math.inf`` for the readout, which never fires.
        current_keep: the share of the synaptic current that survives a step.
    """

    keep: float
    threshold: float
    current_keep: float = 0.0


@dataclass(frozen=True, eq=False)
class Dense:
    """Fully connected synapses.

    Attributes:
        weight: ``(outputs, inputs)``.
        bias: ``(outputs,)``, added at every step, or None.
        delay: ``(outputs, inputs)``, steps by which each synapse holds a spike back, or None for no delay.
    """

    kind: ClassVar[str] = "dense"

    weight: np.ndarray
    bias: np.ndarray | None
    neuron: Lif | FloatLif
    delay: np.ndarray | None = None

    def output_shape(self, input_shape: Shape) -> Shape:
        """``(inputs,)`` gives ``(outputs,)``; a map must pass a :class:`Flatten` first."""
        if self.weight.ndim != 2 or 0 in self.weight.shape:
            raise NetFileError(f"dense weight has shape {self.weight.shape}, expected (outputs, inputs)")
        if input_shape != (self.weight.shape[1],):
            hint = "; put a flatten layer before it" if len(input_shape) == 3 else ""
            raise NetFileError(f"dense takes ({self.weight.shape[1]},) inputs, got {input_shape}{hint}")
        if self.delay is not None and self.delay.shape != self.weight.shape:
            raise NetFileError(f"dense delay has shape {self.delay.shape}, expected {self.weight.shape}")
        return (self.weight.shape[0],)


@dataclass(frozen=True, eq=False)
class Conv:
    """Convolution synapses (cross-correlation, as torch's ``conv2d``).

    Attributes:
        weight: ``(O, I/groups, kh, kw)``.
        bias: ``(O,)`` or one for each neuron ``(O, H, W)``, or None.
        stride, padding, dilation: ``(y, x)``.
    """

    kind: ClassVar[str] = "conv"

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

    kind: ClassVar[str] = "convT"

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

    kind: ClassVar[str] = "flatten"

    def output_shape(self, input_shape: Shape) -> Shape:
        """``(C, H, W)`` gives ``(C*H*W,)``."""
        return (math.prod(input_shape),)


@dataclass(frozen=True)
class InputNeurons:
    """Neurons through which an image enters: its pixels are their biases, added at every step; no synapses.

    Attributes:
        weight, bias: ``round(weight * x + bias)`` is the integer for a pixel ``x`` of the range that the network was
            trained with.  netx keeps both beside the layer for whoever feeds it and simulates neither.
    """

    neuron: Lif
    weight: int = 64
    bias: int = 0


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

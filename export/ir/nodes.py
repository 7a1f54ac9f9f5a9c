"""The nodes of a network: neurons, synapses and what lies between them, with arrays in torch's axis order.

``Conv[Lif]`` and ``Conv[SigmaDelta]`` hold integers, in a :class:`~export.ir.Network`, and ``Conv[FloatLif]`` floats,
in a :class:`~export.ir.floats.FloatNetwork`; so do the other nodes.  Axis order: ``C H W`` for maps,
``O I/groups kh kw`` for kernels, ``(y, x)`` for pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar, cast

import numpy as np

from esvae.arrays import Real
from esvae.chip.neuron import INTEGRATOR, NEVER_FIRES, FloatLif, Lif
from esvae.chip.sigma_delta import Delta, GradedNeuron, Sigma, SigmaDelta
from esvae.errors import NetFileError, UnsupportedLayerError

__all__ = [
    "INTEGRATOR",
    "NEVER_FIRES",
    "UNHASHED_DEFAULT",
    "Conv",
    "ConvTranspose",
    "Delta",
    "Dense",
    "Flatten",
    "FloatLif",
    "GradedNeuron",
    "InputNeurons",
    "Layer",
    "Lif",
    "Neuron",
    "Pair",
    "RecurrentDense",
    "Shape",
    "Sigma",
    "SigmaDelta",
    "Synapse",
    "Unflatten",
    "all_weights",
    "check_array",
    "is_graded",
    "lif_of",
    "spread",
    "unlooped",
    "with_values",
]

#: Of a field that is left out of the hash where it has its default, so that files whose hash knows no such field stay
#: valid.
UNHASHED_DEFAULT = {"hashed": "unless default"}

Shape: TypeAlias = tuple[int, ...]
Pair: TypeAlias = tuple[int, int]


#: Integer neurons that may be behind synapses.
Neuron: TypeAlias = Lif | SigmaDelta | Sigma

#: The neurons behind the synapses; where a signature leaves it out, they may be any.
N = TypeVar("N", bound=Neuron | FloatLif, covariant=True)
M = TypeVar("M", bound=Neuron | FloatLif)


@dataclass(frozen=True, eq=False)
class Dense(Generic[N]):
    """Fully connected synapses.

    Attributes:
        weight: ``(outputs, inputs)``.
        bias: ``(outputs,)``, added at every step, or None.
        delay: ``(outputs, inputs)``, steps by which each synapse holds a spike back, or None for no delay.
    """

    kind: ClassVar[str] = "dense"
    groups: ClassVar[int] = 1

    weight: np.ndarray
    bias: np.ndarray | None
    neuron: N
    delay: np.ndarray | None = field(default=None, metadata=UNHASHED_DEFAULT)

    @property
    def inputs(self) -> int:
        """Features that it takes."""
        return int(self.weight.shape[1])

    @property
    def outputs(self) -> int:
        """Features that it gives."""
        return int(self.weight.shape[0])

    def output_shape(self, input_shape: Shape) -> Shape:
        """``(inputs,)`` gives ``(outputs,)``; a map must pass a :class:`Flatten` first."""
        shape = _check_matrix(self, input_shape)
        if self.delay is None:
            return shape
        check_array(self.delay, "delay")
        if self.delay.shape != self.weight.shape:
            raise NetFileError(f"dense delay has shape {self.delay.shape}, expected {self.weight.shape}")
        return shape


@dataclass(frozen=True, eq=False)
class RecurrentDense(Generic[N]):
    """Fully connected synapses from the inputs, and from the layer's own neurons, whose spikes arrive a step later.

    netx's ``dense_rec``: what neuron ``j`` fires at step t reaches neuron ``i`` with ``recurrent[i, j]`` at step t + 1.
    Both sums meet before the current.  Resets touch the neurons alone, so a spike fired just before one still arrives.

    Attributes:
        weight: ``(outputs, inputs)``.
        recurrent: ``(outputs, outputs)``; the chip holds both matrices at one scale.
        bias: ``(outputs,)``, added at every step, or None.
    """

    kind: ClassVar[str] = "dense_rec"
    groups: ClassVar[int] = 1

    weight: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray | None
    neuron: N

    @property
    def inputs(self) -> int:
        """Features that it takes from the layer before."""
        return int(self.weight.shape[1])

    @property
    def outputs(self) -> int:
        """Features that it gives."""
        return int(self.weight.shape[0])

    @property
    def joined(self) -> Dense[N]:
        """One step of it as a dense layer: over its inputs, then its own spikes of the step before."""
        return Dense(np.concatenate((self.weight, self.recurrent), axis=1), self.bias, self.neuron)

    def output_shape(self, input_shape: Shape) -> Shape:
        """``(inputs,)`` gives ``(outputs,)``; a map must pass a :class:`Flatten` first."""
        shape = _check_matrix(self, input_shape)
        check_array(self.recurrent, "recurrent weight")
        if self.recurrent.shape != (self.outputs, self.outputs):
            raise NetFileError(
                f"dense_rec recurrent weight has shape {self.recurrent.shape}, expected {(self.outputs, self.outputs)}"
            )
        return shape


@dataclass(frozen=True, eq=False)
class Conv(Generic[N]):
    """Convolution synapses (cross-correlation, as torch's ``conv2d``).

    Attributes:
        weight: ``(O, I/groups, kh, kw)``.
        bias: ``(O,)`` or one for each neuron ``(O, H, W)``, or None.
        stride, padding, dilation: ``(y, x)``.
    """

    kind: ClassVar[str] = "conv"

    weight: np.ndarray
    bias: np.ndarray | None
    neuron: N
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    @property
    def inputs(self) -> int:
        """Channels that it takes."""
        return int(self.weight.shape[1]) * self.groups

    @property
    def outputs(self) -> int:
        """Channels that it gives."""
        return int(self.weight.shape[0])

    def output_shape(self, input_shape: Shape) -> Shape:
        """``(I, H, W)`` gives ``(O, H', W')``."""
        _check_kernel(self, input_shape)
        if self.outputs % self.groups:
            raise NetFileError(f"conv has {self.outputs} output channels, not a multiple of {self.groups} groups")
        size = [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(
                input_shape[1:], self.padding, self.dilation, self.weight.shape[2:], self.stride, strict=True
            )
        ]
        return _positive((self.outputs, *size), self.kind)


@dataclass(frozen=True, eq=False)
class ConvTranspose(Generic[N]):
    """Transposed convolution synapses (as torch's ``conv_transpose2d``).

    Attributes:
        weight: ``(I, O/groups, kh, kw)``.
        bias: ``(O,)`` or one for each neuron ``(O, H, W)``, or None.
        stride, padding, dilation, output_padding: ``(y, x)``.
    """

    kind: ClassVar[str] = "convT"

    weight: np.ndarray
    bias: np.ndarray | None
    neuron: N
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    output_padding: Pair = (0, 0)
    groups: int = 1

    @property
    def inputs(self) -> int:
        """Channels that it takes."""
        return int(self.weight.shape[0])

    @property
    def outputs(self) -> int:
        """Channels that it gives."""
        return int(self.weight.shape[1]) * self.groups

    def output_shape(self, input_shape: Shape) -> Shape:
        """``(I, H, W)`` gives ``(O, H', W')``."""
        _check_kernel(self, input_shape)
        if self.inputs % self.groups:
            raise NetFileError(f"convT has {self.inputs} input channels, not a multiple of {self.groups} groups")
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
        return _positive((self.outputs, *size), self.kind)


@dataclass(frozen=True)
class Flatten:
    """Turns ``(C, H, W)`` into ``(C*H*W,)``, channels outermost; has no neuron and takes no time step."""

    kind: ClassVar[str] = "flatten"

    def output_shape(self, input_shape: Shape) -> Shape:
        """``(C, H, W)`` gives ``(C*H*W,)``."""
        return (math.prod(input_shape),)


@dataclass(frozen=True)
class Unflatten(Flatten):
    """Turns ``(C,)`` into the map ``(C, 1, 1)``, so that a convolution may stand behind a dense layer.

    netx has no such layer: what lies before and behind it are files of their own.
    """

    kind: ClassVar[str] = "unflatten"

    def output_shape(self, input_shape: Shape) -> Shape:
        """``(C,)`` gives ``(C, 1, 1)``."""
        return (math.prod(input_shape), 1, 1)


@dataclass(frozen=True)
class InputNeurons:
    """Neurons through which an image enters: its pixels are their biases, added at every step; no synapses.

    Attributes:
        neuron: which; :class:`~esvae.chip.sigma_delta.Delta` neurons take frames, which may be others at each step.
        weight, bias: ``round(weight * x + bias)`` is the integer for a pixel ``x`` of the range that the network was
            trained with.  netx keeps both beside the layer for whoever feeds it and simulates neither.
    """

    neuron: Lif | Delta
    weight: int = 64
    bias: int = 0


Synapse: TypeAlias = Dense[N] | RecurrentDense[N] | Conv[N] | ConvTranspose[N]
Layer: TypeAlias = Dense[N] | RecurrentDense[N] | Conv[N] | ConvTranspose[N] | Flatten


def all_weights(synapse: Synapse[Any]) -> Real[np.ndarray, "*weight"]:
    """The weights that share a scale: a recurrent layer's two matrices side by side, of any other its own."""
    return synapse.joined.weight if isinstance(synapse, RecurrentDense) else synapse.weight


def unlooped(layer: Synapse[N], before: Shape) -> tuple[Dense[N] | Conv[N] | ConvTranspose[N], Shape]:
    """What a layer's synapses do in one step, and the shape that they take: a recurrent layer's is its ``joined``."""
    if isinstance(layer, RecurrentDense):
        joined = layer.joined
        return joined, (joined.inputs,)
    return layer, before


def with_values(
    synapse: Synapse[Any], weight: Real[np.ndarray, "*weight"], bias: Real[np.ndarray, "*bias"] | None, neuron: M
) -> Synapse[M]:
    """The same connections with other weights (those of :func:`all_weights`), biases and neurons."""
    if isinstance(synapse, RecurrentDense):
        entering, recurrent = weight[:, : synapse.inputs], weight[:, synapse.inputs :]
        return replace(synapse, weight=entering, recurrent=recurrent, bias=bias, neuron=neuron)
    return replace(synapse, weight=weight, bias=bias, neuron=neuron)


def spread(neuron: M, shape: Shape) -> M:
    """The neurons of a map as a vector's, each with the decays of its channel; see :meth:`Lif.spread`."""
    return cast(M, neuron.spread(shape)) if isinstance(neuron, Lif) else neuron


def is_graded(neuron: object) -> bool:
    """Whether a neuron sends messages, and not spikes."""
    return isinstance(neuron, GradedNeuron)


def lif_of(neuron: Neuron | Delta, where: str, what: str) -> Lif:
    """The neuron, where it must be integrate-and-fire.

    Raises:
        UnsupportedLayerError: it is another; says where, and ``what`` does without it.
    """
    if not isinstance(neuron, Lif):
        raise UnsupportedLayerError(f"{where}: {type(neuron).__name__} neurons: {what} takes integrate-and-fire alone")
    return neuron


def check_array(values: object, name: str) -> None:
    """Raises NetFileError unless these are a numpy array, as a caller without types may not know."""
    if not isinstance(values, np.ndarray):
        raise NetFileError(f"{name} is a {type(values).__name__}, expected a numpy array; np.asarray makes one")


def _check_matrix(layer: Dense | RecurrentDense, input_shape: Shape) -> Shape:
    check_array(layer.weight, "weight")
    if layer.weight.ndim != 2 or 0 in layer.weight.shape:
        raise NetFileError(f"{layer.kind} weight has shape {layer.weight.shape}, expected (outputs, inputs)")
    if input_shape != (layer.inputs,):
        hint = "; put a flatten layer before it" if len(input_shape) == 3 else ""
        raise NetFileError(f"{layer.kind} takes ({layer.inputs},) inputs, got {input_shape}{hint}")
    return (layer.outputs,)


def _check_kernel(layer: Conv | ConvTranspose, input_shape: Shape) -> None:
    name = layer.kind
    check_array(layer.weight, "weight")
    for place in ("stride", "padding", "dilation", "output_padding"):
        if not _is_pair(pair := getattr(layer, place, (0, 0))):
            raise NetFileError(f"{name}: {place} {pair}, expected a pair of whole numbers (y, x)")
    if not isinstance(layer.groups, int | np.integer):
        raise NetFileError(f"{name}: groups {layer.groups}, expected a whole number")
    if layer.weight.ndim != 4 or 0 in layer.weight.shape:
        raise NetFileError(f"{name} weight has shape {layer.weight.shape}, expected four axes, none empty")
    if layer.groups < 1 or min(layer.stride) < 1 or min(layer.dilation) < 1 or min(layer.padding) < 0:
        raise NetFileError(f"{name}: stride, dilation and groups must be at least 1, padding at least 0")
    if len(input_shape) != 3 or input_shape[0] != layer.inputs:
        raise NetFileError(f"{name} takes ({layer.inputs}, H, W) inputs, got {input_shape}")


def _is_pair(value: object) -> bool:
    return (
        isinstance(value, tuple | list)
        and len(value) == 2
        and all(isinstance(each, int | np.integer) for each in value)
    )


def _positive(shape: Shape, name: str) -> Shape:
    if min(shape) < 1:
        raise NetFileError(f"{name} has the empty output {shape}; its kernel is larger than its padded input")
    return shape

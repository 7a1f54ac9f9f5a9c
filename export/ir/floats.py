"""The float description that every frontend yields: the nodes of :mod:`export.ir.nodes`, norms unfolded.

It is checked when it is made, so that a model that cannot be exported says so in its frontend, by layer, and the passes
rely on shapes and finite numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real

import numpy as np

from esvae.chip.neuron import FloatLif
from esvae.errors import HardwareRangeError, NetFileError
from esvae.machine.arguments import shape_argument, shown, whole_number
from export.ir.checks import check_bias, check_entry, shape_behind
from export.ir.generator import ImageReadout, Prior, check_prior, check_readout
from export.ir.labels import FIRST_GROUP, in_short, label, layer_labels
from export.ir.nodes import Conv, ConvTranspose, Dense, Flatten, RecurrentDense, Shape, Synapse, all_weights

__all__ = ["FloatLayer", "FloatNetwork", "Norm"]

_SYNAPSES = (Dense, RecurrentDense, Conv, ConvTranspose)


@dataclass(frozen=True, eq=False)
class Norm:
    """A normalization in evaluation, ``y = scale * x + shift``, one pair for each output channel or feature."""

    scale: np.ndarray
    shift: np.ndarray


@dataclass(frozen=True, eq=False)
class FloatLayer:
    """Synapses with float64 weights, what normalizes their sums, and what becomes of a dense layer's features.

    Attributes:
        synapse: the node, float64.
        norm: applied to the sums, bias included, before the neuron; None for none.
        map_shape: the ``(C, H, W)`` map as which the features of a dense layer, the network's first, are read, or None.
        scale: integers for 1.0 where the model was trained on the chip's grid, so that quantizing takes this scale
            and changes nothing; None where the scale is still to be chosen.
    """

    synapse: Synapse[FloatLif]
    norm: Norm | None = None
    map_shape: Shape | None = None
    scale: float | None = None

    @property
    def kind(self) -> str:
        """The synapses' kind."""
        return self.synapse.kind

    def output_shape(self, input_shape: Shape) -> Shape:
        """What the layer gives, as a map where its features are read as one."""
        shape = self.synapse.output_shape(input_shape)
        return shape if self.map_shape is None else self.map_shape


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """A float network before the passes, checked when made; attributes as in :class:`~export.ir.Network`.

    Of a generator the last layer is the readout, whose neuron has an infinite threshold; ``readout.unit`` is 1 here.
    Prior and readout are None of other networks, ``time_steps`` where nothing says how long an input lasts.
    ``weight_bits`` is the grid that the layers' own scales are of, or None where no layer brings one.

    Raises:
        NetFileError: what is no layer or no array, shapes that do not fit together, neurons that are no float ones, or
            a share outside 0 to 1.
        DataError: an input shape, a window or bits that are no whole numbers.
        HardwareRangeError: numbers that are not finite.
    """

    input_shape: Shape
    layers: tuple[FloatLayer | Flatten, ...]
    time_steps: int | None
    prior: Prior | None = None
    readout: ImageReadout | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
    weight_bits: int | None = None

    def __post_init__(self) -> None:
        for name in ("time_steps", "weight_bits"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, whole_number(value, name))
        object.__setattr__(self, "input_shape", shape_argument(self.input_shape))
        check_entry(self.input_shape, self.time_steps)
        object.__setattr__(self, "layers", _checked_layers(self.layers))
        if not self.synapses:
            raise NetFileError("the network has no layer with neurons")
        shape = self.input_shape
        for where, layer in zip(layer_labels(self.layers), self.layers, strict=True):
            if isinstance(layer, FloatLayer):
                _check_neuron(layer.synapse.neuron, where)
                after = shape_behind(layer.synapse, shape, where)
                check_bias(layer.synapse, after, where)
                _check_norm(layer, after, where)
                _check_finite(layer, where)
                _check_map(layer, after, where, first=layer is self.layers[0])
            shape = layer.output_shape(shape)
        _check_kind(self.prior, Prior, "prior")
        _check_kind(self.readout, ImageReadout, "readout")
        _check_kind(self.provenance, Mapping, "provenance")
        if self.prior is not None:
            check_prior(self.prior, math.prod(self.input_shape))
        if self.readout is not None:
            check_readout(self.readout, shape)
            last = self.synapses[-1].synapse.neuron
            if not math.isinf(last.threshold):
                raise NetFileError(
                    f"{self.labels[-1]}: the readout's neurons fire above {last.threshold:g}, expected an infinite "
                    "threshold; leave out the readout, or end the network with neurons that do not fire"
                )

    def __repr__(self) -> str:
        shapes = [self.input_shape]
        for layer in self.layers:
            shapes.append(layer.output_shape(shapes[-1]))
        return f"FloatNetwork({in_short(shapes, self.time_steps)})"

    @property
    def synapses(self) -> tuple[FloatLayer, ...]:
        """The layers with neurons, in order."""
        return tuple(layer for layer in self.layers if isinstance(layer, FloatLayer))

    @property
    def labels(self) -> tuple[str, ...]:
        """What each of :attr:`synapses` will be called in a file that its layers are written to as they are."""
        named = zip(layer_labels(self.layers), self.layers, strict=True)
        return tuple(name for name, layer in named if isinstance(layer, FloatLayer))


def _checked_layers(layers: object) -> tuple[FloatLayer | Flatten, ...]:
    """The layers as a tuple, where a caller without types gave such as there are."""
    if not isinstance(layers, tuple | list):
        raise NetFileError(f"layers: a {type(layers).__name__}, expected a tuple of FloatLayer and Flatten")
    for number, layer in enumerate(layers, start=FIRST_GROUP):
        kind = getattr(getattr(layer, "synapse", layer), "kind", None)
        where, got = label(number, kind), type(layer).__name__
        if not isinstance(layer, FloatLayer | Flatten):
            wrap = f"; write FloatLayer({got}(...))" if isinstance(layer, _SYNAPSES) else ""
            raise NetFileError(f"{where}: a {got}, expected a FloatLayer or Flatten{wrap}")
        if isinstance(layer, FloatLayer) and not isinstance(layer.synapse, _SYNAPSES):
            expected = ", ".join(each.__name__ for each in _SYNAPSES)
            raise NetFileError(f"{where}: its synapse is a {type(layer.synapse).__name__}, expected one of {expected}")
    return tuple(layers)


def _check_kind(value: object, kind: type, name: str) -> None:
    """Raises NetFileError unless what need not be given is of its kind."""
    if value is not None and not isinstance(value, kind):
        raise NetFileError(f"{name}: a value of type {type(value).__name__}, expected {kind.__name__}")


def _number(value: object, name: str, where: str) -> float:
    if not isinstance(value, Real):
        raise NetFileError(f"{where}: {name} {shown(value)}, expected a number")
    return float(value)


def _check_neuron(neuron: FloatLif, where: str) -> None:
    if not isinstance(neuron, FloatLif):  # a caller without types
        raise NetFileError(f"{where}: neuron is {neuron}, expected a float one; export.frontends.from_netx makes them")
    for name, share in (("keep", neuron.keep), ("current_keep", neuron.current_keep)):
        if not 0 <= _number(share, name, where) <= 1:
            raise NetFileError(f"{where}: {name} {share:g} of its neurons, expected a share from 0 to 1")
    if not _number(neuron.threshold, "threshold", where) >= 0:
        raise NetFileError(f"{where}: threshold {neuron.threshold:g} of its neurons, expected 0 or more")


def _check_finite(layer: FloatLayer, where: str) -> None:
    synapse, norm = layer.synapse, layer.norm
    arrays = {"weight": all_weights(synapse), "bias": synapse.bias}
    if norm is not None:
        arrays |= {"norm's scale": norm.scale, "norm's shift": norm.shift}
    for name, values in arrays.items():
        if values is None:
            continue
        if values.dtype.kind != "f":
            raise HardwareRangeError(f"{where}: {name} is {values.dtype}, expected floats")
        if not np.isfinite(values).all():
            raise HardwareRangeError(f"{where}: {name} is not finite; train again with a lower learning rate")
    if layer.scale is not None and not (_number(layer.scale, "scale", where) > 0 and math.isfinite(layer.scale)):
        raise HardwareRangeError(f"{where}: scale {layer.scale:g}, expected a positive number")


def _check_norm(layer: FloatLayer, shape: Shape, where: str) -> None:
    if layer.norm is None:
        return
    if not isinstance(layer.norm, Norm):
        raise NetFileError(f"{where}: norm is a {type(layer.norm).__name__}, expected a Norm")
    for name, values in (("scale", layer.norm.scale), ("shift", layer.norm.shift)):
        if not isinstance(values, np.ndarray):
            kind = type(values).__name__
            raise NetFileError(f"{where}: norm's {name} is a {kind}, expected a numpy array; np.asarray makes one")
        if values.shape != shape[:1]:
            raise NetFileError(
                f"{where}: norm's {name} has shape {values.shape}, expected {shape[:1]}: one number an output"
            )


def _check_map(layer: FloatLayer, shape: Shape, where: str, *, first: bool) -> None:
    if layer.map_shape is None:
        return
    if not isinstance(layer.synapse, Dense) or not first:
        raise NetFileError(f"{where}: read as a map {layer.map_shape}, as only a dense layer that comes first can be")
    if (
        not isinstance(layer.map_shape, tuple)
        or len(layer.map_shape) != 3
        or math.prod(layer.map_shape) != math.prod(shape)
    ):
        raise NetFileError(
            f"{where}: map shape {layer.map_shape} does not hold its {shape[0]} features; expected (C, H, W) of as many"
        )

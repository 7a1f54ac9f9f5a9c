"""The float description that every frontend yields: the nodes of :mod:`export.ir.nodes`, norms unfolded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from export.ir.labels import labels
from export.ir.network import ImageReadout, Prior
from export.ir.nodes import Flatten, Shape, Synapse

__all__ = ["FloatLayer", "FloatNetwork", "Norm"]


@dataclass(frozen=True, eq=False)
class Norm:
    """A normalization in evaluation, ``y = scale * x + shift``, one pair for each output channel or feature."""

    scale: np.ndarray
    shift: np.ndarray


@dataclass(frozen=True, eq=False)
class FloatLayer:
    """Synapses with float64 weights, what normalizes their sums, and what becomes of a dense layer's features.

    Attributes:
        synapse: the node; its neuron is a :class:`~export.ir.FloatLif`.
        norm: applied to the sums, bias included, before the neuron; None for none.
        map_shape: the ``(C, H, W)`` map as which a dense layer's features are read, or None.
        scale: integers for 1.0 where the model was trained on the chip's grid, so that quantizing takes this scale
            and changes nothing; None where the scale is still to be chosen.
    """

    synapse: Synapse
    norm: Norm | None = None
    map_shape: Shape | None = None
    scale: float | None = None

    @property
    def kind(self) -> str:
        """The synapses' kind."""
        return self.synapse.kind


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """A float network before the passes; attributes as in :class:`~export.ir.Network`.

    Of a generator the last layer is the readout, whose neuron has an infinite threshold; ``readout.unit`` is 1 here.
    Prior and readout are None of other networks, ``time_steps`` where nothing says how long an input lasts.
    ``weight_bits`` is the grid that the layers' own scales are of, or None where no layer brings one.
    """

    input_shape: Shape
    layers: tuple[FloatLayer | Flatten, ...]
    time_steps: int | None
    prior: Prior | None = None
    readout: ImageReadout | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
    weight_bits: int | None = None

    @property
    def synapses(self) -> tuple[FloatLayer, ...]:
        """The layers with neurons, in order."""
        return tuple(layer for layer in self.layers if isinstance(layer, FloatLayer))

    @property
    def labels(self) -> tuple[str, ...]:
        """What each of :attr:`synapses` will be called in a file that its layers are written to as they are."""
        named = zip(labels(self.layers), self.layers, strict=True)
        return tuple(name for name, layer in named if isinstance(layer, FloatLayer))

"""The float description that every frontend yields: the nodes of :mod:`export.ir` with float arrays, norms unfolded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from export.ir import ImageReadout, Prior, Shape, Synapse

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
    """

    synapse: Synapse
    norm: Norm | None = None
    map_shape: Shape | None = None


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """A float generator before the passes; attributes as in :class:`~export.ir.Network`.

    The last layer is the readout: its neuron has an infinite threshold.  ``readout.unit`` is 1 here.
    """

    input_shape: Shape
    layers: tuple[FloatLayer, ...]
    time_steps: int
    prior: Prior | None
    readout: ImageReadout
    provenance: Mapping[str, str] = field(default_factory=dict)

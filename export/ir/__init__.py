"""The networks between PyTorch and the chip, as frozen nodes: what they hold, and what holds of them."""

from export.ir.floats import FloatLayer, FloatNetwork, Norm
from export.ir.generator import CircuitLayout, CircuitPrior, ImageReadout, Prior
from export.ir.labels import INPUT_LABEL
from export.ir.network import Network
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
    Pair,
    RecurrentDense,
    Shape,
    Synapse,
    Unflatten,
    all_weights,
    unlooped,
    with_values,
)

__all__ = [
    "INPUT_LABEL",
    "INTEGRATOR",
    "NEVER_FIRES",
    "CircuitLayout",
    "CircuitPrior",
    "Conv",
    "ConvTranspose",
    "Dense",
    "Flatten",
    "FloatLayer",
    "FloatLif",
    "FloatNetwork",
    "ImageReadout",
    "InputNeurons",
    "Layer",
    "Lif",
    "Network",
    "Norm",
    "Pair",
    "Prior",
    "RecurrentDense",
    "Shape",
    "Synapse",
    "Unflatten",
    "all_weights",
    "unlooped",
    "with_values",
]

"""The networks between PyTorch and the chip, as frozen nodes: what they hold, and what holds of them."""

from export.ir.network import ImageReadout, Network, Prior
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
    Shape,
    Synapse,
)

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
    "Pair",
    "Prior",
    "Shape",
    "Synapse",
]

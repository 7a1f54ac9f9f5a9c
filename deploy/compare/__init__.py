"""A run's float decoder beside its quantized file, on the same latent spikes: images, layers, distributions, damage."""

from deploy.compare.run import ALL_PARTS, Part, check_belongs, compare, compare_network
from deploy.compare.types import (
    Attribution,
    Comparison,
    CrossCheck,
    Distance,
    Distribution,
    Divergence,
    ImageQuality,
    LayerDrift,
    LayerShare,
    Location,
    NoiseCurve,
    Pair,
    Spread,
)

__all__ = [
    "ALL_PARTS",
    "Attribution",
    "Comparison",
    "CrossCheck",
    "Distance",
    "Distribution",
    "Divergence",
    "ImageQuality",
    "LayerDrift",
    "LayerShare",
    "Location",
    "NoiseCurve",
    "Pair",
    "Part",
    "Spread",
    "check_belongs",
    "compare",
    "compare_network",
]

"""A run's float decoder beside its quantized file, on the same latent spikes: images, layers, distributions, damage."""

from deploy.compare.belongs import check_belongs
from deploy.compare.material import ALL_PARTS, CompareOptions, Material, Part, load_material
from deploy.compare.run import compare, compare_network
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
    "CompareOptions",
    "Comparison",
    "CrossCheck",
    "Distance",
    "Distribution",
    "Divergence",
    "ImageQuality",
    "LayerDrift",
    "LayerShare",
    "Location",
    "Material",
    "NoiseCurve",
    "Pair",
    "Part",
    "Spread",
    "check_belongs",
    "compare",
    "compare_network",
    "load_material",
]

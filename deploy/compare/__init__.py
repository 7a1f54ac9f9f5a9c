"""A run's float decoder beside its quantized file, on the same latent spikes: images, layers, distributions, damage."""

from deploy.compare.belongs import check_belongs
from deploy.compare.material import ALL_PARTS, CompareOptions, ComparePart, Material, load_material
from deploy.compare.run import compare, compare_network
from deploy.compare.types import (
    Attribution,
    Comparison,
    CrossCheck,
    Distance,
    Distribution,
    Divergence,
    ImageQuality,
    ImageSpread,
    LayerDrift,
    LayerHistogram,
    LayerShare,
    Location,
    NoiseCurve,
    PairedFigure,
    SamplerComparison,
    SamplerFigure,
)

__all__ = [
    "ALL_PARTS",
    "Attribution",
    "CompareOptions",
    "ComparePart",
    "Comparison",
    "CrossCheck",
    "Distance",
    "Distribution",
    "Divergence",
    "ImageQuality",
    "ImageSpread",
    "LayerDrift",
    "LayerHistogram",
    "LayerShare",
    "Location",
    "Material",
    "NoiseCurve",
    "PairedFigure",
    "SamplerComparison",
    "SamplerFigure",
    "check_belongs",
    "compare",
    "compare_network",
    "load_material",
]

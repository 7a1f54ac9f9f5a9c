"""NIR graphs (``.nir`` files) as float networks."""

from export.frontends.nir.source import NirMeaning, NirSource, from_nir, read_nir
from export.nir.read import is_nir

__all__ = ["NirMeaning", "NirSource", "from_nir", "is_nir", "read_nir"]

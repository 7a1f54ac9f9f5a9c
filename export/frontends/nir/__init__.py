"""NIR graphs (``.nir`` files) as float networks."""

from export.frontends.nir.file import is_nir
from export.frontends.nir.source import NirMeaning, NirSource, from_nir, read_nir

__all__ = ["NirMeaning", "NirSource", "from_nir", "is_nir", "read_nir"]

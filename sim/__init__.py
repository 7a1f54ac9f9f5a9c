"""Integer simulation: the numpy definition, the fast twin, the sampler and exact counts."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.counts.ops import Counts, count
    from sim.sampler import draw_latents
    from sim.trace import Trace
    from sim.twin.engine import Engine

__all__ = ["Counts", "Engine", "Trace", "count", "draw_latents"]

_FROM = {
    "Counts": "sim.counts.ops",
    "Engine": "sim.twin.engine",
    "Trace": "sim.trace",
    "count": "sim.counts.ops",
    "draw_latents": "sim.sampler",
}


def __getattr__(name: str) -> Any:
    """Imports what is asked for only then: the fit to a chip takes neither torch nor numba."""
    if name in _FROM:
        return getattr(import_module(_FROM[name]), name)
    raise AttributeError(f"module 'sim' has no attribute {name!r}")

"""Integer simulation: the numpy definition, the fast twin, the sampler and exact counts."""

from sim.counts.ops import Counts, count
from sim.sampler import draw_latents
from sim.trace import Trace
from sim.twin.engine import Engine

__all__ = ["Counts", "Engine", "Trace", "count", "draw_latents"]

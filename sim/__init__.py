"""Integer simulation: the numpy definition, the fast twin, the sampler and exact counts."""

from sim.engine import Engine
from sim.ops import Counts, count
from sim.sampler import draw_latents
from sim.trace import Trace

__all__ = ["Counts", "Engine", "Trace", "count", "draw_latents"]

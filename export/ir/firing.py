"""Which neurons can never fire, and which fire at every step, whatever enters: bounds that hold for any spikes.

Upwards, all inputs over positive weights spike at every step, from rest, and the potential is never reset; the chip
rounds towards zero, which only lowers that. Downwards, the neuron was reset the step before, and all inputs over
negative weights have spiked since the start. Where a current could wrap, nothing is said.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from esvae.chip.formats import STATE_LIMIT, STATE_SHIFT
from export.ir.limits import STEPS
from export.ir.network import Network
from export.ir.nodes import Lif, Shape, Synapse
from export.passes.ranges import all_firing

__all__ = ["Firing", "layer_firing"]


@dataclass(frozen=True)
class Firing:
    """One layer's neurons.

    Attributes:
        neurons: how many.
        never: of them that cannot fire within the window, whatever enters.
        always: of them that fire at every step, whatever enters.
    """

    neurons: int
    never: int
    always: int


def layer_firing(network: Network) -> list[Firing | None]:
    """Of every layer with synapses, in file order; None where its current could wrap.

    Where the network has no window, one of any length is meant.
    """
    return [_firing(layer, before, after, network.time_steps) for layer, before, after in network.synapses()]


def _firing(layer: Synapse[Lif], before: Shape, after: Shape, steps: int | None) -> Firing | None:
    high, low = (all_firing(layer, before, sign=sign).numpy().reshape(after) for sign in (1, -1))
    bias = np.zeros(1) if layer.bias is None else layer.bias.astype(np.float64)
    if bias.ndim == 1 and len(after) == 3 and bias.size > 1:
        bias = bias[:, None, None]
    keep_u, keep_v = layer.neuron.current_keep, layer.neuron.keep
    scale, threshold = float(1 << STATE_SHIFT), float(layer.neuron.threshold << STATE_SHIFT)
    u_most = _series(high.astype(np.float64) * scale, keep_u, steps)
    u_least = _series(low.astype(np.float64) * scale, keep_u, steps)
    if max(u_most.max(), -u_least.min()) >= STATE_LIMIT:
        return None
    drive = bias * scale
    v_most = np.minimum(_series(np.maximum(u_most + drive, 0), keep_v, steps), STATE_LIMIT - 1)
    neurons = int(np.prod(after))
    never = int((np.broadcast_to(v_most, after) <= threshold).sum())
    always = int((np.broadcast_to(u_least + drive, after) > threshold).sum())
    return Firing(neurons, never, always)


def _series(first: np.ndarray, keep: float, steps: int | None) -> np.ndarray:
    """``first * (1 + keep + keep^2 + ...)`` with so many terms, or with so many that more would hardly add."""
    terms = STEPS if steps is None else steps
    if keep in (0, 1):
        return first * (terms if keep else 1)
    # Rounded up by a part in a billion, since a bound must not lie below what it bounds.
    return first * ((1 - keep**terms) / (1 - keep)) * (1 + 1e-9)

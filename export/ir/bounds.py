"""What a layer's registers can hold at most, whatever spikes arrive: bounds that hold for any input.

- Of an output channel, borders not looked at: :func:`channel_sums`, :func:`largest_sum`.
- Of every neuron, borders looked at: :func:`all_firing`; from it :func:`layer_range` and :func:`layer_firing`.

A spike adds a weight once a step, so the sum ``a`` lies between the sums of a neuron's negative and of its positive
weights; the current ``u`` and the membrane potential ``v`` follow as geometric series. A recurrent layer's own spikes
arrive like any others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from esvae.arrays import Int64
from esvae.chip.formats import DECAY_UNITY, STATE_LIMIT, STATE_SHIFT
from esvae.chip.neuron import Lif
from esvae.chip.rounding import settled
from export.ir.geometry import grouped, reads
from export.ir.limits import STEPS
from export.ir.nodes import Dense, RecurrentDense, Shape, Synapse

__all__ = [
    "Firing",
    "LayerRange",
    "all_firing",
    "channel_sums",
    "largest_current",
    "largest_sum",
    "layer_firing",
    "layer_range",
]

#: Weights that are widened at a time.
_BLOCK = 1 << 20


@dataclass(frozen=True)
class LayerRange:
    """Bounds of one layer over a window, for any input.

    Attributes:
        layer: its label.
        a: smallest and largest sum of weights.
        u_share: largest magnitude of the current over the 2^23 at which it wraps.
        v_share: largest magnitude of the potential without a threshold over the 2^23 at which it saturates.
    """

    layer: str
    a: tuple[int, int]
    u_share: float
    v_share: float


@dataclass(frozen=True)
class Firing:
    """Which of one layer's neurons can never fire, and which fire at every step.

    Attributes:
        neurons: how many.
        never: of them that cannot fire within the window, whatever enters.
        always: of them that fire at every step, whatever enters.
    """

    neurons: int
    never: int
    always: int


def channel_sums(layer: Synapse, sign: int = 0) -> Int64[np.ndarray, " outputs"]:
    """The sum of the weights' magnitudes that one neuron of each output channel has.

    Args:
        layer: with integer weights; a neuron sums over the inputs of its own group alone.
        sign: 1 for the positive weights only, -1 for the negative ones, 0 for all.
    """
    sums = []
    for group in grouped(layer):
        rows = max(1, _BLOCK // max(1, group[0].size))
        for start in range(0, len(group), rows):
            part = group[start : start + rows].astype(np.int64)
            sums.append(_magnitude(part, sign).sum(axis=(1, 2, 3)))
    return np.concatenate(sums)


def largest_sum(layer: Synapse, sign: int = 0) -> int:
    """What no ``|a|`` of the layer is above, whatever spikes arrive: the largest of :func:`channel_sums`."""
    return int(channel_sums(layer, sign).max())


def largest_current(arriving: float, neuron: Lif, steps: int | None) -> float:
    """What no current is above where at most ``arriving`` comes at each step; infinite where it adds up without end.

    Args:
        arriving: at most so much at each step, in the current's own unit.
        neuron: of which those that lose least count.
        steps: the window, None where it has no end.
    """
    ends = [arriving * steps] if steps is not None else []
    current_decay = int(neuron.decays[0].min())
    if current_decay or not arriving:
        ends.append(arriving * DECAY_UNITY / max(current_decay, 1))
    return min(ends, default=math.inf)


def all_firing(layer: Synapse, before: Shape, *, sign: int) -> Int64[np.ndarray, "*output"]:
    """What every neuron receives when all inputs over its positive (negative) weights spike, and no others.

    Args:
        layer: with integer weights.
        before: shape of its input.
        sign: 1 for the largest sum, -1 for the smallest.
    """
    if isinstance(layer, Dense | RecurrentDense):
        return sign * channel_sums(layer, sign)
    after = layer.output_shape(before)
    weight = grouped(layer)
    taps = np.concatenate([_magnitude(group, sign).sum(axis=1, dtype=np.float64) for group in weight])  # O, kh, kw
    rows, columns = (reads(layer, before, after, axis) >= 0 for axis in (0, 1))
    # Whole numbers below 2^53, exact in any order.
    sums = rows.astype(np.float64) @ taps @ columns.T.astype(np.float64)
    return sign * sums.astype(np.int64)


def layer_range(layer: Synapse[Lif], before: Shape, steps: int, where: str) -> LayerRange:
    """Bounds of one integer layer over so many steps; ``where`` is its name."""
    low, high = int(all_firing(layer, before, sign=-1).min()), int(all_firing(layer, before, sign=1).max())
    bias = 0.0 if layer.bias is None else float(np.abs(layer.bias.astype(np.int64)).max())
    most, unit = float(max(-low, high)), (1 << STATE_SHIFT) / STATE_LIMIT
    # The current is the potential of a neuron that keeps none of it.
    u = settled(most, 0.0, replace(layer.neuron, voltage_decay=DECAY_UNITY), steps)
    v = settled(most, bias, layer.neuron, steps)
    return LayerRange(where, (low, high), u * unit, v * unit)


def layer_firing(layer: Synapse[Lif], before: Shape, after: Shape, steps: int | None) -> Firing | None:
    """Who of an integer layer can fire, within so many steps or, for None, at all; None where its current could wrap.

    Upwards, all inputs over positive weights spike at every step, from rest, and the potential is never reset; the chip
    rounds towards zero, which only lowers that. Downwards, the neuron was reset the step before, and all inputs over
    negative weights have spiked since the start.
    """
    high, low = (all_firing(layer, before, sign=sign).reshape(after) for sign in (1, -1))
    bias = np.zeros(1) if layer.bias is None else layer.bias.astype(np.float64)
    if bias.ndim == 1 and len(after) == 3 and bias.size > 1:
        bias = bias[:, None, None]
    keep_u, keep_v = layer.neuron.current_keep, layer.neuron.keep
    scale, threshold = float(1 << STATE_SHIFT), float(layer.neuron.threshold << STATE_SHIFT)
    u_most, u_least = (_series(sums.astype(np.float64) * scale, keep_u, steps) for sums in (high, low))
    if max(u_most.max(), -u_least.min()) >= STATE_LIMIT:
        return None
    drive = bias * scale
    v_most = np.minimum(_series(np.maximum(u_most + drive, 0), keep_v, steps), STATE_LIMIT - 1)
    never = int((np.broadcast_to(v_most, after) <= threshold).sum())
    always = int((np.broadcast_to(u_least + drive, after) > threshold).sum())
    return Firing(math.prod(after), never, always)


def _magnitude(weight: np.ndarray, sign: int) -> np.ndarray:
    return np.abs(weight) if not sign else (sign * weight.clip(*((0, None) if sign > 0 else (None, 0))))


def _series(first: np.ndarray, keep: float, steps: int | None) -> np.ndarray:
    """``first * (1 + keep + keep^2 + ...)`` with so many terms, or with so many that more would hardly add."""
    terms = STEPS if steps is None else steps
    if keep in (0, 1):
        return first * (terms if keep else 1)
    # Rounded up by a part in a billion, since a bound must not lie below what it bounds.
    return first * ((1 - keep**terms) / (1 - keep)) * (1 + 1e-9)

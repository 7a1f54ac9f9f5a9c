"""How one layer's floats become the chip's integers: pure functions of arrays, used in training and in exporting alike.

A layer is scale-free: weights, bias and threshold multiplied by one factor, the *scale*, fire the same. Of ``bits`` bit
weights the levels are ``-(2^(bits-1) - 1) .. 2^(bits-1) - 1`` times a step that fills the register, so that thresholds
and biases stay fine where weights are coarse; every weight is even, as mixed signs on the chip require::

    weight    = step * clip(rint(w * scale / step), -+(2^(bits-1) - 1))        ties to even
    bias      = rint(b * scale)                                               ties to even
    threshold = rint(t * scale)
    decay     = rint(4096 * (1 - keep))

The arithmetic is float64 throughout, so that whoever calls gets the same integers on every machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from esvae.arrays import Float64, Int32, Real
from esvae.chip.formats import BIAS, DECAY_UNITY, THRESHOLD, WEIGHT
from esvae.chip.neuron import FloatLif, Lif
from esvae.errors import ConfigError, HardwareRangeError

__all__ = [
    "MAX_WEIGHT_BITS",
    "MIN_WEIGHT_BITS",
    "SHRINK",
    "FloatValues",
    "IntegerValues",
    "WeightGrid",
    "round_layer",
    "round_neuron",
    "settled",
]

MIN_WEIGHT_BITS, MAX_WEIGHT_BITS = 2, 8

#: Bits of a signed weight register in which mixed signs store even numbers, [-256, 254].
_REGISTER_BITS = 9

#: A potential that must not fire stays below this, in units of the weights: the largest threshold.
_ROOM = float(THRESHOLD.max)
#: What a scale becomes that is as large as a bound allows, as rounding may add to the sums.
SHRINK = 0.999


@dataclass(frozen=True)
class WeightGrid:
    """The levels of weights of so many bits, sign included.

    Raises:
        ConfigError: fewer than 2 or more than 8.
    """

    bits: int

    def __post_init__(self) -> None:
        if not MIN_WEIGHT_BITS <= self.bits <= MAX_WEIGHT_BITS:
            raise ConfigError(f"weight bits {self.bits}: expected {MIN_WEIGHT_BITS} to {MAX_WEIGHT_BITS}")

    @property
    def step(self) -> int:
        """Distance of two levels."""
        return 1 << (_REGISTER_BITS - self.bits)

    @property
    def levels(self) -> int:
        """Levels above zero, and as many below."""
        return (1 << (self.bits - 1)) - 1

    @property
    def top(self) -> int:
        """The largest weight, 128 to 254."""
        return self.levels * self.step

    def rounded(self, weight: Real[np.ndarray, "*weight"], scale: float) -> Float64[np.ndarray, "*weight"]:
        """Levels of ``weight * scale``, before they are clipped: whole numbers."""
        return np.rint(weight * (scale / self.step))

    def weights(self, weight: Real[np.ndarray, "*weight"], scale: float) -> Float64[np.ndarray, "*weight"]:
        """``weight * scale`` on the grid, ties to even, clipped to it: whole numbers, idempotent."""
        return np.clip(self.rounded(weight, scale), -self.levels, self.levels) * self.step

    def holds(self, weight: Real[np.ndarray, "*weight"], scale: float) -> bool:
        """Whether 8 bits are wanted and ``weight * scale`` is whole already, within the register: odd or -256 too."""
        values = weight * scale
        whole = self.bits == MAX_WEIGHT_BITS and (values == np.rint(values)).all()
        return bool(whole and WEIGHT.min <= values.min() and values.max() <= WEIGHT.max)


@dataclass(frozen=True, eq=False)
class FloatValues:
    """What is rounded, of one layer.

    Attributes:
        weight: of any shape.
        bias: for each output or for each neuron, or None.
        neuron: with an infinite threshold where it must not fire.
        fan_in: axes of ``weight`` that one neuron sums over, of axis 0 only the part of its own group.
        groups: equal parts, one after the other, into which axis 0 of ``weight`` falls.
    """

    weight: Float64[np.ndarray, "*weight"]
    bias: Float64[np.ndarray, "*bias"] | None
    neuron: FloatLif
    fan_in: tuple[int, ...]
    groups: int = 1


@dataclass(frozen=True, eq=False)
class IntegerValues:
    """What came of it.

    Attributes:
        weight, bias: as they were given, rounded.
        neuron: as the chip's registers hold it.
        scale: integers for 1.0 of the float layer.
        bound_by: what kept the scale from being larger: weight (or whatever was asked for), bias, threshold, readout.
        clipped: weights beyond the largest level.
    """

    weight: Int32[np.ndarray, "*weight"]
    bias: Int32[np.ndarray, "*bias"] | None
    neuron: Lif
    scale: float
    bound_by: str
    clipped: int


def round_layer(
    layer: FloatValues, grid: WeightGrid, steps: int | None, *, scale: float | None = None, where: str = "layer"
) -> IntegerValues:
    """Rounds a layer with the wanted scale, or the largest below it at which

    1. the largest bias fits its 13 bit register,
    2. the threshold fits its 17 bit register,
    3. a neuron that must not fire can neither do so nor saturate within the window, whatever spikes arrive.

    Args:
        layer: its floats.
        grid: of the weights.
        steps: the window, None where it has no end.
        scale: wanted; by default that at which the largest weight meets the largest level.
        where: goes into errors.

    Raises:
        HardwareRangeError: all weights are zero, a value is not finite, or a sum has no bound.
    """
    weight = layer.weight
    bias = np.zeros(1) if layer.bias is None else layer.bias
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise HardwareRangeError(f"{where}: weights or biases are not finite; train again with a lower learning rate")
    largest = float(np.abs(weight).max())
    if largest == 0:
        raise HardwareRangeError(f"{where}: all weights are zero, so the layer passes nothing on; train again")
    silent, threshold = math.isinf(layer.neuron.threshold), layer.neuron.threshold
    limits = {"weight": grid.top / largest if scale is None else scale}
    kept = scale is not None and grid.holds(weight, scale)  # integers of the chip's own stay what they are
    if bias.any() and not (kept and BIAS.min <= bias.min() * scale and bias.max() * scale <= BIAS.max):
        limits["bias"] = BIAS.max / float(np.abs(bias).max())
    if silent:
        reach = _reach(weight, bias, layer, steps)
        if not math.isfinite(reach):
            raise HardwareRangeError(
                f"{where}: it sums up without a leak and without an end, so no register holds it; give the network a "
                "number of time steps"
            )
        limits["readout"] = _ROOM / reach
    elif threshold:
        limits["threshold"] = THRESHOLD.max / threshold
    bound_by = min(limits, key=lambda name: limits[name])
    given, scale = scale, limits[bound_by]
    kept = kept and scale == given
    while True:
        integer = weight * scale if kept else grid.weights(weight, scale)
        integer_bias = np.rint(bias * scale)
        if not silent or _reach(integer, integer_bias, layer, steps) < _ROOM:
            break
        kept, bound_by, scale = False, "readout", scale * SHRINK
    return IntegerValues(
        weight=integer.astype(np.int32),
        bias=None if layer.bias is None else integer_bias.astype(np.int32),
        neuron=round_neuron(layer.neuron, scale),
        scale=scale,
        bound_by=bound_by,
        clipped=0 if kept else int((np.abs(grid.rounded(weight, scale)) > grid.levels).sum()),
    )


def round_neuron(neuron: FloatLif, scale: float) -> Lif:
    """The neuron in integers; one that must not fire has the largest threshold."""
    current, voltage = (round(DECAY_UNITY * (1 - share)) for share in (neuron.current_keep, neuron.keep))
    return Lif(current, voltage, THRESHOLD.max if math.isinf(neuron.threshold) else round(neuron.threshold * scale))


def _reach(weight: np.ndarray, bias: np.ndarray, layer: FloatValues, steps: int | None) -> float:
    """The largest magnitude that a neuron's potential reaches over the window, whatever spikes arrive."""
    grouped = weight.reshape(layer.groups, -1, *weight.shape[1:])
    axes = tuple(axis + 1 for axis in layer.fan_in)
    up = np.clip(grouped, 0, None).sum(axis=axes).max()
    down = np.clip(-grouped, 0, None).sum(axis=axes).max()
    rounded = round_neuron(layer.neuron, 1.0)
    above, below = max(float(bias.max()), 0.0), max(float(-bias.min()), 0.0)
    return max(settled(float(up), above, rounded, steps), settled(float(down), below, rounded, steps))


def settled(drive: float, bias: float, neuron: Lif, steps: int | None) -> float:
    """The potential after ``steps`` of a constant drive; where it settles, if there is no end."""
    keep, current_keep = neuron.keep, neuron.current_keep
    if steps is None:
        if not drive and not bias:
            return 0.0
        if keep == 1 or (drive and current_keep == 1):
            return math.inf
        return (drive / (1 - current_keep) + bias) / (1 - keep) if drive else bias / (1 - keep)
    current = potential = 0.0
    for _ in range(steps):
        current = current_keep * current + drive
        potential = keep * potential + current + bias
    return potential

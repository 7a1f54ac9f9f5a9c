"""A NIR neuron as the chip's: one decay and one threshold a layer, and what differs from neuron to neuron in its input.

``keep`` and ``current_keep`` are one number a layer. What else a node says is folded, exactly:

- the gain of the input, ``r dt / tau`` and so on, into the weights of each neuron;
- thresholds that differ: neurons are scale-free, so weights and bias times ``threshold / own threshold``;
- ``v_leak``, as the bias ``(1 - keep) v_leak``; ``v_reset``, as a potential counted from there;
- a threshold that fires when it is met: the next smaller number.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass

import numpy as np

from esvae.arrays import Float64
from esvae.errors import ConfigError, NetFileError, UnsupportedLayerError
from export.frontends.nir.convention import CLOSE, Convention, Reset, TimeStep
from export.ir import FloatLif
from export.nir.read import NirNode

__all__ = ["NirNeurons", "membrane"]

#: Thresholds from here on are never met: files hold no infinity, this project's writer puts float32's largest number.
_NEVER = 1e38
_PARAMETERS = {"r", "tau", "tau_mem", "tau_syn", "w_in", "v_leak", "v_threshold", "v_reset", "threshold"}


@dataclass(frozen=True, eq=False)
class NirNeurons:
    """What a node comes to; arrays are one number, or of the node's own shape.

    Attributes:
        lif: decays and threshold.
        gain: what 1 of the input adds, to the current where one lasts, else to the potential.
        bias: added to the potential at every step.
        subtracted: what a spike takes from the potential of the next step, where it does not reset it; else None.
        notes: what was assumed.
    """

    lif: FloatLif
    gain: Float64[np.ndarray, " ..."] | np.float64
    bias: Float64[np.ndarray, " ..."] | np.float64
    subtracted: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def fires(self) -> bool:
        """Whether it has a threshold."""
        return math.isfinite(self.lif.threshold)


def membrane(node: NirNode, step: TimeStep, reset: Reset) -> NirNeurons:
    """The neurons of a node.

    Args:
        node: one of :data:`~export.frontends.nir.chain.NEURONS_OF_NIR`.
        step: time step and convention.
        reset: what a spike does to the potential.

    Raises:
        UnsupportedLayerError: parameters that differ within the layer and cannot be folded, with their spread; or a
            reset that no neuron of the chip has.
        ConfigError: a time step that is too large for a time constant.
        NetFileError: parameters of different shapes.
    """
    _check_shapes(node)
    convention, dt = step.convention, step.dt
    if node.kind == "Threshold":
        threshold, scale = _threshold(node, "threshold", np.zeros(1), convention)
        return NirNeurons(FloatLif(0.0, threshold), scale, np.zeros(1))
    keep, gain = _potential(node, convention, dt)
    current_keep = 0.0
    if node.kind in ("CubaLIF", "CubaLI"):
        current_keep, arriving = _current(node, convention, dt)
        gain = arriving if convention.arriving_decays else gain * arriving
    leak = node.array("v_leak") if "v_leak" in node.values else np.zeros(1)
    if "v_threshold" not in node.values:
        return NirNeurons(FloatLif(keep, math.inf, current_keep), gain, (1 - keep) * leak)
    base = node.array("v_reset") if "v_reset" in node.values else np.zeros(1)
    threshold, scale = _threshold(node, "v_threshold", base, convention)
    notes: tuple[str, ...] = ()
    if base.any() and (leak != base).any():
        notes = (f"node '{node.name}': starts from its v_reset, {_spread(base)}, as after a spike",)
    bias = (1 - keep) * (leak - base) * scale
    lif = FloatLif(keep, threshold, current_keep)
    if reset == "zero" or not keep or math.isinf(threshold):
        return NirNeurons(lif, gain * scale, bias, None, notes)
    if base.any():
        raise UnsupportedLayerError(
            f"node '{node.name}' ({node.kind}): v_reset is {_spread(base)}, and a spike subtracts; give --reset zero"
        )
    if current_keep:
        raise UnsupportedLayerError(
            f"node '{node.name}' ({node.kind}): a spike subtracts the threshold beside a current that lasts, which no "
            "neuron of the chip does; train with reset to zero, or with a neuron without current (LIF, IF)"
        )
    plain = math.nextafter(threshold, math.inf) if convention.inclusive else threshold
    return NirNeurons(lif, gain * scale, bias, plain if convention.late else keep * plain, notes)


def _check_shapes(node: NirNode) -> None:
    """Raises unless the parameters are of one shape, but for those of a single value, and axes of length 1."""
    shapes = {key: value.shape for key, value in node.values.items() if key in _PARAMETERS and hasattr(value, "shape")}
    several = [shape for shape in shapes.values() if math.prod(shape) != 1]
    fit = len({len(shape) for shape in several}) < 2 and all(map(math.prod, several))
    with contextlib.suppress(ValueError):
        np.broadcast_shapes(*several)
        if fit:
            return
    found = ", ".join(f"{key} {shape}" for key, shape in shapes.items())
    raise NetFileError(f"node '{node.name}' ({node.kind}): expected parameters of one shape, got {found}")


def _potential(node: NirNode, convention: Convention, dt: float) -> tuple[float, np.ndarray]:
    """The share of the potential that stays, and the gain of what it sees."""
    r = _positive(node, "r")
    if node.kind in ("IF", "I"):
        return 1.0, _snapped(r * dt)
    key = "tau_mem" if "tau_mem" in node.values else "tau"
    share = dt / _positive(node, key)
    keep = _keep(node, key, share, convention)
    if convention.arriving_decays:  # r holds one decay, which LI's input meets and LIF's does not
        return keep, _snapped(r * share / (keep if "v_threshold" in node.values else 1.0))
    if convention.exponential:
        return keep, r * (1 - keep)
    return keep, _snapped(r * share)


def _current(node: NirNode, convention: Convention, dt: float) -> tuple[float, np.ndarray]:
    """The share of the current that stays, and the gain of what enters it."""
    if convention.exponential and not convention.arriving_decays:
        raise UnsupportedLayerError(
            f"node '{node.name}' ({node.kind}): Sinabs writes no such node; give --written-by nir"
        )
    share = dt / _positive(node, "tau_syn")
    keep = _keep(node, "tau_syn", share, convention)
    entering = node.array("w_in") if "w_in" in node.values else np.ones(1)
    if convention.arriving_decays:
        return keep, entering * keep
    if convention.whole_current and (entering == 1).all():
        return keep, entering
    return keep, _snapped(entering * share)


def _keep(node: NirNode, key: str, share: np.ndarray, convention: Convention) -> float:
    lost = _uniform(node, key, share)
    if convention.exponential:
        return math.exp(-lost)
    if lost > 1 + CLOSE:
        raise ConfigError(
            f"node '{node.name}' ({node.kind}): {key} is shorter than the time step, dt / {key} = {lost:g}, expected "
            "at most 1; give a smaller --dt"
        )
    return 0.0 if lost > 1 - CLOSE else 1 - lost


def _threshold(node: NirNode, key: str, base: np.ndarray, convention: Convention) -> tuple[float, np.ndarray]:
    """The layer's threshold, and what each neuron's input is multiplied by so that it holds for all."""
    own = node.array(key) - base
    if (own < 0).any():
        raise UnsupportedLayerError(
            f"node '{node.name}' ({node.kind}): {key} is {_spread(own)} above its reset, expected 0 or more"
        )
    if (own >= _NEVER).all():
        return math.inf, np.ones(1)
    common = float(own.max())
    if (own != common).any() and (own == 0).any():
        raise UnsupportedLayerError(
            f"node '{node.name}' ({node.kind}): {key} is {_spread(own)}; thresholds of 0 beside others cannot be scaled"
        )
    scale = np.ones(1) if (own == common).all() else common / own
    return (math.nextafter(common, 0.0) if convention.inclusive and common else common), scale


def _positive(node: NirNode, key: str) -> np.ndarray:
    values = node.array(key)
    if values.size == 0 or not (values > 0).all():
        raise UnsupportedLayerError(f"node '{node.name}' ({node.kind}): {key} is {_spread(values)}, expected above 0")
    return values


def _uniform(node: NirNode, key: str, values: np.ndarray) -> float:
    """The one number of a layer."""
    low, high = float(values.min()), float(values.max())
    if high - low > CLOSE * high:
        raise UnsupportedLayerError(
            f"node '{node.name}' ({node.kind}): {key} is {_spread(node.array(key))} within the layer; the chip has one "
            "for all its neurons; split the layer, or train with a shared one"
        )
    return float(values.reshape(-1)[0])


def _spread(values: np.ndarray) -> str:
    if not values.size:
        return "empty"
    low, high = float(values.min()), float(values.max())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _snapped(gain: np.ndarray) -> np.ndarray:
    """Gains of 1 that float32 rounded are 1."""
    return np.where(np.abs(gain - 1) <= CLOSE, 1.0, gain)

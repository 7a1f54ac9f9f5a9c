"""What the time of a pixel's first spike tells of its potential, and the threshold and lift that tell most.

From the end of the image on a pixel neuron is driven by the same number d at every step, its bias and the lift, so that
it moves as ``v <- trunc(v keep) + d``. Whoever starts higher crosses the threshold sooner: step t of the read phase
stands for the potentials from ``edge[t]`` to just below ``edge[t - 1]``. Going back from the threshold gives them::

    edge[1] = the least v whose next potential is above the threshold
    edge[t] = the least v whose next potential is at least edge[t - 1]
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from esvae.arrays import Float64, Int32, Int64
from esvae.chip.formats import DECAY_SHIFT, DECAY_UNITY, STATE_SHIFT, THRESHOLD
from esvae.chip.neuron import Lif
from esvae.errors import HardwareRangeError
from export.circuit.gates import WEIGHT_STEP

__all__ = ["Lift", "best_lift", "first_edges", "levels_of"]

#: Thresholds that are tried, and potentials that the last step stands for, in units of the picture before tanh.
_TOPS, _BOTTOMS = np.linspace(0.5, 3.0, 26), np.linspace(-3.5, 0.5, 33)
#: Pixels that these are judged on.
_PIXELS = 1 << 14
#: No grey is further from black or white than half a level of 8 bits can show, so that each has a potential.
_PALEST = 1 - 1 / 512
#: Beyond what a potential of 24 bit can be.
_NEVER = 1 << 32


@dataclass(frozen=True, eq=False)
class Lift:
    """What a read phase does to the pixels.

    Attributes:
        threshold: ``vThMant`` of their neurons.
        weight: that all drives together have at each of its steps, ``(channels,)``; even.
    """

    threshold: int
    weight: Int64[np.ndarray, " channels"]


def first_edges(neuron: Lif, drive: Int64[np.ndarray, " channels"], steps: int) -> Int64[np.ndarray, "channels steps"]:
    """The least potential from which a neuron that did not fire before has fired by each step.

    Args:
        neuron: its current has no memory.
        drive: sum of weights and bias, the same at every step.
        steps: how many.
    """
    beyond = (np.int64(neuron.threshold) << STATE_SHIFT) + 1
    edges = np.empty((len(drive), steps), np.int64)
    wanted = np.full(len(drive), beyond)
    for step in range(steps):
        edges[:, step] = _least_kept(wanted - (drive << STATE_SHIFT), neuron)
        wanted = np.minimum(edges[:, step], beyond)
    return np.minimum(edges, beyond)


def _least_kept(wanted: Int64[np.ndarray, " channels"], neuron: Lif) -> Int64[np.ndarray, " channels"]:
    """The least potential of which a step keeps at least ``wanted``, rounded toward zero."""
    kept = DECAY_UNITY - neuron.decays[1]
    if not kept:
        return np.where(wanted > 0, _NEVER, -_NEVER)
    # |v| keep >> 12 is at least m from ceil(m 4096 / keep) on, and at most m until that of m + 1.
    above = -(-(np.abs(wanted) << DECAY_SHIFT) // kept)
    below = -(-((np.abs(wanted) + 1) << DECAY_SHIFT) // kept) - 1
    return np.clip(np.where(wanted > 0, above, -below), -_NEVER, _NEVER)


def levels_of(
    edges: Int64[np.ndarray, "channels steps"], threshold: int, unit: float
) -> Int32[np.ndarray, "channels steps_and_two"]:
    """The potential that each time of a first spike stands for: in the middle of its greys, which are ``tanh(v/unit)``.

    Args:
        edges: as :func:`first_edges` gives them.
        threshold: of the neurons.
        unit: of the readout.

    Returns:
        Before the read phase, where all that is known is that the threshold was crossed; by its steps; and never.
    """
    return np.rint(np.arctanh(_greys(edges, threshold, unit)) * unit).astype(np.int32)


def _greys(edges: np.ndarray, threshold: int, unit: float) -> Float64[np.ndarray, "channels steps_and_two"]:
    white, black, crossed = (
        np.full((len(edges), 1), grey) for grey in (1.0, -1.0, np.tanh((threshold << STATE_SHIFT) / unit))
    )
    ends = np.concatenate([white, crossed, np.tanh(edges / unit), black], axis=1)
    return np.clip((ends[:, 1:] + ends[:, :-1]) / 2, -_PALEST, _PALEST)


def best_lift(
    potentials: Int64[np.ndarray, "steps images channels pixels"],
    bias: Int64[np.ndarray, " channels"],
    neuron: Lif,
    steps: int,
    unit: float,
) -> Lift:
    """The threshold and lift whose pictures are closest to those of the potentials, by mean squared error.

    A high threshold leaves bright pixels alone until the read phase, a low one leaves its steps to the greys.

    Args:
        potentials: of images, after each of their steps.
        bias: of the channels.
        neuron: of the pixels.
        steps: of the read phase.
        unit: of the readout.

    Raises:
        HardwareRangeError: the potentials are beyond every threshold.
    """
    parity, channel = np.unique(bias % WEIGHT_STEP, return_inverse=True)  # drives differ in no more, weights being even
    ends, peaks = (values.swapaxes(0, 1).reshape(len(bias), -1) for values in (potentials[-1], potentials.max(axis=0)))
    taken = slice(None, None, -(-ends.size // _PIXELS) | 1)  # odd, so that it meets all positions of a map
    seen = [tuple(side[channel == k].reshape(-1)[taken] for side in (ends, peaks)) for k in range(len(parity))]
    keep, scale = neuron.keep, unit / (1 << STATE_SHIFT)
    lasting, left = float(np.sum(keep ** np.arange(steps))), keep**steps
    found: dict[float, tuple[int, int]] = {}
    for top, bottom in product(_TOPS, _BOTTOMS):
        threshold, drive = round(top * scale), round((top - bottom * left) / lasting * scale)
        if threshold in THRESHOLD and drive > bias.max():
            edges = first_edges(Lif(neuron.current_decay, neuron.voltage_decay, threshold), _even(drive, parity), steps)
            greys = _greys(edges, threshold, unit)
            errors = [_errors(*each, threshold, unit) for each in zip(seen, edges, greys, strict=True)]
            found[float(np.concatenate(errors).mean())] = threshold, drive
    if not found:
        raise HardwareRangeError(
            f"no threshold up to {THRESHOLD.max} and no lift above the pixels' bias of {bias.max()} read potentials of "
            f"which {scale:.0f} make a picture of 1; read them as they are"
        )
    threshold, drive = found[min(found)]
    return Lift(threshold, _even(drive, bias) - bias)


def _even(drive: int, bias: np.ndarray) -> Int64[np.ndarray, " channels"]:
    """The drive, or one more where an even weight beside the bias does not give it."""
    return drive + (drive - bias) % WEIGHT_STEP


def _errors(
    seen: tuple[np.ndarray, ...], edges: np.ndarray, greys: np.ndarray, threshold: int, unit: float
) -> Float64[np.ndarray, " pixels"]:
    """Squared errors of pixels that one table tells; ``seen`` is where they end and their peaks."""
    ends, peaks = seen
    step = 1 + np.searchsorted(-edges, -ends, side="left")
    step[peaks > threshold << STATE_SHIFT] = 0
    return np.square(greys[step] - np.tanh(ends / unit))

"""The one place where axis orders change: torch's (ours) on one side, the netx file's on the other.

============  =====================  ==========================================
              ours                   netx file
============  =====================  ==========================================
conv kernel   ``O I/groups kh kw``   the same; netx flips and reorders on load
dense weight  ``O I``                the same
pairs         ``(y, x)``             the same; netx reverses them on load
map shape     ``(C, H, W)``          the same; netx reverses it on load
map bias      ``(C, H, W)``          ``(W, H, C)``; netx takes it as it is
dense delay   ``O I``                one number; ``(O,)``, by output; ``(I,)``, by
                                     input, unless ``I = O``; or ``O I``
============  =====================  ==========================================

slayer writes kernels and dense weights with trailing axes of length one, which reading drops.
"""

from __future__ import annotations

import numpy as np

from esvae.arrays import Integer, Real
from esvae.errors import NetFileError

__all__ = ["bias_from_file", "bias_to_file", "delay_from_file", "delay_to_file", "weight_from_file"]


def bias_to_file(
    bias: Real[np.ndarray, " outputs"] | Real[np.ndarray, "channels height width"],
) -> Real[np.ndarray, " outputs"] | Real[np.ndarray, "width height channels"]:
    """``(O,)`` stays; ``(C, H, W)`` becomes ``(W, H, C)``."""
    return bias.transpose(2, 1, 0) if bias.ndim == 3 else bias


def bias_from_file(
    bias: Real[np.ndarray, " ..."],
) -> Real[np.ndarray, " outputs"] | Real[np.ndarray, "channels height width"]:
    """``(O,)`` stays; ``(W, H, C)`` becomes ``(C, H, W)``."""
    return bias.transpose(2, 1, 0) if bias.ndim == 3 else bias.reshape(-1)


def weight_from_file(weight: Real[np.ndarray, " ..."], axes: int, where: str) -> Real[np.ndarray, " ..."]:
    """Drops trailing axes of length one until ``axes`` are left.

    Raises:
        NetFileError: the array has fewer axes, or a trailing one is longer than one.
    """
    if weight.ndim < axes or any(n != 1 for n in weight.shape[axes:]):
        raise NetFileError(f"{where}: weight has shape {weight.shape}, expected {axes} axes")
    return weight.reshape(weight.shape[:axes])


def delay_from_file(
    delay: Integer[np.ndarray, " ..."], shape: tuple[int, ...], where: str
) -> Integer[np.ndarray, "outputs inputs"]:
    """One number, ``(O,)``, ``(I,)`` or ``(O, I)`` as ``(O, I)``; an axis that fits both is the outputs'.

    Raises:
        NetFileError: the array fits neither outputs nor inputs.
    """
    outputs, inputs = shape
    if delay.shape == (outputs,):
        delay = delay[:, None]
    elif delay.shape not in ((), (inputs,), (outputs, inputs)):
        raise NetFileError(f"{where}: delay has shape {delay.shape}, expected (), ({outputs},), ({inputs},) or {shape}")
    return np.broadcast_to(delay, shape).copy()


def delay_to_file(delay: Integer[np.ndarray, "outputs inputs"]) -> Integer[np.ndarray, " ..."] | np.integer:
    """``(O, I)`` as the smallest array that reads as the same."""
    outputs, inputs = delay.shape
    if (delay == delay[0, 0]).all():
        return delay[0, 0]
    if (delay == delay[:, :1]).all():
        return delay[:, 0]
    if (delay == delay[:1]).all() and inputs != outputs:
        return delay[0]
    return delay

"""The one place where axis orders change: torch's (ours) on one side, the netx file's on the other.

============  =====================  ==========================================
              ours                   netx file
============  =====================  ==========================================
conv kernel   ``O I/groups kh kw``   the same; netx flips and reorders on load
dense weight  ``O I``                the same
pairs         ``(y, x)``             the same; netx reverses them on load
map shape     ``(C, H, W)``          the same; netx reverses it on load
map bias      ``(C, H, W)``          ``(W, H, C)``; netx takes it as it is
============  =====================  ==========================================

slayer writes kernels and dense weights with trailing axes of length one, which reading drops.
"""

from __future__ import annotations

import numpy as np

from esvae.errors import NetFileError

__all__ = ["bias_from_file", "bias_to_file", "weight_from_file"]


def bias_to_file(bias: np.ndarray) -> np.ndarray:
    """``(O,)`` stays; ``(C, H, W)`` becomes ``(W, H, C)``."""
    return bias.transpose(2, 1, 0) if bias.ndim == 3 else bias


def bias_from_file(bias: np.ndarray) -> np.ndarray:
    """``(O,)`` stays; ``(W, H, C)`` becomes ``(C, H, W)``."""
    return bias.transpose(2, 1, 0) if bias.ndim == 3 else bias.reshape(-1)


def weight_from_file(weight: np.ndarray, axes: int, where: str) -> np.ndarray:
    """Drops trailing axes of length one until ``axes`` are left.

    Raises:
        NetFileError: the array has fewer axes, or a trailing one is longer than one.
    """
    if weight.ndim < axes or any(n != 1 for n in weight.shape[axes:]):
        raise NetFileError(f"{where}: weight has shape {weight.shape}, expected {axes} axes")
    return weight.reshape(weight.shape[:axes])

"""A norm folded into the synapses before it: ``scale * (W x + b) + shift = (scale * W) x + (scale * b + shift)``.

Training in integers folds torch's tensors, with gradients, and exporting numpy's arrays; both by these operations in
this order, so that both round the same bits.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch

from esvae.arrays import Float

__all__ = ["fold"]

Array = TypeVar("Array", np.ndarray, torch.Tensor)


def fold(
    weight: Float[Array, "*weight"],
    bias: Float[Array, " outputs"] | None,
    scale: Float[Array, " outputs"],
    shift: Float[Array, " outputs"],
    *,
    transposed: bool = False,
    groups: int = 1,
) -> tuple[Float[Array, "*weight"], Float[Array, " outputs"]]:
    """Weight and bias with the norm in them.

    Args:
        weight: ``(O, ...)``; of a transposed convolution ``(I, O/groups, kh, kw)``.
        bias: or None.
        scale, shift: of the norm.
        transposed, groups: of the synapses.
    """
    if transposed:
        # Axis 1 counts the outputs of one group, and axis 0 runs through the groups' inputs.
        inputs, outputs, *kernel = weight.shape
        by_group = weight.reshape(groups, inputs // groups, outputs, *kernel)
        folded = (by_group * scale.reshape(groups, 1, outputs, *[1] * len(kernel))).reshape(weight.shape)
    else:
        folded = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    return folded, shift if bias is None else scale * bias + shift

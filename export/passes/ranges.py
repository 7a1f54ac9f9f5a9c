"""Pass: bounds the registers of every layer for any input, and refuses a generator that could leave them.

For each neuron the sum of its positive (negative) weights, borders taken into account, is the largest (smallest) sum
``a`` that any set of spikes can send it; from it follow the current ``u`` and, as a geometric series over the window,
the membrane potential ``v``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from esvae.chip.formats import STATE_LIMIT, STATE_SHIFT
from esvae.errors import HardwareRangeError
from export.ir import Conv, Dense, Lif, Network, Shape, Synapse

__all__ = ["LayerRange", "all_firing", "check_ranges", "layer_ranges"]

#: Rows of a matrix of weights that are summed at a time.
_ROWS = 128


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


def layer_ranges(network: Network) -> list[LayerRange]:
    """Bounds of every layer with a neuron, in file order; over a single step where the network has no window."""
    return [
        _bounds(layer, before, network.time_steps or 1, where)
        for where, (layer, before, _) in zip(network.labels, network.synapses(), strict=True)
    ]


def check_ranges(network: Network) -> list[LayerRange]:
    """The :func:`layer_ranges` of a generator that stays within its registers.

    Raises:
        HardwareRangeError: a current could wrap, or the readout could fire or saturate.
    """
    report = layer_ranges(network)
    for bounds in report:
        if bounds.u_share >= 1:
            raise HardwareRangeError(
                f"{bounds.layer}: the current could reach {bounds.u_share:.2f} of the 2^23 at which it wraps; "
                "use fewer weight bits or fewer inputs a neuron"
            )
    if network.readout is not None and report[-1].v_share >= 1:
        raise HardwareRangeError(
            f"{report[-1].layer}: the readout's potential could reach {report[-1].v_share:.2f} of 2^23 and saturate; "
            "use a smaller weight scale for it"
        )
    return report


def _bounds(layer: Synapse[Lif], before: Shape, steps: int, where: str) -> LayerRange:
    low, high = int(all_firing(layer, before, sign=-1).min()), int(all_firing(layer, before, sign=1).max())
    bias = np.zeros(1, np.int64) if layer.bias is None else layer.bias.astype(np.int64)
    keep_u, keep_v = layer.neuron.current_keep, layer.neuron.keep
    u = v = 0.0
    for _ in range(steps):
        u = keep_u * u + (max(-low, high) << STATE_SHIFT)
        v = keep_v * v + u + (int(np.abs(bias).max()) << STATE_SHIFT)
    return LayerRange(where, (low, high), u / STATE_LIMIT, v / STATE_LIMIT)


def all_firing(layer: Synapse, before: Shape, *, sign: int) -> torch.Tensor:
    """What every neuron receives when all inputs over its positive (negative) weights spike, and no others."""
    limits = (0, None) if sign > 0 else (None, 0)
    if isinstance(layer, Dense):
        parts = (layer.weight[start : start + _ROWS].clip(*limits) for start in range(0, len(layer.weight), _ROWS))
        return torch.from_numpy(np.concatenate([part.sum(axis=1, dtype=np.int64) for part in parts]))
    kept = layer.weight.clip(*limits)
    weight, ones = torch.from_numpy(kept.astype(np.float64)), torch.ones(1, *before, dtype=torch.float64)
    if isinstance(layer, Conv):
        return functional.conv2d(ones, weight, None, layer.stride, layer.padding, layer.dilation, layer.groups)
    return functional.conv_transpose2d(
        ones, weight, None, layer.stride, layer.padding, layer.output_padding, layer.groups, layer.dilation
    )

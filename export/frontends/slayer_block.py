"""What one of slayer's blocks holds, in the units of the chip's registers: weights, norm, neuron, delays.

Every attribute that changes what a block computes is taken, folded or refused here; ``docs/frontends.md`` lists them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from esvae.arrays import Float64, Int64, Shaped
from esvae.chip.formats import DECAY_UNITY, DELAY
from esvae.errors import ConfigError, UnsupportedLayerError
from export.frontends.cell import parameter_array
from export.ir import FloatLif

__all__ = ["NORMS", "BlockNorm", "BlockWeights", "delays_of", "neuron_of", "norm_of", "weights_of"]

#: slayer's norms that fold into the neuron.
NORMS = ("MeanOnlyBatchNorm", "WgtScaleBatchNorm")


@dataclass(frozen=True)
class BlockWeights:
    """Synaptic weights.

    Attributes:
        values: as slayer applies them, float64, in its own layout, the time axis last.
        on_grid: whether they are integers of the register, which is what they are once slayer has quantized them;
            else they are floats in slayer's unit.
    """

    values: Float64[np.ndarray, "outputs inputs kh kw steps"]
    on_grid: bool


@dataclass(frozen=True)
class BlockNorm:
    """A norm as the chip does it.

    Attributes:
        bias: one for each output, in the unit of the weights, or None.
        divisor: the power of two that the current is divided by; it multiplies the threshold.
    """

    bias: Float64[np.ndarray, " outputs"] | None = None
    divisor: float = 1.0


def weights_of(
    synapse: Any, neuron: Any, where: str, mask: Shaped[torch.Tensor, "outputs inputs kh kw steps"] | None = None
) -> BlockWeights:
    """Weights as slayer's ``forward`` applies them: its weight norm, its mask, its ``pre_hook_fx``."""
    if synapse.complex:
        raise UnsupportedLayerError(f"{where}: complex weights are not supported; the chip's neurons here are real")
    if mask is not None and synapse.weight_norm_enabled:
        raise UnsupportedLayerError(
            f"{where}: a mask beside weight norm, which slayer computes the weights anew from, unmasked; train without "
            "weight_norm"
        )
    hook = synapse.pre_hook_fx
    with torch.no_grad():
        if synapse.weight_norm_enabled:  # as taking the norm off would, which changes the block
            weight = torch._weight_norm(synapse.weight_v, synapse.weight_g, 0)
        else:
            weight = synapse.weight
        if mask is not None:
            weight = weight * mask
        if hook is None:
            return BlockWeights(parameter_array(weight), on_grid=False)
        try:
            weight = hook(weight)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ConfigError(f"{where}: its pre_hook_fx fails on its weights: {error}") from None
    values = parameter_array(weight)
    integers = np.rint(values * neuron.w_scale)
    if np.array_equal(integers / neuron.w_scale, values):
        return BlockWeights(integers, on_grid=True)
    return BlockWeights(values, on_grid=False)


def norm_of(neuron: Any, where: str, outputs: int, *, on_grid: bool) -> BlockNorm:
    """The norm in evaluation, its running mean as a bias."""
    norm = neuron.norm
    if norm is None:
        return BlockNorm()
    kind = type(norm).__name__
    if kind not in NORMS:
        raise UnsupportedLayerError(f"{where}: norm {kind} is not supported; supported are {', '.join(NORMS)}")
    if norm.running_mean.numel() != outputs:
        raise ConfigError(
            f"{where}: its norm has seen no data: {norm.running_mean.numel()} running mean for {outputs} outputs; "
            "train or run the norm once, in training mode"
        )
    with torch.no_grad():
        mean = parameter_array(norm.pre_hook_fx(norm.running_mean)).reshape(-1)
        divisor = float(norm.std(norm.running_var)) if kind == "WgtScaleBatchNorm" else 1.0
    return BlockNorm(-mean * (neuron.w_scale if on_grid else 1.0), divisor)


def neuron_of(neuron: Any, where: str, divisor: float, *, on_grid: bool, keeps_state: bool = False) -> FloatLif:
    """The neuron with its threshold.

    Args:
        neuron: slayer's ``cuba.Neuron``.
        where: what errors call its block.
        divisor: of its norm.
        on_grid: threshold in the register's unit, else in slayer's.
        keeps_state: the block sets ``persistent_state`` itself, as slayer's recurrent blocks do to go step by step.
    """
    if neuron.graded_spike:
        raise UnsupportedLayerError(
            f"{where}: graded spikes: each carries the potential as a payload, which LIF neurons of netx do not send; "
            "train with graded_spike=False"
        )
    if neuron.persistent_state and not keeps_state:
        raise UnsupportedLayerError(
            f"{where}: persistent_state: its neurons go on from the batch before, where every sample starts from rest "
            "here; set neuron.persistent_state = False"
        )
    if neuron.drop is not None and not isinstance(neuron.drop, nn.modules.dropout._DropoutNd):
        raise UnsupportedLayerError(
            f"{where}: dropout {type(neuron.drop).__name__} is no torch module of dropout, which does nothing in "
            "evaluation; set neuron.drop = None"
        )
    keep, current_keep = (
        1 - _one(getattr(neuron, name), f"{where}: {name}") / DECAY_UNITY for name in ("voltage_decay", "current_decay")
    )
    threshold = neuron.v_th_mant if on_grid else neuron.threshold
    return FloatLif(keep, float(threshold) * divisor, current_keep)


def _one(decay: torch.Tensor, name: str) -> float:
    """The decay in parts of 4096, as slayer rounds it, one for all channels."""
    values = parameter_array(torch.round(decay.detach().double().clamp(0, DECAY_UNITY)))
    if not np.isfinite(values).all():
        raise ConfigError(f"{name} is not finite; train again with a lower learning rate")
    if np.ptp(values):
        raise UnsupportedLayerError(
            f"{name} runs from {values.min():g} to {values.max():g} of 4096 over its channels; the chip has one for a "
            "layer; train with shared_param=True"
        )
    return float(values.flat[0])


def delays_of(module: Any, where: str) -> Int64[np.ndarray, " outputs"] | None:
    """Whole steps by output channel, as slayer applies and writes them, or None where nothing is held back."""
    if module is None:
        return None
    if module.sampling_time != 1:
        raise UnsupportedLayerError(f"{where}: delays with sampling_time {module.sampling_time}, expected 1")
    most = math.inf if module.max_delay is None else module.max_delay
    steps = np.floor(np.clip(parameter_array(module.delay), 0, most)).reshape(-1).astype(np.int64)
    DELAY.check(steps, where, "train with max_delay=62")
    return steps if steps.any() else None

"""Pass: float weights, biases, thresholds and decays to the chip's integers, one scale a layer.

A layer is scale-free: weights, bias and threshold multiplied by one factor fire the same. Of ``bits`` bit weights the
levels are ``-(2^(bits-1) - 1) .. 2^(bits-1) - 1`` times a step that fills the register, so that thresholds and biases
stay fine where weights are coarse; every weight is even, as mixed signs on the chip require. The scale is the largest
at which

1. the largest weight meets the largest level,
2. the largest bias fits its 13 bit register,
3. the threshold fits its 17 bit register,
4. the readout can neither fire nor saturate, whatever spikes arrive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from esvae.errors import ConfigError, HardwareRangeError
from export.float_network import FloatNetwork
from export.formats import BIAS, DECAY_UNITY, STATE_SHIFT, THRESHOLD
from export.ir import ConvTranspose, FloatLif, Lif, Network, Synapse

__all__ = ["MAX_WEIGHT_BITS", "LayerQuantization", "quantize"]

MAX_WEIGHT_BITS = 8
_MIN_WEIGHT_BITS = 2
#: Bits that a signed weight register has below the level: mixed signs store even numbers in [-256, 254].
_REGISTER_BITS = 9

#: The readout's potential, in units of its weights, stays below this: its threshold, 2^17 - 1.
_READOUT_ROOM = float(THRESHOLD.max)
_SHRINK = 0.999


@dataclass(frozen=True)
class LayerQuantization:
    """What quantizing did to one layer.

    Attributes:
        layer: its position and type.
        bits: of its weights.
        scale: integers for 1.0 of the float layer.
        bound_by: what kept the scale from being larger: weight, bias, threshold or readout.
        clipped: weights beyond the largest level.
        weight_error: root mean square of the rounding error over that of the weights.
        bias_error: largest rounding error of a bias, as a share of the threshold (of 1.0 for the readout).
        threshold_error: rounding error of the threshold, relative.
        zeros: share of weights that became zero.
    """

    layer: str
    bits: int
    scale: float
    bound_by: str
    clipped: int
    weight_error: float
    bias_error: float
    threshold_error: float
    zeros: float


def quantize(network: FloatNetwork, bits: int = MAX_WEIGHT_BITS) -> tuple[Network, list[LayerQuantization]]:
    """Quantizes a folded network.

    Args:
        network: without norms (see :func:`~export.passes.fold_norm`).
        bits: of the weights, 2 to 8, sign included.

    Raises:
        ConfigError: ``bits`` out of range.
        HardwareRangeError: a layer without weights, or values that are not finite.
    """
    if not _MIN_WEIGHT_BITS <= bits <= MAX_WEIGHT_BITS:
        raise ConfigError(f"weight bits {bits}: expected {_MIN_WEIGHT_BITS} to {MAX_WEIGHT_BITS}")
    layers, report = [], []
    for index, layer in enumerate(network.layers):
        where = f"layer {index} ({type(layer.synapse).__name__})"
        synapse, entry = _quantized(layer.synapse, bits, network.time_steps, where)
        layers.append(synapse)
        report.append(entry)
    unit = report[-1].scale * (1 << STATE_SHIFT)
    readout = replace(network.readout, unit=network.readout.unit * unit)
    integer = Network(
        network.input_shape, tuple(layers), network.time_steps, network.prior, readout, dict(network.provenance)
    )
    return integer, report


def _quantized(synapse: Synapse, bits: int, steps: int, where: str) -> tuple[Synapse, LayerQuantization]:
    neuron = synapse.neuron
    assert isinstance(neuron, FloatLif)
    weight = synapse.weight
    bias = np.zeros(1) if synapse.bias is None else synapse.bias
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise HardwareRangeError(f"{where}: weights or biases are not finite; train again with a lower learning rate")
    largest = float(np.abs(weight).max())
    if largest == 0:
        raise HardwareRangeError(f"{where}: all weights are zero, so the layer passes nothing on; train again")
    step = 1 << (_REGISTER_BITS - bits)
    top = ((1 << (bits - 1)) - 1) * step
    readout = math.isinf(neuron.threshold)
    limits = {"weight": top / largest}
    if bias.any():
        limits["bias"] = BIAS.max / float(np.abs(bias).max())
    if readout:
        limits["readout"] = _READOUT_ROOM / _reach(weight, bias, synapse, neuron.keep, steps)
    else:
        limits["threshold"] = THRESHOLD.max / neuron.threshold
    bound_by = min(limits, key=lambda name: limits[name])
    scale = limits[bound_by]
    decay = round(DECAY_UNITY * (1 - neuron.keep))
    while True:
        levels = np.rint(weight * (scale / step))
        kept = np.clip(levels, -top // step, top // step)
        integer_bias = np.rint(bias * scale)
        if not readout or _reach(kept * step, integer_bias, synapse, 1 - decay / DECAY_UNITY, steps) < _READOUT_ROOM:
            break
        bound_by, scale = "readout", scale * _SHRINK  # rounding may have added to the sums
    threshold = THRESHOLD.max if readout else round(neuron.threshold * scale)
    integer = replace(
        synapse,
        weight=(kept * step).astype(np.int32),
        bias=None if synapse.bias is None else integer_bias.astype(np.int32),
        neuron=Lif(round(DECAY_UNITY * (1 - neuron.current_keep)), decay, threshold),
    )
    error = kept * step / scale - weight
    unit = 1.0 if readout else neuron.threshold
    return integer, LayerQuantization(
        layer=where,
        bits=bits,
        scale=scale,
        bound_by=bound_by,
        clipped=int((levels != kept).sum()),
        weight_error=float(np.sqrt(np.mean(error**2) / np.mean(weight**2))),
        bias_error=float(np.abs(integer_bias / scale - bias).max() / unit),
        threshold_error=0.0 if readout else abs(threshold / scale / neuron.threshold - 1),
        zeros=float((kept == 0).mean()),
    )


def _reach(weight: np.ndarray, bias: np.ndarray, synapse: Synapse, keep: float, steps: int) -> float:
    """The largest magnitude that a neuron's potential reaches over the window, whatever spikes arrive."""
    axes = (0, 2, 3) if isinstance(synapse, ConvTranspose) else tuple(range(1, weight.ndim))
    up = np.clip(weight, 0, None).sum(axis=axes).max() + max(float(bias.max()), 0.0)
    down = np.clip(-weight, 0, None).sum(axis=axes).max() + max(float(-bias.min()), 0.0)
    return float(max(up, down)) * sum(keep**t for t in range(steps))

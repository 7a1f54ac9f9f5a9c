"""Pass: float weights, biases, thresholds and decays to the chip's integers, one scale a layer.

What rounding does to one layer, and what bounds its scale, is :mod:`esvae.chip.rounding`'s, but for the current: where
the exact bound of :mod:`export.ir.bounds`, which knows the borders of maps, says that it could wrap, the layer is
rounded again with a scale as much smaller. Both matrices of a recurrent layer have one scale. A layer that was trained
on the chip's grid brings its scale along. Not touched: flatten layers, the prior.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from esvae.chip.formats import STATE_SHIFT
from esvae.chip.rounding import MAX_WEIGHT_BITS, SHRINK, FloatValues, WeightGrid, round_layer
from export.ir import ConvTranspose, Flatten, FloatLif, Layer, Lif, Network, Shape, Synapse, all_weights, with_values
from export.ir.bounds import layer_range
from export.ir.floats import FloatLayer, FloatNetwork

__all__ = ["MAX_WEIGHT_BITS", "LayerQuantization", "float_values", "quantize"]


@dataclass(frozen=True)
class LayerQuantization:
    """What quantizing did to one layer.

    Attributes:
        layer: its label.
        bits: of its weights.
        scale: integers for 1.0 of the float layer.
        bound_by: what kept the scale from being larger: weight, bias, threshold, readout or current.
        clipped: weights beyond the largest level.
        weight_error: root mean square of the rounding error over that of the weights, calibration's part included.
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


def quantize(
    network: FloatNetwork, bits: int = MAX_WEIGHT_BITS, *, before: FloatNetwork | None = None
) -> tuple[Network, list[LayerQuantization]]:
    """Quantizes a folded network.

    Args:
        network: without norms (see :func:`~export.passes.fold_norm`).
        bits: of the weights, 2 to 8, sign included.
        before: the network that errors are told from, where calibration moved weights; ``network`` where None.

    Raises:
        ConfigError: ``bits`` out of range.
        HardwareRangeError: a layer without weights, or values that are not finite.
    """
    grid = WeightGrid(bits)
    layers: list[Layer[Lif]] = []
    report: list[LayerQuantization] = []
    told = iter((before or network).synapses)
    shape = network.input_shape
    for layer in network.layers:
        entering, shape = shape, layer.output_shape(shape)
        if isinstance(layer, Flatten):
            layers.append(layer)
            continue
        where = network.labels[len(report)]
        synapse, entry = _quantized(layer, entering, next(told), grid, network.time_steps, where)
        layers.append(synapse)
        report.append(entry)
    readout = network.readout
    if readout is not None:
        readout = replace(readout, unit=readout.unit * report[-1].scale * (1 << STATE_SHIFT))
    integer = Network(
        network.input_shape, tuple(layers), network.time_steps, network.prior, readout, dict(network.provenance)
    )
    return integer, report


def float_values(synapse: Synapse[FloatLif]) -> FloatValues:
    """A node's floats, as :func:`~esvae.chip.rounding.round_layer` takes them."""
    weight = all_weights(synapse)
    fan_in = (0, 2, 3) if isinstance(synapse, ConvTranspose) else tuple(range(1, weight.ndim))
    return FloatValues(weight, synapse.bias, synapse.neuron, fan_in, synapse.groups)


def _quantized(
    layer: FloatLayer, entering: Shape, told: FloatLayer, grid: WeightGrid, steps: int | None, where: str
) -> tuple[Synapse[Lif], LayerQuantization]:
    values, scale, bounded = float_values(layer.synapse), layer.scale, False
    while True:
        rounded = round_layer(values, grid, steps, scale=scale, where=where)
        integer = with_values(layer.synapse, rounded.weight, rounded.bias, rounded.neuron)
        share = layer_range(integer, entering, steps or 1, where).u_share
        if share < 1:
            break
        bounded, scale = True, rounded.scale * SHRINK / share
    threshold = values.neuron.threshold
    unit_free = math.isinf(threshold) or not threshold
    weight = all_weights(told.synapse)
    error = rounded.weight / rounded.scale - weight
    bias_error = 0.0
    if values.bias is not None and rounded.bias is not None:
        bias_error = float(np.abs(rounded.bias / rounded.scale - values.bias).max())
    return integer, LayerQuantization(
        layer=where,
        bits=grid.bits,
        scale=rounded.scale,
        bound_by="current" if bounded else rounded.bound_by,
        clipped=rounded.clipped,
        weight_error=float(np.sqrt(np.mean(error**2) / np.mean(weight**2))),
        bias_error=bias_error / (1.0 if unit_free else threshold),
        threshold_error=0.0 if unit_free else abs(rounded.neuron.threshold / rounded.scale / threshold - 1),
        zeros=float((rounded.weight == 0).mean()),
    )

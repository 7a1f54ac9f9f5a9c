"""The frontend for ``.net`` files: their integers as a float description, to be quantized anew.

Numbers are in the units of the registers, one for one, and every layer brings the scale 1 along: quantized to 8 bits,
each integer is what it was, odd ones and -256 included; to fewer bits, thresholds, biases and decays stay and weights
move to the nearest level. To lower a file without touching an integer, use
:func:`~export.relower.relower_file` (``esvae export F.net``), which takes all that the reader does.
"""

from __future__ import annotations

import math
import os
from dataclasses import replace

import numpy as np

from esvae.chip.formats import DECAY_UNITY, STATE_SHIFT, THRESHOLD
from esvae.chip.rounding import MAX_WEIGHT_BITS
from esvae.errors import UnsupportedLayerError
from export.ir import Flatten, FloatLif, Lif, Synapse
from export.ir.floats import FloatLayer, FloatNetwork
from export.netx.guard import open_netx

__all__ = ["from_netx"]

_SUPPORTED = "conv, convT, dense (with delays) and flatten, with LOIHI or CUBA neurons that can fire, and a readout"
_REMEDY = "lower it as it is, without --weight-bits"


def from_netx(path: str | os.PathLike[str], *, keep_scale: bool = True) -> FloatNetwork:
    """Reads ``path``.

    Args:
        path: the ``.net`` file.
        keep_scale: let 1 of a register be 1 after quantizing too; without it quantizing chooses the scale anew, which
            rounds thresholds and biases, and clips no weight of a few bits.

    Raises:
        NetFileError, HardwareRangeError: as :func:`~export.netx.read.read_netx`.
        UnsupportedLayerError: input neurons, or a neuron that cannot fire before the readout, which no float
            description holds.
    """
    network = open_netx(path)
    if network.input_neurons is not None:
        raise UnsupportedLayerError(
            f"{path}: input layer: neurons there cannot be quantized again; supported are {_SUPPORTED}; {_REMEDY}"
        )
    layers: list[FloatLayer | Flatten] = []
    last = max(index for index, layer in enumerate(network.layers) if not isinstance(layer, Flatten))
    for index, layer in enumerate(network.layers):
        if isinstance(layer, Flatten):
            layers.append(layer)
            continue
        silent = network.readout is not None and index == last
        synapse = _float(layer, silent=silent, where=f"{path}: layer {index} ({type(layer).__name__})")
        layers.append(FloatLayer(synapse, scale=1.0 if keep_scale else None))
    readout = network.readout
    if readout is not None:  # quantizing multiplies by the scale and the shift
        readout = replace(readout, unit=readout.unit / (1 << STATE_SHIFT))
    return FloatNetwork(
        network.input_shape,
        tuple(layers),
        network.time_steps,
        network.prior,
        readout,
        dict(network.provenance),
        MAX_WEIGHT_BITS if keep_scale else None,
    )


def _float(layer: Synapse, *, silent: bool, where: str) -> Synapse:
    neuron = layer.neuron
    assert isinstance(neuron, Lif)
    if neuron.threshold > THRESHOLD.max:
        raise UnsupportedLayerError(
            f"{where}: a neuron that cannot fire cannot be quantized again; supported are {_SUPPORTED}; {_REMEDY}"
        )
    keep, current_keep = (1 - lost / DECAY_UNITY for lost in (neuron.voltage_decay, neuron.current_decay))
    return replace(
        layer,
        weight=layer.weight.astype(np.float64),
        bias=None if layer.bias is None else layer.bias.astype(np.float64),
        neuron=FloatLif(keep, math.inf if silent else float(neuron.threshold), current_keep),
    )

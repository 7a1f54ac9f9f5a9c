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

from esvae.chip.formats import STATE_SHIFT, THRESHOLD
from esvae.chip.rounding import MAX_WEIGHT_BITS
from esvae.errors import UnsupportedLayerError
from export.ir import CircuitPrior, Flatten, FloatLif, Neuron, Synapse, all_weights, lif_of, with_values
from export.ir.floats import FloatLayer, FloatNetwork
from export.netx import read_netx

__all__ = ["from_netx"]

_SUPPORTED = "conv, convT, dense (with delays) and flatten, with LOIHI or CUBA neurons that can fire, and a readout"
_REMEDY = "lower it as it is, without --weight-bits, --generator, --onnx and --nir"


def from_netx(path: str | os.PathLike[str], *, keep_scale: bool = True) -> FloatNetwork:
    """Reads ``path``.

    Args:
        path: the ``.net`` file.
        keep_scale: let 1 of a register be 1 after quantizing too; without it quantizing chooses the scale anew, which
            rounds thresholds and biases, and clips no weight of a few bits.

    Raises:
        NetFileError, HardwareRangeError: as :func:`~export.netx.guard.read_netx`.
        UnsupportedLayerError: input neurons, a prior on the chip, a spike readout, or a neuron that cannot fire before
            the readout, which no float description holds.
    """
    network = read_netx(path)
    if network.input_neurons is not None:
        raise UnsupportedLayerError(
            f"{path}: input layer: neurons there cannot be quantized again; supported are {_SUPPORTED}; {_REMEDY}"
        )
    if isinstance(network.prior, CircuitPrior):
        raise UnsupportedLayerError(f"{path}: draws on the chip, and its rates in floats are not in it; {_REMEDY}")
    if network.spike_readout is not None:
        raise UnsupportedLayerError(f"{path}: its pixels fire, for which there are neurons and synapses; {_REMEDY}")
    layers: list[FloatLayer | Flatten] = []
    names = list(network.labels)
    for layer in network.layers:
        if isinstance(layer, Flatten):
            layers.append(layer)
            continue
        where = names.pop(0)
        silent = network.readout is not None and not names
        synapse = _float(layer, silent=silent, where=f"{path}: {where}")
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


def _float(layer: Synapse[Neuron], *, silent: bool, where: str) -> Synapse[FloatLif]:
    neuron = lif_of(layer.neuron, where, "quantizing again")
    if neuron.threshold > THRESHOLD.max:
        raise UnsupportedLayerError(
            f"{where}: a neuron that cannot fire cannot be quantized again; supported are {_SUPPORTED}; {_REMEDY}"
        )
    if not neuron.uniform:
        raise UnsupportedLayerError(
            f"{where}: its neurons have decays of their own, but quantizing gives a layer one; use the file as it is"
        )
    threshold = math.inf if silent else float(neuron.threshold)
    bias = None if layer.bias is None else layer.bias.astype(np.float64)
    kept = FloatLif(neuron.keep, threshold, neuron.current_keep)
    return with_values(layer, all_weights(layer).astype(np.float64), bias, kept)

"""One layer of a netx file, as a node: of which types there are, and which keys netx looks at."""

from __future__ import annotations

import math
from collections.abc import Callable

import h5py
import numpy as np

from esvae.chip.formats import DELAY, STATE_SHIFT, WEIGHT, IntFormat
from esvae.errors import NetFileError, UnsupportedLayerError
from export.ir import INTEGRATOR, Conv, ConvTranspose, Dense, Flatten, Layer, Neuron, RecurrentDense, Shape
from export.ir.limits import ELEMENTS
from export.netx.items import axis_pair, number, register, shape_of, whole_numbers
from export.netx.layout import bias_from_file, delay_from_file, weight_from_file
from export.netx.neurons import neuron_from_file
from export.netx.pools import POOLS, pool_from_file

__all__ = ["layer_from_file"]

#: Delays that a file may say; netx, and so this, holds no more than :data:`esvae.chip.formats.DELAY`.
_DELAY = IntFormat("delay", 0, 1 << 14)
_DENSE, _CONV = ("dense", "dense_rec"), ("conv", "convT")
_TOO_LARGE = "use a smaller weight scale"
_SUPPORTED = (
    "input, conv, convT, pool, unpool, average, dense (with delays, or without neuron), dense_rec and flatten, with "
    "LOIHI, CUBA or SDNN neurons"
)
#: Layers that have no place here, and why.
_REFUSED = {
    "concat": "netx has no code for skip connections (NotImplementedError), and slayer writes none; give both paths to "
    "one layer whose weights pass one of them on",
    "dense_comp": "netx calls a function that it does not have (AttributeError)",
}


def layer_from_file(
    group: h5py.Group, kind: str, where: str, before: Callable[[], Shape | None], clamped: dict[str, str]
) -> Layer[Neuron]:
    """Reads a layer behind the input.

    Args:
        group: of the file.
        kind: its type.
        where: what errors call it.
        before: gives the shape of what enters it, or None where the file does not say.
        clamped: told of delays that netx cuts short, and of what stands for an average.

    Raises:
        NetFileError, HardwareRangeError: what is written does not fit together, or the registers.
        UnsupportedLayerError: a type that has no place here, or what netx passes over.
    """
    if kind == "flatten":
        return Flatten()
    if kind in _REFUSED:
        raise UnsupportedLayerError(f"{where}: type '{kind}' is not supported: {_REFUSED[kind]}")
    recurrent = kind == "dense_rec"
    if kind not in ("average", *_DENSE, *_CONV, *POOLS) or ("weight_rec" in group) != recurrent:
        what = f"type '{kind}'" + (" without 'weight_rec'" if recurrent else "")
        if "weight_rec" in group:
            what = f"'{kind}' with 'weight_rec'"
        raise UnsupportedLayerError(f"{where}: {what} is not supported; supported are {_SUPPORTED}")
    if isinstance(group.get("weight"), h5py.Group):
        raise UnsupportedLayerError(f"{where}: complex weights are not supported; supported are {_SUPPORTED}")
    if kind == "average":
        return _average(group, before(), where, clamped)
    if kind == "dense":
        return _dense(group, where, clamped)
    if recurrent:
        return _recurrent(group, where)
    if "neuron" not in group:
        raise UnsupportedLayerError(f"{where}: '{kind}' without neuron is not supported; supported are {_SUPPORTED}")
    if kind in POOLS:
        return pool_from_file(group, kind, before(), neuron_from_file(group, where), where)
    return _conv(group, kind, where)


def _dense(group: h5py.Group, where: str, clamped: dict[str, str]) -> Dense[Neuron]:
    weight, delay = _matrix(group, "weight", where), None
    if "delay" in group:
        delay = register(group, "delay", where, _DELAY, "use shorter ones")
        if (longest := int(delay.max(initial=0))) > DELAY.max:
            above = int((delay > DELAY.max).sum())
            text = f"{above} of {delay.size}, up to {longest}, held as {DELAY.max}, as netx does"
            clamped[f"delays of {where}"] = text
            delay = np.minimum(delay, DELAY.max)
        delay = delay_from_file(delay, weight.shape, where)
    return Dense(weight, _features(group, where, len(weight)), _neuron_or_integrator(group, where, len(weight)), delay)


def _average(group: h5py.Group, before: Shape | None, where: str, told: dict[str, str]) -> Dense[Neuron]:
    """slayer's mean over equal parts of the neurons, as integrators that count their spikes."""
    outputs = math.prod(shape_of(group, "shape", where))
    inputs = 0 if before is None else math.prod(before)
    if not inputs or inputs % outputs:
        raise NetFileError(f"{where}: {inputs or 'an unknown number of'} neurons in {outputs} parts, not alike")
    if inputs * outputs > ELEMENTS:
        raise NetFileError(f"{where}: {outputs} averages of {inputs} neurons, more than the {ELEMENTS} synapses read")
    each = inputs // outputs
    told[where] = f"averages of {each} neurons, as sums: a potential over {each << STATE_SHIFT} is a mean's, summed up"
    return Dense(np.kron(np.eye(outputs, dtype=np.int32), np.ones((1, each), np.int32)), None, INTEGRATOR)


def _recurrent(group: h5py.Group, where: str) -> RecurrentDense[Neuron]:
    weight, recurrent = (_matrix(group, key, where) for key in ("weight", "weight_rec"))
    if "delay" in group:
        raise UnsupportedLayerError(
            f"{where}: 'dense_rec' with 'delay': netx also delays the layer's own spikes, and drops its weights' "
            "exponent; train it without delays"
        )
    bias = _features(group, where, len(weight))
    return RecurrentDense(weight, recurrent, bias, _neuron_or_integrator(group, where, len(weight)))


def _conv(group: h5py.Group, kind: str, where: str) -> Conv[Neuron] | ConvTranspose[Neuron]:
    weight = register(group, "weight", where, WEIGHT, _TOO_LARGE)
    bias = _bias(group, where)
    if "delay" in group and whole_numbers(group, "delay", where).any():
        raise UnsupportedLayerError(
            f"{where}: '{kind}' with 'delay': netx passes over it, so does not run what was meant"
        )
    weight, groups = weight_from_file(weight, 4, where), number(group, "groups", where)
    neuron = neuron_from_file(group, where, len(weight) if kind == "conv" else weight.shape[1] * groups)
    pairs = {key: axis_pair(group, key, where) for key in ("stride", "padding", "dilation")}
    if kind == "convT":
        slack = axis_pair(group, "output_padding", where) if "output_padding" in group else (0, 0)
        return ConvTranspose(weight, bias, neuron, **pairs, output_padding=slack, groups=groups)
    return Conv(weight, bias, neuron, **pairs, groups=groups)


def _matrix(group: h5py.Group, key: str, where: str) -> np.ndarray:
    weight = register(group, key, where, WEIGHT, _TOO_LARGE)
    if weight.ndim == 1 and "shape" in group:
        weight = weight.reshape(math.prod(shape_of(group, "shape", where)), -1)
    return weight_from_file(weight, 2, where)


def _bias(group: h5py.Group, where: str) -> np.ndarray | None:
    return bias_from_file(whole_numbers(group, "bias", where)) if "bias" in group else None


def _features(group: h5py.Group, where: str, outputs: int) -> np.ndarray | None:
    """The bias of a dense layer, for which netx also takes one number."""
    bias = _bias(group, where)
    return np.broadcast_to(bias, (outputs,)).copy() if bias is not None and bias.size == 1 else bias


def _neuron_or_integrator(group: h5py.Group, where: str, features: int) -> Neuron:
    return neuron_from_file(group, where, features) if "neuron" in group else INTEGRATOR

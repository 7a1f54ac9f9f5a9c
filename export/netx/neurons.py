"""The neurons of a netx file: which types are read, and what of them netx looks at.

============================  =========================================  =====================================
``neuron/type``               where                                      is
============================  =========================================  =====================================
``LOIHI``, ``CUBA``           anywhere                                   :class:`~esvae.chip.neuron.Lif`
``SDNN``                      input layer                                :class:`~esvae.chip.sigma_delta.Delta`
``SDNN``                      ``conv``, ``dense``                        ``SigmaDelta``, ReLU
``SDNN`` with 'sigma_output'  ``conv``, ``dense``; whatever its value    ``Sigma``
============================  =========================================  =====================================

netx passes over ``activation`` and makes every one a ReLU; exponents are its own (``spike_exp`` and ``state_exp`` 6).
"""

from __future__ import annotations

import h5py
import numpy as np

from esvae.chip.formats import MESSAGE_BITS
from esvae.chip.neuron import Decay
from esvae.errors import UnsupportedLayerError
from export.ir import Delta, Lif, Neuron, Sigma, SigmaDelta
from export.netx.items import TYPE_NAME_BYTES, flag, get_group, get_text, number, whole_numbers

__all__ = ["input_neuron_from_file", "neuron_from_file", "neuron_to_file", "type_to_file"]

_LIF, _SIGMA_DELTA = ("LOIHI", "CUBA"), "SDNN"
_SUPPORTED = "LOIHI and CUBA (integrate and fire) and SDNN (sigma-delta) with ReLU"
#: Neurons of slayer's that have no place here, by what their names contain, and why.
_REFUSED = {
    "ALIF": "an adaptive threshold, for which netx builds no neurons (AttributeError)",
    "ADRF": "an adaptive threshold, which netx passes over",
    "RF": "resonate-and-fire, whose state and weights are complex",
}
#: What the file may say beside the neuron's parameters, and netx passes over: only these values change nothing.
_IGNORED = {"refDelay": (0, 1), "wgtExp": (0,), "weight_exp": (0,)}


def neuron_from_file(layer: h5py.Group, where: str, features: int | None = None) -> Neuron:
    """The neuron behind a layer's synapses.

    Args:
        layer: group of the layer.
        where: what errors call it.
        features: how many neurons a dense layer has, or channels a map: each may have decays of its own.

    Raises:
        UnsupportedLayerError: a type, or a key beside it, that is not modelled, or that netx passes over.
    """
    group, kind, where = _opened(layer, where)
    if kind in _LIF:
        return _lif(group, where, features)
    if "activation" in group and (named := get_text(group, "activation", where, most=TYPE_NAME_BYTES)) != "relu":
        raise UnsupportedLayerError(f"{where}/activation: '{named}': netx runs a ReLU all the same; expected relu")
    return Sigma() if "sigma_output" in group else SigmaDelta(number(group, "vThMant", where))


def input_neuron_from_file(layer: h5py.Group, where: str) -> Lif | Delta:
    """The neuron of an input layer; raises as :func:`neuron_from_file`."""
    group, kind, where = _opened(layer, where)
    return _lif(group, where) if kind in _LIF else Delta(number(group, "vThMant", where))


def neuron_to_file(layer: h5py.Group, neuron: Neuron | Delta) -> None:
    """Writes the group ``neuron``, as slayer does."""
    group = layer.create_group("neuron")
    if isinstance(neuron, Lif):
        type_to_file(group, "CUBA")
        group["iDecay"], group["vDecay"] = neuron.decays
        group["vThMant"] = np.int64(neuron.threshold)
        group["refDelay"] = np.int64(1)
        group["gradedSpike"] = np.int64(0)
        return
    type_to_file(group, _SIGMA_DELTA)
    type_to_file(group, "relu", "activation")
    if isinstance(neuron, Sigma):
        group["sigma_output"] = np.int64(1)
    else:
        group["vThMant"] = np.int64(neuron.threshold)


def type_to_file(group: h5py.Group, name: str, key: str = "type") -> None:
    """Writes a name as netx reads it."""
    group.create_dataset(key, (1,), "S10", [name.encode("ascii")])


def _opened(layer: h5py.Group, where: str) -> tuple[h5py.Group, str, str]:
    """The group, the neuron's type, and what to call it in messages."""
    group = get_group(layer, "neuron", f"{where}/")
    where = f"{where}/neuron"
    kind = get_text(group, "type", where, most=TYPE_NAME_BYTES)
    if kind not in (*_LIF, _SIGMA_DELTA):
        reason = next((f": {why}" for name, why in _REFUSED.items() if name in kind), "")
        raise UnsupportedLayerError(f"{where}: type '{kind}' is not supported{reason}; supported are {_SUPPORTED}")
    bits = MESSAGE_BITS if kind == _SIGMA_DELTA else 0
    if "messageBits" in group and number(group, "messageBits", where) != bits:
        raise UnsupportedLayerError(f"{where}/messageBits: graded spikes of {kind} neurons have {bits}; leave it out")
    if kind in _LIF and "gradedSpike" in group and flag(group, "gradedSpike", where):
        raise UnsupportedLayerError(
            f"{where}/gradedSpike: slayer's neurons sent their potential along with each spike, which netx passes "
            "over; train with graded_spike=False"
        )
    for key, harmless in _IGNORED.items():
        if key in group and number(group, key, where) not in harmless:
            raise UnsupportedLayerError(f"{where}/{key}: netx passes over it; expected {harmless[-1]}")
    return group, kind, where


def _lif(group: h5py.Group, where: str, features: int | None = None) -> Lif:
    current, voltage = (_decay(group, key, where, features) for key in ("iDecay", "vDecay"))
    return Lif(current, voltage, number(group, "vThMant", where))


def _decay(group: h5py.Group, key: str, where: str, features: int | None) -> Decay:
    """One number, or one for each neuron where netx makes neurons of them that differ."""
    values = whole_numbers(group, key, where)
    if features is None or values.shape != (features,):
        return number(group, key, where)
    return tuple(int(value) for value in values)

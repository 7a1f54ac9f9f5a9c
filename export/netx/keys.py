"""In which form stock netx takes the number or array under each key of a layer: what its loader, and Lava behind it,
make of the file's own format and axes.

Read line by line from lava-dl 0.6.0 (``netx/hdf5.py``, ``netx/utils.py: NetDict``, ``netx/blocks/process.py``) and from
the processes of lava-nc 0.10.0 that it builds. netx turns weights and biases into integers itself; everything else it
passes on as the file holds it, so that a float, an array of one number or a narrow integer can end a run, or overflow.

==============================  =======================  ===========  ==============================================
key                             format                   axes         else
==============================  =======================  ===========  ==============================================
``type``                        text, ASCII              0 or 1       has no ``decode``: AttributeError
``shape`` of conv               integers with sign       ``(3,)``     IndexError; floats: ValueError in its table
``shape`` of dense              integers with sign       any          unsigned ones become floats: TypeError
``shape`` of an input layer     integers where used      ``(1,)``...  reversed: a scalar is an IndexError
``stride, padding, dilation``   integers up to 127       0 or (2,)    ``(1,)``: IndexError; Lava keeps them in int8
``groups``                      an integer up to 127     0            ValueError; at 128 and 256 nothing is computed
``weight`` of dense             numbers                  1 or 2       ValueError
``weight`` of conv              numbers                  4 and ones   ValueError; kernels up to 127 wide
``bias`` of dense               numbers                  as (O,)      what does not spread over the neurons fails
``bias`` of conv                numbers                  (O,), (WHC)  RuntimeError, or spread along another axis
``delay``                       numbers                  0, 1 or 2    RuntimeError, ValueError
``iDecay, vDecay``              integers, not uint64     any, one     floats cannot be shifted: TypeError
``iDecay, vDecay``              likewise                 (O,)         ValueError; one for each neuron, or channel
``vThMant``                     integers                 0 or 1, one  likewise; arrays overflow in their own format
``messageBits``                 absent                   -            read as a group whatever it holds: TypeError
==============================  =======================  ===========  ==============================================
"""

from __future__ import annotations

from collections.abc import Iterator

import h5py
import numpy as np

from esvae.chip.formats import STATE_SHIFT
from export.netx.items import has_link

__all__ = ["GEOMETRY_LIMIT", "geometry_problems", "neuron_problems", "shape_problem", "type_problem"]

#: Lava holds kernel sizes, strides, paddings, dilations and groups in eight bits with sign.
GEOMETRY_LIMIT = 127
_PAIRS = ("stride", "padding", "dilation")
_DECAYS = ("iDecay", "vDecay")


def _dataset(group: h5py.Group, key: str) -> h5py.Dataset | None:
    item = group[key] if has_link(group, key) else None
    return item if isinstance(item, h5py.Dataset) and item.shape is not None else None


def type_problem(group: h5py.Group) -> str | None:
    """What is wrong with how a group's ``type`` is stored, or None; for one that holds a text."""
    item = _dataset(group, "type")
    if item is not None and item.ndim > 1:
        return f"'type' has {item.ndim} axes: netx raises AttributeError; store one text"
    return None


def shape_problem(group: h5py.Group, kind: str, *, used: bool = True) -> str | None:
    """What is wrong with how a layer's ``shape`` is stored, or None.

    Args:
        group: of the layer.
        kind: its type.
        used: of an input layer, whether anything depends on its shape: its neurons, or a convolution behind it.
    """
    item = _dataset(group, "shape")
    if item is None:
        if kind in ("conv", "dense", "dense_rec"):
            return "'shape' is missing: netx raises KeyError; write the shape of its neurons"
        return None
    if kind == "input" and not used:
        return "'shape' is a scalar: netx raises IndexError; write an array" if item.ndim == 0 else None
    if kind in ("conv", "input") and (item.ndim != 1 or (kind == "conv" and item.size != 3)):
        return f"'shape' is an array {item.shape}, which netx fails on; write (C, H, W) as an array of three numbers"
    if kind != "flatten" and item.dtype.kind == "u":
        return f"'shape' is stored as {item.dtype}: Lava makes floats of it, TypeError; store int64"
    if kind != "flatten" and item.dtype.kind != "i":
        return f"'shape' is stored as {item.dtype}: netx raises ValueError; store int64"
    return None


def geometry_problems(group: h5py.Group) -> Iterator[str]:
    """What is wrong with stride, padding, dilation, groups and kernel of a convolution."""
    for key, shapes, how in (*((key, ((), (2,)), "one number, or a pair (y, x)") for key in _PAIRS), _GROUPS):
        item = _dataset(group, key)
        if item is None:
            yield f"'{key}' is missing: netx raises KeyError"
        elif item.shape not in shapes:
            yield f"'{key}' is an array {item.shape}, which netx fails on; store {how}"
        elif item.dtype.kind not in "iu":
            yield f"'{key}' is stored as {item.dtype}: netx raises ValueError; store integers"
        else:
            yield from _too_wide(key, int(np.max(item[()])))
    weight = _dataset(group, "weight")
    if weight is not None and weight.ndim >= 4:
        yield from _too_wide("kernel", max(weight.shape[2:4]))


_GROUPS = ("groups", ((),), "one number, as a scalar")


def _too_wide(key: str, value: int) -> Iterator[str]:
    if value > GEOMETRY_LIMIT:
        does = "computes nothing or fails" if key == "groups" else "fails"
        yield f"'{key}' {value}: Lava holds it in eight bits, so up to {GEOMETRY_LIMIT}, and {does}"


def neuron_problems(neuron: h5py.Group, axes: int) -> Iterator[str]:
    """What is wrong with how the parameters of sum-and-fire neurons are stored.

    Args:
        neuron: their group.
        axes: of the layer's neurons: 1, or 3 of a map.
    """
    if "messageBits" in neuron:
        yield "'messageBits': netx reads it as a group whatever it holds, and Lava fails on that; leave it out"
    for key in (*_DECAYS, "vThMant"):
        item = _dataset(neuron, key)
        if item is None or item.dtype.kind not in "iuf" or (item.size != 1 and key not in _DECAYS):
            continue  # which the reader refuses
        wide = item.dtype.kind == "u" and item.dtype.itemsize == 8 and (key in _DECAYS or item.ndim == 0)
        if item.dtype.kind == "f" or wide:
            yield f"'{key}' is stored as {item.dtype}: Lava cannot shift it, TypeError; store int64"
        elif key == "vThMant" and item.ndim > axes:
            yield f"'{key}' is an array {item.shape}: Lava raises IndexError; store a scalar"
        elif key == "vThMant" and item.ndim and _overflows(item):
            text = f"Lava computes 64 times it in that format, which overflows; store a scalar, or {np.dtype(np.int64)}"
            yield f"'{key}' {int(item[()].reshape(-1)[0])} is an array of {item.dtype}: {text}"


def _overflows(item: h5py.Dataset) -> bool:
    value = int(item[()].reshape(-1)[0]) << STATE_SHIFT
    return not np.iinfo(item.dtype).min <= value <= np.iinfo(item.dtype).max

"""All that is wrong, or would surprise, in any ``.net`` file: what stock netx (lava-dl 0.6.0) makes of each layer.

Unlike :func:`export.netx.guard.read_netx`, which stops at the first fault, this collects them. What netx does is read
from its ``netx/hdf5.py`` and ``netx/utils.py``; ``tests/deploy/lava/test_netx_claims.py`` asks Lava whether it is so.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import h5py
import numpy as np

from esvae.chip.formats import BIAS, DECAY, DELAY, SIGMA_THRESHOLD, THRESHOLD, WEIGHT, IntFormat
from esvae.errors import EsvaeError, NetFileError
from export.ir import NEVER_FIRES, Lif, Network, with_values
from export.ir.bounds import layer_firing
from export.ir.labels import label
from export.ir.limits import LAYERS, NEURONS
from export.netx.guard import check_readable
from export.netx.items import damage, has_link, storage_problem, value_blocks
from export.netx.read import read_netx_unguarded
from export.netx.rules import loaded_values, present_weights
from export.passes.ranges import layer_ranges

__all__ = ["Finding", "Severity", "check_file"]

More: TypeAlias = "Callable[[Network], Iterable[Finding]]"
Severity: TypeAlias = Literal["error", "warning", "note"]

_TEXT_BYTES = 1 << 6
_REFUSED = ("pool", "convT", "unpool", "average", "concat")
_NOT_MODELLED = ("dense_comp",)  # which netx builds
_KNOWN: dict[str, set[str]] = {
    "input": {"type", "shape", "neuron", "weight", "bias"},
    "flatten": {"type", "shape"},
    "dense": {"type", "shape", "neuron", "weight", "bias", "delay"},
    "dense_rec": {"type", "shape", "neuron", "weight", "weight_rec", "bias", "delay"},
    "conv": {"type", "shape", "neuron", "weight", "bias", "stride", "padding", "dilation", "groups"},
}
_DENSE = ("dense", "dense_rec")
_HARMLESS = {"inFeatures", "outFeatures", "inChannels", "outChannels", "kernelSize", "refDelay", "gradedSpike"}


@dataclass(frozen=True)
class Finding:
    """One thing about a file.

    Attributes:
        severity: ``error`` where netx fails or computes something else, ``warning`` where it may surprise, ``note``.
        where: label of the layer, or ``file``.
        what: what was found, what netx does with it, what to do.
    """

    severity: Severity
    where: str
    what: str


def check_file(path: str | os.PathLike[str], more: More | None = None) -> list[Finding]:
    """Collects the findings of a file, in file order; the HDF5 library first sees it in a fork.

    Args:
        path: the ``.net`` file.
        more: gives further findings of a network that can be read.

    Raises:
        NetFileError: it is missing, or is not HDF5.
    """
    path = Path(path)
    check_readable(path, lambda: _scan(path))
    found, network = _scan(path)
    if network is None:
        return found
    return [*found, *_registers(network), *(() if more is None else more(network))]


def _scan(path: Path) -> tuple[list[Finding], Network | None]:
    """What is found in the groups, and the network where it can be read."""
    if not path.is_file():
        raise NetFileError(f"{path}: no such file")
    with damage(f"{path}: corrupt, truncated or not a netx HDF5 file"), h5py.File(path, "r") as file:
        found = list(_layers(file))
    try:
        return found, read_netx_unguarded(path)
    except EsvaeError as error:
        return [*found, Finding("error", "file", f"esvae does not read it: {error}")], None


def _layers(file: h5py.File) -> Iterator[Finding]:
    groups = file.get("layer") if has_link(file, "layer") else None
    if not isinstance(groups, h5py.Group) or not 1 <= len(groups) <= LAYERS:
        yield Finding("error", "file", f"no group 'layer' with 1 to {LAYERS} layers; netx raises KeyError")
        return
    dense_seen, map_before = False, False
    for index in range(len(groups)):
        name, where = str(index), label(index)
        group = groups[name] if has_link(groups, name) else None
        if not isinstance(group, h5py.Group):
            yield Finding("error", where, "is missing; layers are named 0, 1, 2, ..., and netx raises TypeError")
            continue
        kind = _text(group, "type")
        where = label(index, kind)
        if kind is None:
            yield Finding("error", where, "has no readable 'type'; netx fails on it")
        elif kind in _REFUSED:
            yield Finding("error", where, f"type '{kind}': netx raises NotImplementedError; lower it before exporting")
        elif kind in _NOT_MODELLED:
            yield Finding("error", where, f"type '{kind}': netx builds it, this project does not model it")
        elif kind not in _KNOWN:
            yield Finding("error", where, f"type '{kind}': netx passes over the whole layer in silence")
        else:
            if kind == "conv" and dense_seen:
                yield Finding("error", where, "conv after dense: netx cannot connect it; unroll it to dense")
            dense = kind in _DENSE
            if dense and map_before:
                yield Finding("error", where, f"{kind} after conv without a flatten layer between: shapes do not meet")
            dense_seen = dense_seen or dense
            map_before = kind == "conv" or (map_before and kind == "input")
            yield from _layer(group, kind, where)


def _layer(group: h5py.Group, kind: str, where: str) -> Iterator[Finding]:
    for key in sorted(set(group) - _KNOWN[kind] - _HARMLESS):
        yield Finding("warning", where, f"'{key}': netx passes over it")
    if kind == "conv" or kind in _DENSE:
        yield from _weights(group, kind, where)
        yield from _numbers(group, "bias", BIAS, where)
    if kind == "dense" and (longest := _longest(group)) > DELAY.max:
        text = f"delay {longest:g}: netx clamps it to {DELAY.max} with a warning; train with shorter delays"
        yield Finding("error", where, text)
    if kind == "dense_rec" and "delay" in group:
        text = "delay: netx delays the layer's own spikes too, and drops its weights' exponent; train it without delays"
        yield Finding("error", where, text)
    if "neuron" in group:
        yield from (replace(found, what=f"neuron: {found.what}") for found in _neuron(group, where))
    elif kind in _DENSE:
        yield Finding("warning", where, "no neuron: netx makes an integrator that never fires")
    elif kind == "conv":
        yield Finding("error", where, "no neuron: netx raises KeyError")


def _weights(group: h5py.Group, kind: str, where: str) -> Iterator[Finding]:
    present: dict[str, np.ndarray] = {}
    counts: dict[str, np.ndarray] = {}
    for key in ("weight", "weight_rec") if kind == "dense_rec" else ("weight",):
        found = yield from _present(group, key, where)
        if found is None:
            return
        present[key], counts[key] = found
    both = np.concatenate(list(present.values()))
    if not both.any():
        does = "the layer passes nothing on" if kind == "conv" else "netx raises OverflowError"
        yield Finding("warning" if kind == "conv" else "error", where, f"all weights are zero: {does}")
        return
    odd = sum(int(counts[key][present[key] & 1 == 1].sum()) for key in present)
    if both.min() < 0 < both.max() and odd:
        text = f"{odd} odd weights beside others of both signs: the chip stores such weights without their lowest bit"
        yield Finding("warning", where, text)
    if kind == "conv":
        return
    for key, own in present.items():
        others = [values for other, values in present.items() if other != key]
        changed = int(counts[key][loaded_values(own, *others) != own].sum())
        if changed:
            text = f"netx changes {changed} of {counts[key].sum()} weights on loading; keep them even"
            yield Finding("error", where, text if key == "weight" else f"{key}: {text}")


def _present(group: h5py.Group, key: str, where: str) -> Generator[Finding, None, tuple[np.ndarray, np.ndarray] | None]:
    """The different weights of a matrix and how often each occurs, or None where there is none to go on with."""
    named = "" if key == "weight" else f"{key}: "
    item = group[key] if has_link(group, key) else None
    if not isinstance(item, h5py.Dataset) or item.shape is None or item.dtype.kind not in "iuf" or 0 in item.shape:
        yield Finding("error", where, f"{named}no readable weights")
        return None
    if (problem := storage_problem(item)) is not None:
        yield Finding("error", where, f"{key}: {problem}")
        return None
    low, high, lost = math.inf, -math.inf, 0
    for _, block in value_blocks(item):
        if block.dtype.kind == "f":
            if not np.isfinite(block).all():
                yield Finding("error", where, f"{named}weights that are not finite")
                return None
            lost += int((block != np.trunc(block)).sum())
        low, high = min(low, int(np.trunc(block.min()))), max(high, int(np.trunc(block.max())))
    if lost:
        yield Finding("error", where, f"{named}{lost} float weights: netx cuts their fractions off; quantize them")
    if low < WEIGHT.min or high > WEIGHT.max:
        yield Finding("error", where, f"{named}weights {low} to {high}, outside [{WEIGHT.min}, {WEIGHT.max}]")
        return None
    return present_weights(block.astype(np.int16) for _, block in value_blocks(item))


def _neuron(group: h5py.Group, where: str) -> Iterator[Finding]:
    neuron = group["neuron"] if has_link(group, "neuron") else None
    if not isinstance(neuron, h5py.Group):
        yield Finding("error", where, "is no group")
        return
    kind = _text(neuron, "type")
    if kind == "SDNN":
        yield from _sigma_delta(group, neuron, where)
        return
    if kind not in ("LOIHI", "CUBA"):
        yield Finding("error", where, f"type '{kind}': not a neuron that this project models")
        return
    for key in ("iDecay", "vDecay", "vThMant"):
        values = _array(neuron, key)
        if values is not None and not np.isfinite(values).all():
            yield Finding("error", where, f"{key} is not finite; write a whole number")
            return
    for key, limits in (("iDecay", DECAY), ("vDecay", DECAY)):
        yield from _numbers(neuron, key, limits, where, needed=True)
    threshold = _array(neuron, "vThMant")
    if threshold is None or threshold.size != 1 or int(threshold.reshape(-1)[0]) != NEVER_FIRES:
        yield from _numbers(neuron, "vThMant", THRESHOLD, where, needed=True)
    bits = _array(neuron, "messageBits")
    if bits is not None and bits.size and (bits != 0).any():
        text = f"messageBits {bits.reshape(-1)[0]:g}: spikes that carry numbers, which only sum and fire neurons do not"
        yield Finding("error", where, f"{text}; write 0")
    refractory = _array(neuron, "refDelay")
    if refractory is not None and refractory.size and (refractory > 1).any():
        yield Finding("warning", where, f"refDelay {refractory.max():g}: netx passes over it")


def _sigma_delta(group: h5py.Group, neuron: h5py.Group, where: str) -> Iterator[Finding]:
    """Of neurons that send messages: netx makes an encoder of the input's, and asks of others for a sigma output."""
    entry = _text(group, "type") == "input"
    if "sigma_output" in neuron and not entry:
        if "bias" in group:
            yield Finding("error", where, "'sigma_output' beside a bias: netx raises TypeError; leave the bias out")
    else:
        yield from _numbers(neuron, "vThMant", SIGMA_THRESHOLD, where, needed=True)
    activation = _text(neuron, "activation")
    if not entry and activation not in (None, "relu"):
        yield Finding("error", where, f"activation '{activation}': netx passes over it and runs a ReLU")
    if "messageBits" in neuron:
        yield Finding("error", where, "messageBits: netx raises TypeError whatever it is; leave it out")


def _numbers(group: h5py.Group, key: str, limits: IntFormat, where: str, *, needed: bool = False) -> Iterator[Finding]:
    values = _array(group, key)
    if values is None or not values.size:
        if needed or key in group:
            yield Finding("error", where, f"'{key}' is missing or holds no numbers")
    elif not (values >= limits.min).all() or not (values <= limits.max).all():
        yield Finding("error", where, f"{key} outside [{limits.min}, {limits.max}]")


def _registers(network: Network) -> Iterator[Finding]:
    """What follows from all numbers together."""
    ranges = {bounds.layer: bounds for bounds in layer_ranges(network)}
    labels = network.labels
    for last, (where, (layer, before, after)) in enumerate(
        zip(labels, network.synapses(), strict=True), start=1 - len(labels)
    ):
        if (bounds := ranges.get(where)) is None or not isinstance(layer.neuron, Lif):
            continue
        fires = layer_firing(
            with_values(layer, layer.weight, layer.bias, layer.neuron), before, after, network.time_steps
        )
        if bounds.u_share >= 1:
            text = f"the current could reach {bounds.u_share:.2f} of the 2^23 at which it wraps"
            yield Finding("warning", where, text)
        reads_out = network.readout is not None and not last
        if reads_out and (fires is None or fires.never < fires.neurons):
            text = f"the readout can pass its threshold {layer.neuron.threshold} and lose its potential"
            yield Finding("warning", where, f"{text}; write 131071, or use a smaller weight scale")
        if fires is None or reads_out or layer.neuron.threshold > THRESHOLD.max:
            continue
        if fires.never == fires.neurons and last:
            yield Finding("warning", where, "no neuron can ever fire, so nothing enters the next layer")
        elif fires.never:
            yield Finding("note", where, f"{fires.never} of {fires.neurons} neurons can never fire, whatever enters")
        if fires.always == fires.neurons:
            yield Finding("warning", where, "every neuron fires at every step, whatever enters")
        elif fires.always:
            text = f"{fires.always} of {fires.neurons} neurons fire at every step, whatever enters"
            yield Finding("note", where, text)


def _longest(group: h5py.Group) -> float:
    item = group["delay"] if has_link(group, "delay") else None
    if not isinstance(item, h5py.Dataset) or item.shape is None or item.dtype.kind not in "iuf":
        return 0
    if storage_problem(item) is not None:
        return 0
    return max((float(block.max()) for _, block in value_blocks(item)), default=0)


def _array(group: h5py.Group, key: str) -> Any:
    """The numbers under ``key``, or None where there are none that are safe to read."""
    item = group[key] if has_link(group, key) else None
    if not isinstance(item, h5py.Dataset) or item.shape is None or item.dtype.kind not in "iuf":
        return None
    if storage_problem(item, NEURONS) is not None:
        return None
    return np.asarray(item[()])


def _text(group: h5py.Group, key: str) -> str | None:
    item = group[key] if has_link(group, key) else None
    if not isinstance(item, h5py.Dataset) or item.shape is None or item.size != 1 or item.dtype.kind not in "SO":
        return None
    if storage_problem(item) is not None or item.dtype.itemsize > _TEXT_BYTES:
        return None
    value = item[()] if item.shape == () else item[(0,) * item.ndim]
    return value.decode("ascii", "replace") if isinstance(value, bytes) else None

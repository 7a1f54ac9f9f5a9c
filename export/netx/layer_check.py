"""What stock netx (lava-dl 0.6.0) makes of each layer of a file, in the order in which it builds them."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import h5py
import numpy as np

from esvae.chip.formats import BIAS, DECAY, DELAY, SIGMA_THRESHOLD, THRESHOLD, WEIGHT, IntFormat
from export.ir import NEVER_FIRES
from export.ir.labels import label
from export.ir.limits import LAYERS, NEURONS
from export.netx.items import has_link, storage_problem, value_blocks
from export.netx.keys import geometry_problems, neuron_problems, shape_problem, type_problem
from export.netx.rules import loaded_values, present_weights

__all__ = ["Finding", "Severity", "layer_findings", "numbers_at"]

Severity: TypeAlias = Literal["error", "warning", "note"]

_TEXT_BYTES = 1 << 6
#: Layers for which netx has no code, and what to do.
_REFUSED = {
    **dict.fromkeys(("pool", "convT", "unpool", "average"), "lower it: esvae export FILE -o LOWERED.net"),
    "concat": "give both paths to one layer whose weights pass one of them on",
}
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


def layer_findings(file: h5py.File) -> Iterator[Finding]:
    """What is found in the groups of a file, layer by layer; biases, shapes and registers need the network as read."""
    groups = file.get("layer") if has_link(file, "layer") else None
    if not isinstance(groups, h5py.Group) or not 1 <= len(groups) <= LAYERS:
        yield Finding("error", "file", f"no group 'layer' with 1 to {LAYERS} layers; netx raises KeyError")
        return
    chain = _Chain(groups)
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
            yield Finding("error", where, f"type '{kind}': netx raises NotImplementedError; {_REFUSED[kind]}")
        elif kind in _NOT_MODELLED:
            yield Finding("error", where, f"type '{kind}': netx builds it, this project does not model it")
        elif kind not in _KNOWN:
            yield Finding("error", where, f"type '{kind}': netx passes over the whole layer in silence")
        else:
            used = kind != "input" or "neuron" in group or chain.first == "conv"
            problems = (type_problem(group), shape_problem(group, kind, used=used), chain.problem(group, kind))
            yield from (Finding("error", where, problem) for problem in problems if problem is not None)
            yield from _layer(group, kind, where)


class _Chain:
    """How netx connects each layer to the one before it.

    Args:
        groups: of all layers.
    """

    def __init__(self, groups: h5py.Group) -> None:
        kinds = (
            _text(groups[str(k)], "type") for k in range(len(groups)) if isinstance(groups.get(str(k)), h5py.Group)
        )
        #: Type of the first layer with synapses.
        self.first = next((kind for kind in kinds if kind == "conv" or kind in _DENSE), None)
        self._axes: int | None = None  # of what the last layer sends, None before the first
        self._flat = False  # whether a flatten layer was met since

    def problem(self, group: h5py.Group, kind: str) -> str | None:
        """Why netx cannot connect the next layer, or None."""
        before, flat = self._axes, self._flat
        if kind == "flatten":
            self._flat = True
        elif kind == "conv":
            self._axes = 3
            if before == 1:
                return "conv after dense: netx cannot connect it; unroll it to dense"
        elif kind in _DENSE:
            self._axes, self._flat = 1, False
            if before == 3 and not flat:
                return f"{kind} after conv without a flatten layer between: shapes do not meet"
            if before == 1 and flat:
                return "flatten between two vectors: netx turns round the axes of a map, which are not there; remove it"
        elif "neuron" in group:
            shape = numbers_at(group, "shape")
            self._axes = None if shape is None else len(np.atleast_1d(shape))
        return None


def _layer(group: h5py.Group, kind: str, where: str) -> Iterator[Finding]:
    for key in sorted(set(group) - _KNOWN[kind] - _HARMLESS):
        yield Finding("warning", where, f"'{key}': netx passes over it")
    if kind == "conv" or kind in _DENSE:
        yield from _weights(group, kind, where)
        yield from _numbers(group, "bias", BIAS, where)
    if kind == "conv":
        yield from (Finding("error", where, problem) for problem in geometry_problems(group))
    if kind == "dense" and (longest := _longest(group)) > DELAY.max:
        text = f"delay {longest:g}: netx clamps it to {DELAY.max} with a warning; train with shorter delays"
        yield Finding("error", where, text)
    if kind == "dense_rec" and "delay" in group:
        text = "delay: netx delays the layer's own spikes too, and drops its weights' exponent; train it without delays"
        yield Finding("error", where, text)
    if "neuron" in group and kind != "flatten":
        shape = numbers_at(group, "shape") if kind == "input" else None
        axes = 1 if kind in _DENSE or (shape is not None and np.size(shape) == 1) else 3
        yield from (replace(found, what=f"neuron: {found.what}") for found in _neuron(group, axes, where))
    elif kind in _DENSE:
        yield Finding("warning", where, "no neuron: netx makes an integrator that never fires")
    elif kind == "conv":
        yield Finding("error", where, "no neuron: netx raises KeyError")


def _weights(group: h5py.Group, kind: str, where: str) -> Iterator[Finding]:
    present: dict[str, np.ndarray] = {}
    counts: dict[str, np.ndarray] = {}
    for key in ("weight", "weight_rec") if kind == "dense_rec" else ("weight",):
        found = yield from _present(group, kind, key, where)
        if found is None:
            return
        present[key], counts[key] = found
    if kind == "dense_rec" and group["weight"].ndim != 1 and group["weight_rec"].ndim == 1:
        text = "weight_rec is flat beside a weight that is not: netx raises ValueError; store (outputs, outputs)"
        yield Finding("error", where, text)
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


def _present(
    group: h5py.Group, kind: str, key: str, where: str
) -> Generator[Finding, None, tuple[np.ndarray, np.ndarray] | None]:
    """The different weights of a matrix and how often each occurs, or None where there is none to go on with."""
    named = "" if key == "weight" else f"{key}: "
    item = group[key] if has_link(group, key) else None
    if not isinstance(item, h5py.Dataset) or item.shape is None or item.dtype.kind not in "iuf" or 0 in item.shape:
        yield Finding("error", where, f"{named}no readable weights")
        return None
    if (problem := storage_problem(item)) is not None:
        yield Finding("error", where, f"{key}: {problem}")
        return None
    if kind in _DENSE and item.ndim > 2:
        yield Finding(
            "error", where, f"{key} is an array {item.shape}: netx raises ValueError; store (outputs, inputs)"
        )
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


def _neuron(group: h5py.Group, axes: int, where: str) -> Iterator[Finding]:
    neuron = group["neuron"] if has_link(group, "neuron") else None
    if not isinstance(neuron, h5py.Group):
        yield Finding("error", where, "is no group")
        return
    kind = _text(neuron, "type")
    if (problem := type_problem(neuron)) is not None:
        yield Finding("error", where, problem)
    if kind == "SDNN":
        yield from _sigma_delta(group, neuron, where)
        return
    if kind not in ("LOIHI", "CUBA"):
        yield Finding("error", where, f"type '{kind}': not a neuron that this project models")
        return
    for key in ("iDecay", "vDecay", "vThMant"):
        values = numbers_at(neuron, key)
        if values is not None and not np.isfinite(values).all():
            yield Finding("error", where, f"{key} is not finite; write a whole number")
            return
    for key, limits in (("iDecay", DECAY), ("vDecay", DECAY)):
        yield from _numbers(neuron, key, limits, where, needed=True)
    threshold = numbers_at(neuron, "vThMant")
    if threshold is None or threshold.size != 1 or int(threshold.reshape(-1)[0]) != NEVER_FIRES:
        yield from _numbers(neuron, "vThMant", THRESHOLD, where, needed=True)
    yield from (Finding("error", where, problem) for problem in neuron_problems(neuron, axes))
    refractory = numbers_at(neuron, "refDelay")
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
    values = numbers_at(group, key)
    if values is None or not values.size:
        if needed or key in group:
            yield Finding("error", where, f"'{key}' is missing or holds no numbers")
    elif not (values >= limits.min).all() or not (values <= limits.max).all():
        yield Finding("error", where, f"{key} outside [{limits.min}, {limits.max}]")


def _longest(group: h5py.Group) -> float:
    item = group["delay"] if has_link(group, "delay") else None
    if not isinstance(item, h5py.Dataset) or item.shape is None or item.dtype.kind not in "iuf":
        return 0
    if storage_problem(item) is not None:
        return 0
    return max((float(block.max()) for _, block in value_blocks(item)), default=0)


def numbers_at(group: h5py.Group, key: str) -> Any:
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

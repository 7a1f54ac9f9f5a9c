"""Network files as people, and other programs, write them: sound ones, changed in one or two ways.

Each change is drawn from a numpy generator, so that a case is named by its seed alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from net_trees import Items

__all__ = ["CHANGES", "changed"]

Rng: TypeAlias = np.random.Generator
#: Changes the tree in place; returns what was done, or None where there is nothing to do it to.
Change: TypeAlias = Callable[[Items, Rng], str | None]

_NUMBERS = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "?", ">i2", ">f4")
_GEOMETRY = ("stride", "padding", "dilation", "groups")
_NEURON = ("iDecay", "vDecay", "vThMant")
#: Keys that other programs write, with values; where they lie in a layer.
_EXTRA: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("neuron/messageBits", (0, 8, 24)),
    ("neuron/refDelay", (0, 1, 2, 5, 1.0, [1])),
    ("neuron/gradedSpike", (0, 1, True, False)),
    ("neuron/wgtExp", (0, 2)),
    ("neuron/tauGrad", (0.1,)),
    ("neuron/sigma_output", (1,)),
    ("neuron/activation", ("relu",)),
    ("kernelSize", ([3, 3],)),
    ("inFeatures", (7,)),
    ("outChannels", (4,)),
    ("weight_exp", (0, 1)),
    ("weight_rec", ([[2]],)),
    ("delay", (0, 1, 3, 0.0, [0], [2], 62, 63, -1, 1.5, 200)),
    ("bias", (0, 3, [3], 3.0, 2.5, [[1]], 4095, -4096, 4096, -5000)),
    ("note", ("text",)),
    ("extra", (5, {"more": 1})),
)
_TYPES = ("conv", "dense", "flatten", "input", "pool", "average", "Dense", "dense ", "dense_rec", "dense_comp", "dënse")


def changed(tree: Items, rng: Rng) -> list[str]:
    """Makes one or two changes to the tree of a file; what they were."""
    told: list[str] = []
    wanted = 1 + int(rng.random() < 0.3)
    while len(told) < wanted:
        change = CHANGES[int(rng.integers(len(CHANGES)))]
        done = change(tree, rng)
        if done is not None:
            told.append(f"{change.__name__.strip('_')}: {done}")
    return told


def _pick(rng: Rng, options: Any) -> Any:
    options = list(options)
    return options[int(rng.integers(len(options)))] if options else None


def _arrays(tree: Items, above: str = "layer") -> Iterator[tuple[Items, str, str]]:
    """Group, key and path of every number or array of numbers."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _arrays(value, f"{above}/{key}")
        elif np.asarray(value).dtype.kind in "iufb":
            yield tree, key, f"{above}/{key}"


def _layers(tree: Items, *kinds: str) -> list[tuple[str, Items]]:
    return [(name, group) for name, group in tree["layer"].items() if _kind(group) in kinds]


def _kind(group: Any) -> str:
    if not isinstance(group, dict):
        return ""
    value = np.asarray(group.get("type", b"")).reshape(-1)
    return "" if not value.size else value[0].decode("utf-8", "replace") if isinstance(value[0], bytes) else ""


def _of_layers(tree: Items, rng: Rng, *kinds: str) -> tuple[str, Items] | None:
    found: tuple[str, Items] | None = _pick(rng, _layers(tree, *kinds))
    return found


def _dtype(tree: Items, rng: Rng) -> str | None:
    """The same numbers, or what becomes of them, in another format."""
    group, key, path = _pick(rng, _arrays(tree["layer"]))
    to = np.dtype(_pick(rng, _NUMBERS))
    with np.errstate(all="ignore"):
        group[key] = np.asarray(group[key]).astype(to)
    return f"{path} as {to}"


def _axes(tree: Items, rng: Rng) -> str | None:
    """A scalar as an array of one, or an array with axes more or fewer."""
    group, key, path = _pick(rng, _arrays(tree["layer"]))
    value = np.asarray(group[key])
    forms = [value[None], value[..., None], value.reshape(-1), value.reshape(*value.shape, 1, 1)]
    if value.size == 1:
        forms.append(value.reshape(()))
    forms += [value[0]] if value.ndim and len(value) else [np.repeat(value, 2), np.repeat(value, 3)]
    group[key] = _pick(rng, [form for form in forms if form.shape != value.shape])
    return f"{path} of shape {value.shape} as {group[key].shape}"


def _missing(tree: Items, rng: Rng) -> str | None:
    """A key that is left out."""
    name, group = _of_layers(tree, rng, "input", "conv", "dense", "flatten") or ("", {})
    holder, prefix = (group, "") if rng.random() < 0.7 or "neuron" not in group else (group["neuron"], "neuron/")
    key = _pick(rng, holder if isinstance(holder, dict) else ())
    if key is None:
        return None
    del holder[key]
    return f"{name}/{prefix}{key}"


def _extra(tree: Items, rng: Rng) -> str | None:
    """A key that is put in, or overwritten."""
    found = _of_layers(tree, rng, "input", "conv", "dense", "dense", "flatten")
    if found is None:
        return None
    name, group = found
    key, values = _pick(rng, _EXTRA)
    value = _pick(rng, values)
    above, _, last = key.rpartition("/")
    holder = group.get(above) if above else group
    if not isinstance(holder, dict):
        return None
    holder[last] = value if isinstance(value, str | dict) else np.asarray(value)
    return f"{name}/{key} = {value}"


def _number(tree: Items, rng: Rng) -> str | None:
    """A parameter of a neuron at or beyond a limit."""
    name, group = _of_layers(tree, rng, "input", "conv", "dense") or ("", {})
    neuron = group.get("neuron")
    if not isinstance(neuron, dict):
        return None
    key = _pick(rng, _NEURON)
    ends = (
        [0, -1, 1, 131070, 131071, 131072, 131073, 1 << 20] if key == "vThMant" else [0, 1, -1, 4095, 4096, 4097, 9999]
    )
    to = _pick(rng, ["i8", "i8", "i4", "f8", "u4", "i2"])
    with np.errstate(all="ignore"):
        value = np.asarray(_pick(rng, ends), np.int64).astype(to)
    neuron[key] = value if rng.random() < 0.7 else value.reshape(1)
    return f"{name}/neuron/{key} = {neuron[key]!r}"


def _weights(tree: Items, rng: Rng) -> str | None:
    """Weights at or beyond a limit, with fractions, all alike, flat, or of another shape."""
    name, group = _of_layers(tree, rng, "conv", "dense") or ("", {})
    weight = np.array(group.get("weight", 0))
    if weight.ndim < 2 or not weight.size:
        return None
    kind = _pick(rng, ["one", "all", "fraction", "flat", "turned", "trailing", "row", "float", "sign"])
    if kind == "one":
        weight.reshape(-1)[int(rng.integers(weight.size))] = _pick(rng, [253, 254, 255, 256, 300, -255, -256, -257, 1])
    elif kind == "all":
        weight[...] = _pick(rng, [0, 1, 2, 255, 254, -1, -2, -255, -256, -128, 256])
    elif kind == "fraction":
        weight = weight + np.float32(_pick(rng, [0.5, 0.25, -0.5, 1e-3]))
    elif kind == "flat":
        weight = weight.reshape(-1)
    elif kind == "turned":
        weight = np.ascontiguousarray(weight.swapaxes(0, 1))
    elif kind == "trailing":
        weight = weight.reshape(*weight.shape, *[1] * int(rng.integers(1, 4)))
    elif kind == "row":
        weight = weight[:-1] if len(weight) > 1 else np.concatenate([weight, weight])
    elif kind == "sign":
        weight = -np.abs(weight)
    else:
        weight = weight.astype(_pick(rng, ["f2", "f4", "f8"]))
    group["weight"] = weight
    return f"{name}/weight {kind}, {weight.dtype} {weight.shape}, {weight.min()} to {weight.max()}"


def _shape(tree: Items, rng: Rng) -> str | None:
    """A layer's shape that is wrong, turned round, of another rank or a scalar."""
    name, group = _of_layers(tree, rng, "input", "conv", "dense", "flatten") or ("", {})
    shape = np.atleast_1d(np.asarray(group.get("shape", 0)))
    forms = [shape + 1, shape[::-1], shape[:1], np.asarray(int(shape[0])), np.append(shape, 1), np.append(1, shape)]
    forms += [shape[-2:], np.asarray([math.prod(shape.tolist())]), np.zeros(0, int), np.append(shape, [1, 1]), -shape]
    group["shape"] = _pick(rng, forms)
    return f"{name}/shape {shape.tolist()} as {np.asarray(group['shape']).tolist()}"


def _geometry(tree: Items, rng: Rng) -> str | None:
    """Stride, padding, dilation or groups that are large, odd, or one number for both."""
    name, group = _of_layers(tree, rng, "conv") or ("", {})
    key = _pick(rng, [key for key in _GEOMETRY if key in group])
    if key is None:
        return None
    value = _pick(rng, [1, 2, 0, -1, 127, 128, 129, 255, 256, 1.0, 1.5])
    form = _pick(rng, ["scalar", "one", "pair", "three", "nested"])
    axes: Any = {"scalar": value, "one": [value], "pair": [1, value], "three": [value] * 3, "nested": [[value, value]]}
    group[key] = np.asarray(axes[form])
    return f"{name}/{key} = {axes[form]}"


def _large(tree: Items, rng: Rng) -> str | None:
    """The whole file becomes one convolution whose groups, kernel, stride, padding or dilation are large, and fit."""
    n = int(_pick(rng, [126, 127, 128, 130, 200, 256]))
    key = _pick(rng, ["groups", "kernel", *_GEOMETRY[:3]])
    conv: Items = {"type": "conv", "neuron": {"type": "CUBA", "iDecay": 4096, "vDecay": 1024, "vThMant": 20}}
    geometry: dict[str, Any] = {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1}
    shape, kernel, out = [1, 1, 2], (1, 1, 1, 1), [1, 1, 2]
    if key == "groups":
        geometry["groups"], shape, kernel, out = n, [n, 1, 1], (n, 1, 1, 1), [n, 1, 1]
    elif key == "kernel":
        shape, kernel, out = [1, 1, n], (1, 1, 1, n), [1, 1, 1]
    elif key == "stride":
        geometry["stride"], shape = [1, n], [1, 1, n + 1]
    elif key == "padding":
        geometry["padding"], out = [0, n], [1, 1, 2 + 2 * n]
    else:
        geometry["dilation"], shape, kernel, out = [1, n], [1, 1, n + 2], (1, 1, 1, 2), [1, 1, 2]
    weight = np.asarray(rng.choice([-40, 20, 60, 100], kernel)) if kernel != (1, 1, 1, 1) else np.full(kernel, 60)
    tree["layer"] = {"0": {"type": "input", "shape": shape}, "1": {**conv, **geometry, "shape": out, "weight": weight}}
    return f"{key} {n}"


def _type(tree: Items, rng: Rng) -> str | None:
    """Another type of a layer or neuron, or the same, stored otherwise."""
    name, group = _of_layers(tree, rng, "input", "conv", "dense", "flatten") or ("", {})
    kind = _kind(group)
    holder = group
    if isinstance(group.get("neuron"), dict) and rng.random() < 0.4:
        holder, kind = group["neuron"], _pick(rng, ["CUBA", "LOIHI", "LOIHI", "cuba", "SDNN", "RF", "ALIF", ""])
    elif rng.random() < 0.4:
        kind = _pick(rng, _TYPES)
    raw = kind.encode("utf-8")
    stored = np.array([raw], "S16")
    forms = [stored, stored.reshape(()), stored.reshape(1, 1), np.array([raw, b"other"], "S16"), raw]
    holder["type"] = _pick(rng, [*forms, stored, raw, np.asarray(3)])
    return f"{name}: {kind} as {holder['type']!r}"


def _order(tree: Items, rng: Rng) -> str | None:
    """Layers left out, repeated, exchanged, under other names, or something else among them."""
    layers = tree["layer"]
    listed = list(layers.values())
    kind = _pick(rng, ["drop", "repeat", "swap", "flatten", "name", "stranger", "number", "second input"])
    at = int(rng.integers(len(listed)))
    if kind == "drop":
        del listed[at]
    elif kind == "repeat":
        listed.insert(at, listed[at])
    elif kind == "swap":
        listed[at], listed[at - 1] = listed[at - 1], listed[at]
    elif kind == "flatten":
        listed.insert(max(at, 1), {"type": "flatten", "shape": [1]})
    elif kind == "second input":
        listed.insert(at + 1, {**listed[0]})
    tree["layer"] = {str(number): layer for number, layer in enumerate(listed)}
    if kind == "name":
        tree["layer"][_pick(rng, ["00", "x", str(len(listed) + 1)])] = tree["layer"].pop(str(at))
    elif kind == "stranger":
        tree["layer"]["about"] = _pick(rng, [{"note": 1}, np.asarray(3)])
    elif kind == "number":
        tree["layer"][str(at)] = np.asarray(3)
    return f"{kind} at {at}"


def _spread(tree: Items, rng: Rng) -> str | None:
    """Biases and delays in every shape that netx spreads over a layer, and in some that it does not."""
    name, group = _of_layers(tree, rng, "conv", "dense", "dense") or ("", {})
    weight = np.asarray(group.get("weight", 0))
    if weight.ndim < 2:
        return None
    outputs, inputs = weight.shape[:2]
    shape = np.atleast_1d(np.asarray(group.get("shape", 1))).tolist()
    key = _pick(rng, ["bias", "delay"]) if weight.ndim == 2 else "bias"
    size = _pick(
        rng, [(), (1,), (outputs,), (inputs,), (outputs, inputs), (outputs, 1), tuple(shape), tuple(shape[::-1])]
    )
    low, high = (0, 6) if key == "delay" else (-60, 300)
    values = np.asarray(rng.integers(low, high, size))
    group[key] = values.astype(_pick(rng, ["i8", "i4", "f4", "i2"]))
    return f"{name}/{key} of shape {size}, {group[key].dtype}"


def _decays(tree: Items, rng: Rng) -> str | None:
    """Decays one for each neuron or channel, or as many as there are not."""
    name, group = _of_layers(tree, rng, "input", "conv", "dense", "dense", "dense_rec") or ("", {})
    neuron = group.get("neuron")
    if not isinstance(neuron, dict):
        return None
    shape = np.atleast_1d(np.asarray(group.get("shape", 1))).tolist()
    size = _pick(rng, [shape[0], shape[0], (1, shape[0]), (shape[0], 1), tuple(shape), tuple(shape[::-1]), 2])
    key = _pick(rng, ["iDecay", "vDecay"])
    neuron[key] = rng.integers(0, 4097, size).astype(_pick(rng, ["i8", "i8", "i4", "i2", "u2", "u4", "u8", "f4"]))
    return f"{name}/neuron/{key} of shape {size}, {neuron[key].dtype}"


CHANGES: tuple[Change, ...] = (
    _dtype,
    _axes,
    _missing,
    _extra,
    _extra,
    _number,
    _weights,
    _shape,
    _geometry,
    _large,
    _type,
    _order,
    _spread,
    _decays,
)

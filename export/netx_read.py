"""Reads a netx HDF5 file into a :class:`~export.ir.Network`, trusting nothing in it.

Files come from anywhere: links out of the file, absurd declared sizes, wrong types and missing keys are each answered
with one line, before anything large is read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from esvae.errors import HardwareRangeError, NetFileError, UnsupportedLayerError
from export.ir import (
    INTEGRATOR,
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    ImageReadout,
    InputNeurons,
    Layer,
    Lif,
    Network,
    Prior,
    Shape,
)
from export.netx_layout import bias_from_file, delay_from_file, weight_from_file
from export.netx_write import FORMAT_VERSION, GROUP

__all__ = ["read_netx"]

#: More elements than this in one array is taken for a damaged or hostile file (the paper's largest layer has 67 M).
_MAX_ELEMENTS = 1 << 27
_MAX_LAYERS = 256
_SUPPORTED = "input, conv, convT, dense (with delays, or without neuron) and flatten, with LOIHI or CUBA neurons"
#: What the file may say beside the neuron's parameters, and netx passes over: only these values change nothing.
_IGNORED = {"refDelay": (0, 1), "wgtExp": (0,), "weight_exp": (0,)}


def read_netx(path: str | os.PathLike[str], *, layers: int | None = None) -> Network:
    """Reads ``path``.

    Args:
        path: the ``.net`` file.
        layers: read only so many of the file's layer groups, input and flatten included (netx's ``num_layers``);
            what the file says of a generator is then left out.

    Raises:
        NetFileError: missing, not HDF5, truncated, or not laid out as netx wants it; says which key.
        UnsupportedLayerError: a layer or neuron that is not modelled; lists what is.
        HardwareRangeError: numbers that the chip's registers do not hold.
    """
    with _opened(Path(path)) as file:
        groups = _group(file, "layer", "")
        names = [str(i) for i in range(len(groups))]
        if not names or len(names) > _MAX_LAYERS or set(names) != set(groups):
            raise NetFileError(f"{path}: group 'layer' must hold 1 to {_MAX_LAYERS} groups named 0, 1, 2, ...")
        if layers is not None and layers < 1:
            raise NetFileError(f"{path}: {layers} layers wanted, expected at least 1")
        ours = _group(file, GROUP, "") if GROUP in file and (layers is None or layers >= len(names)) else None
        nodes: list[Layer] = []
        input_shape: Shape | None = None
        neurons: InputNeurons | None = None
        for index, name in enumerate(names[:layers]):
            group = _group(groups, name, "layer/")
            where = f"layer/{name}"
            kind = _text(group, "type", where)
            if kind == "input" and index == 0:
                input_shape = _shape(group, "shape", where) if "shape" in group else None
                neurons = _input_neurons(group, where)
                if neurons is not None and input_shape is None:
                    raise NetFileError(f"{where}: an input layer with a neuron needs a 'shape'")
            else:
                nodes.append(_layer_or_hint(group, kind, where, index))
        if input_shape is not None and len(input_shape) == 3 and neurons is None and _starts_dense(nodes):
            nodes.insert(0, Flatten())  # no layer before it, so netx takes the features as they come
        network = Network(
            input_shape=input_shape or _guess_input_shape(nodes),
            layers=tuple(nodes),
            input_neurons=neurons,
            **({} if ours is None else _generator(ours)),
        )
        if ours is not None and _text(ours, "content_hash", GROUP) != network.content_hash():
            raise NetFileError(
                f"{path}: content does not match its hash, so it was altered or damaged; export it again"
            )
        return network


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """Opens an HDF5 file; whatever the HDF5 library makes of damaged content becomes one NetFileError."""
    if not path.is_file():
        raise NetFileError(f"{path}: no such file; make one with: esvae export RUN -o {path.name}")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (NetFileError, HardwareRangeError) as error:
        raise error if str(error).startswith(str(path)) else type(error)(f"{path}: {error}") from None
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError, OverflowError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise NetFileError(f"{path}: corrupt, truncated or not a netx HDF5 file ({reason})") from error


def _item(group: h5py.Group, key: str, where: str) -> Any:
    if not isinstance(group.get(key, getlink=True), h5py.HardLink):
        problem = "is a link out of its place" if key in group else "is missing"
        raise NetFileError(f"{where or 'file'}: '{key}' {problem}")
    return group[key]


def _group(group: h5py.Group, key: str, where: str) -> h5py.Group:
    item = _item(group, key, where)
    if not isinstance(item, h5py.Group):
        raise NetFileError(f"{where}{key}: expected a group")
    return item


def _dataset(group: h5py.Group, key: str, where: str) -> h5py.Dataset:
    item = _item(group, key, where)
    if not isinstance(item, h5py.Dataset) or item.shape is None:
        raise NetFileError(f"{where}/{key}: expected a data set")
    if item.size > _MAX_ELEMENTS:
        raise NetFileError(f"{where}/{key}: {item.size} elements declared, at most {_MAX_ELEMENTS} are read")
    if item.external or item.is_virtual:
        raise NetFileError(f"{where}/{key}: stored in another file, which is not followed")
    return item


def _text(group: h5py.Group, key: str, where: str) -> str:
    item = _dataset(group, key, where)
    if item.size != 1 or item.dtype.kind not in "SO":
        raise NetFileError(f"{where}/{key}: expected one text")
    value = item[()] if item.shape == () else item[0]
    if not isinstance(value, bytes):
        raise NetFileError(f"{where}/{key}: expected one text")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise NetFileError(f"{where}/{key}: not readable as text") from None


def _whole(group: h5py.Group, key: str, where: str) -> np.ndarray:
    """An array of whole numbers; floats are taken only where each is whole, which netx would truncate in silence."""
    item = _dataset(group, key, where)
    if item.dtype.kind not in "iuf":
        raise NetFileError(f"{where}/{key}: expected numbers, got {item.dtype}")
    values = np.asarray(item[()])
    if values.dtype.kind == "f":
        if not np.isfinite(values).all() or (values != np.rint(values)).any() or np.abs(values).max(initial=0) > 2**31:
            raise NetFileError(f"{where}/{key}: holds fractions, which netx truncates; quantize and export again")
        values = np.rint(values)
    return values.astype(np.int64)


def _number(group: h5py.Group, key: str, where: str) -> int:
    values = _whole(group, key, where)
    if values.size != 1:
        raise NetFileError(f"{where}/{key}: expected one number, got shape {values.shape}")
    return int(values.reshape(-1)[0])


def _real(group: h5py.Group, key: str, where: str) -> np.ndarray:
    item = _dataset(group, key, where)
    if item.dtype.kind != "f":
        raise NetFileError(f"{where}/{key}: expected real numbers, got {item.dtype}")
    values = np.asarray(item[()])
    if not np.isfinite(values).all():
        raise NetFileError(f"{where}/{key}: holds values that are not finite")
    return values


def _shape(group: h5py.Group, key: str, where: str) -> Shape:
    values = _whole(group, key, where).reshape(-1)
    if values.size not in (1, 3) or (values < 1).any() or (values > _MAX_ELEMENTS).any():
        raise NetFileError(f"{where}/{key}: {values.tolist()[:6]} is no shape; expected (features,) or (C, H, W)")
    return tuple(int(n) for n in values)


def _pair(group: h5py.Group, key: str, where: str) -> tuple[int, int]:
    values = _whole(group, key, where).reshape(-1)
    if values.size not in (1, 2) or (values > 1 << 16).any():
        raise NetFileError(f"{where}/{key}: {values.tolist()[:6]} is no pair (y, x)")
    return int(values[0]), int(values[-1])


def _layer_or_hint(group: h5py.Group, kind: str, where: str, index: int) -> Layer:
    try:
        return _layer(group, kind, where)
    except UnsupportedLayerError as error:
        hint = f"; --layers {index} runs what comes before it" if index > 1 else ""
        raise UnsupportedLayerError(f"{error}{hint}") from None


def _layer(group: h5py.Group, kind: str, where: str) -> Layer:
    if kind == "flatten":
        return Flatten()
    if kind not in ("conv", "convT", "dense") or "weight_rec" in group:
        what = f"'{kind}' with 'weight_rec'" if "weight_rec" in group else f"type '{kind}'"
        raise UnsupportedLayerError(f"{where}: {what} is not supported; supported are {_SUPPORTED}")
    if isinstance(group.get("weight"), h5py.Group):
        raise UnsupportedLayerError(f"{where}: complex weights are not supported; supported are {_SUPPORTED}")
    weight = _whole(group, "weight", where)
    bias = bias_from_file(_whole(group, "bias", where)) if "bias" in group else None
    if kind == "dense":
        if weight.ndim == 1 and "shape" in group:
            weight = weight.reshape(int(np.prod(_shape(group, "shape", where))), -1)
        weight = weight_from_file(weight, 2, where)
        delay = _whole(group, "delay", where) if "delay" in group else None
        if bias is not None and bias.size == 1:
            bias = np.broadcast_to(bias, weight.shape[:1]).copy()
        return Dense(
            weight,
            bias,
            _neuron(group, where) if "neuron" in group else INTEGRATOR,
            None if delay is None else delay_from_file(delay, weight.shape, where),
        )
    if "neuron" not in group:
        raise UnsupportedLayerError(f"{where}: '{kind}' without neuron is not supported; supported are {_SUPPORTED}")
    if "delay" in group and _whole(group, "delay", where).any():
        raise UnsupportedLayerError(
            f"{where}: '{kind}' with 'delay': netx passes over it, so does not run what was meant"
        )
    neuron = _neuron(group, where)
    weight, groups = weight_from_file(weight, 4, where), _number(group, "groups", where)
    pairs = {key: _pair(group, key, where) for key in ("stride", "padding", "dilation")}
    if kind == "convT":
        slack = _pair(group, "output_padding", where) if "output_padding" in group else (0, 0)
        return ConvTranspose(weight, bias, neuron, **pairs, output_padding=slack, groups=groups)
    return Conv(weight, bias, neuron, **pairs, groups=groups)


def _neuron(group: h5py.Group, where: str) -> Lif:
    neuron = _group(group, "neuron", f"{where}/")
    where = f"{where}/neuron"
    kind = _text(neuron, "type", where)
    if kind not in ("LOIHI", "CUBA"):
        raise UnsupportedLayerError(f"{where}: type '{kind}' is not supported; supported are {_SUPPORTED}")
    if "messageBits" in neuron and _number(neuron, "messageBits", where) != 0:
        raise UnsupportedLayerError(f"{where}/messageBits: graded spikes are not supported, expected 0")
    for key, harmless in _IGNORED.items():
        if key in neuron and _number(neuron, key, where) not in harmless:
            raise UnsupportedLayerError(f"{where}/{key}: netx passes over it; expected {harmless[-1]}")
    return Lif(*(_number(neuron, key, where) for key in ("iDecay", "vDecay", "vThMant")))


def _input_neurons(group: h5py.Group, where: str) -> InputNeurons | None:
    if "neuron" not in group:
        return None
    transform = {key: _number(group, key, where) for key in ("weight", "bias") if key in group}
    return InputNeurons(_neuron(group, where), **transform)


def _starts_dense(nodes: list[Layer]) -> bool:
    return bool(nodes) and isinstance(nodes[0], Dense)


def _guess_input_shape(nodes: list[Layer]) -> Shape:
    first = next((node for node in nodes if not isinstance(node, Flatten)), None)
    if isinstance(first, Dense):
        return (first.weight.shape[1],)
    raise NetFileError("layer/0: the input shape is not in the file; put an 'input' layer with a 'shape' first")


def _generator(group: h5py.Group) -> dict[str, Any]:
    version = _number(group, "format_version", GROUP)
    if version > FORMAT_VERSION:
        raise NetFileError(
            f"{GROUP}: written in format {version}, this version reads up to {FORMAT_VERSION}; update it"
        )
    try:
        provenance = json.loads(_text(group, "provenance", GROUP))
    except ValueError:
        raise NetFileError(f"{GROUP}/provenance: not valid JSON") from None
    if not isinstance(provenance, dict) or not all(isinstance(value, str) for value in provenance.values()):
        raise NetFileError(f"{GROUP}/provenance: expected texts by name")
    found: dict[str, Any] = {"provenance": provenance}
    if "time_steps" in group:
        found["time_steps"] = _number(group, "time_steps", GROUP)
    if "prior" in group:
        prior = _group(group, "prior", f"{GROUP}/")
        where = f"{GROUP}/prior"
        weight, bias, share = (_real(prior, key, where) for key in ("weight", "bias", "share"))
        found["prior"] = Prior(weight, bias, share, _number(prior, "rate_bits", where))
    if "readout" in group:
        readout = _group(group, "readout", f"{GROUP}/")
        where = f"{GROUP}/readout"
        shape = _shape(readout, "image_shape", where)
        unit = _real(readout, "unit", where)
        if len(shape) != 3 or unit.size != 1:
            raise NetFileError(f"{where}: expected a (C, H, W) image_shape and one unit")
        found["readout"] = ImageReadout(float(unit.reshape(-1)[0]), shape, _number(readout, "upscale", where))
    return found

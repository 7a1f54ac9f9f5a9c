"""Reads a netx HDF5 file into a :class:`~export.ir.Network`, trusting nothing in it.

Files come from anywhere: links out of the file, absurd declared sizes, wrong types and missing keys are each answered
with one line, before anything large is read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from esvae.errors import HardwareRangeError, NetFileError, UnsupportedLayerError
from esvae.machine.documents import parse_json
from export.ir import (
    CircuitPrior,
    Dense,
    Flatten,
    ImageReadout,
    InputNeurons,
    Layer,
    Network,
    Neuron,
    Prior,
    RecurrentDense,
    Shape,
    SpikeReadout,
)
from export.ir.labels import FIRST_GROUP, label
from export.ir.limits import ELEMENTS, HOLLOW_ELEMENTS, LAYERS, PRIOR_ELEMENTS
from export.netx.circuit import CIRCUIT, circuit_from_layers, read_circuit_layers, read_layout
from export.netx.items import (
    TYPE_NAME_BYTES,
    check_there,
    damage,
    declared,
    get_group,
    get_text,
    has_link,
    number,
    real,
    shape_of,
    whole_numbers,
)
from export.netx.layers import layer_from_file
from export.netx.neurons import input_neuron_from_file
from export.netx.write import FORMAT_VERSION, GROUP

__all__ = ["read_netx_unguarded"]


def read_netx_unguarded(path: str | os.PathLike[str], *, layers: int | None = None) -> Network:
    """:func:`~export.netx.guard.read_netx` without the guard: for files of one's own, and within the guard.

    The HDF5 library can hang or crash on a damaged file, and takes this process with it.
    """
    with _opened(Path(path)) as file:
        if has_link(file, "node") and not has_link(file, "layer"):
            name = Path(path).with_suffix(".net").name
            raise NetFileError(f"{path}: a NIR graph, no netx file; make one with: esvae export {path} -o {name}")
        groups = get_group(file, "layer", "")
        names = [str(i) for i in range(len(groups))]
        if not names or len(names) > LAYERS or set(names) != set(groups):
            raise NetFileError(f"{path}: group 'layer' must hold 1 to {LAYERS} groups named 0, 1, 2, ...")
        if layers is not None and not 1 <= layers <= len(names):
            raise NetFileError(f"{path}: {layers} layers wanted, expected 1 to {len(names)}")
        ours = get_group(file, GROUP, "") if GROUP in file and (layers is None or layers >= len(names)) else None
        nodes: list[Layer[Neuron]] = []
        clamped: dict[str, str] = {}
        input_shape: Shape | None = None
        neurons: InputNeurons | None = None
        first = 0
        left, hollow_left = ELEMENTS, HOLLOW_ELEMENTS
        for index, name in enumerate(names[:layers]):
            group, where = get_group(groups, name, "layer/"), label(index)
            size, hollow = declared(group)
            left, hollow_left = left - size, hollow_left - hollow
            if min(left, hollow_left) < 0:
                most = ELEMENTS if left < 0 else HOLLOW_ELEMENTS
                raise NetFileError(f"{where}: {size} elements declared; of a whole file at most {most} are read")
            kind = get_text(group, "type", where, most=TYPE_NAME_BYTES)
            where = label(index, kind)
            if kind == "input" and index == 0:
                first = FIRST_GROUP
                input_shape = shape_of(group, "shape", where) if "shape" in group else None
                neurons = _input_neurons(group, where)
                if neurons is not None and input_shape is None:
                    raise NetFileError(f"{where}: an input layer with a neuron needs a 'shape'")
            else:
                before = partial(_shape_behind, input_shape, nodes)
                nodes.append(_layer_or_hint(group, kind, where, index, before, clamped))
        if input_shape is not None and len(input_shape) == 3 and neurons is None and _starts_dense(nodes):
            nodes.insert(0, Flatten())  # no layer before it, so netx takes the features as they come
            first -= 1
        generator = {} if ours is None else _generator(ours)
        if ours is not None and CIRCUIT in ours:
            circuit, nodes, entering = _circuit(get_group(ours, CIRCUIT, f"{GROUP}/"), nodes)
            if entering is not None:
                input_shape, first = entering, first + len(circuit.synapses)
            generator["prior"] = circuit
        if clamped:
            generator["provenance"] = {**generator.get("provenance", {}), **clamped}
        network = Network(
            input_shape=input_shape or _guess_input_shape(nodes),
            layers=tuple(nodes),
            input_neurons=neurons,
            first_group=first,
            **generator,
        )
        if ours is not None and get_text(ours, "content_hash", GROUP) != network.content_hash():
            raise NetFileError(
                f"{path}: content does not match its hash, so it was altered or damaged; export it again"
            )
        return network


def _circuit(group: h5py.Group, nodes: list[Layer[Neuron]]) -> tuple[CircuitPrior, list[Layer[Neuron]], Shape | None]:
    """The circuit, the layers behind it, and what enters these where the circuit is of the same chain."""
    where = f"{GROUP}/{CIRCUIT}"
    layout = read_layout(group, where)
    own = read_circuit_layers(group, where, lambda at, kind, place: layer_from_file(at, kind, place, lambda: None, {}))
    if own is not None:
        return circuit_from_layers(own, layout, where, beside=True), nodes, None
    circuit = circuit_from_layers(nodes[:2], layout, where, beside=False)
    return circuit, nodes[2:], (circuit.latents.outputs,)


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """Opens an HDF5 file; whatever the HDF5 library makes of damaged content becomes one NetFileError."""
    check_there(path)
    try:
        with damage(f"{path}: corrupt, truncated or not a netx HDF5 file"), h5py.File(path, "r") as file:
            yield file
    except (NetFileError, HardwareRangeError) as error:
        raise error if str(error).startswith(str(path)) else type(error)(f"{path}: {error}") from None


def _shape_behind(input_shape: Shape | None, nodes: list[Layer[Neuron]]) -> Shape | None:
    """What leaves the layers read so far, or None where the file does not say what enters them."""
    shape = input_shape
    for node in nodes:
        shape = None if shape is None else node.output_shape(shape)
    return shape


def _layer_or_hint(
    group: h5py.Group,
    kind: str,
    where: str,
    index: int,
    before: Callable[[], Shape | None],
    clamped: dict[str, str],
) -> Layer[Neuron]:
    try:
        return layer_from_file(group, kind, where, before, clamped)
    except UnsupportedLayerError as error:
        hint = f"; --layers {index} runs what comes before it" if index > 1 else ""
        raise UnsupportedLayerError(f"{error}{hint}") from None


def _input_neurons(group: h5py.Group, where: str) -> InputNeurons | None:
    if "neuron" not in group:
        return None
    transform = {key: number(group, key, where) for key in ("weight", "bias") if key in group}
    return InputNeurons(input_neuron_from_file(group, where), **transform)


def _starts_dense(nodes: list[Layer[Neuron]]) -> bool:
    return bool(nodes) and isinstance(nodes[0], Dense | RecurrentDense)


def _guess_input_shape(nodes: list[Layer[Neuron]]) -> Shape:
    first = next((node for node in nodes if not isinstance(node, Flatten)), None)
    if isinstance(first, Dense | RecurrentDense):
        return (first.inputs,)
    raise NetFileError(f"{label(0)}: the input shape is not in the file; put an 'input' layer with a 'shape' first")


def _generator(group: h5py.Group) -> dict[str, Any]:
    version = number(group, "format_version", GROUP)
    if version > FORMAT_VERSION:
        raise NetFileError(
            f"{GROUP}: written in format {version}, this version reads up to {FORMAT_VERSION}; update it"
        )
    try:
        provenance = parse_json(get_text(group, "provenance", GROUP))
    except ValueError:
        raise NetFileError(f"{GROUP}/provenance: not valid JSON") from None
    if not isinstance(provenance, dict) or not all(isinstance(value, str) for value in provenance.values()):
        raise NetFileError(f"{GROUP}/provenance: expected texts by name")
    found: dict[str, Any] = {"provenance": provenance}
    if "time_steps" in group:
        found["time_steps"] = number(group, "time_steps", GROUP)
    if "prior" in group:
        prior = get_group(group, "prior", f"{GROUP}/")
        where = f"{GROUP}/prior"
        weight, bias, share = (real(prior, key, where, PRIOR_ELEMENTS) for key in ("weight", "bias", "share"))
        found["prior"] = Prior(
            weight,
            bias,
            share,
            number(prior, "rate_bits", where),
            get_text(prior, "sampler", where) if "sampler" in prior else "poisson",  # type: ignore[arg-type]
            number(prior, "levels", where) if "levels" in prior else None,
        )
    if "readout" in group:
        readout = get_group(group, "readout", f"{GROUP}/")
        where = f"{GROUP}/readout"
        shape = shape_of(readout, "image_shape", where)
        unit = real(readout, "unit", where, 1)
        if len(shape) != 3 or unit.size != 1:
            raise NetFileError(f"{where}: expected a (C, H, W) image_shape and one unit")
        found["readout"] = ImageReadout(float(unit.reshape(-1)[0]), shape, number(readout, "upscale", where))
    if "spike_readout" in group:
        spikes, where = get_group(group, "spike_readout", f"{GROUP}/"), f"{GROUP}/spike_readout"
        levels = whole_numbers(spikes, "levels", where).astype(np.int32)
        found["spike_readout"] = SpikeReadout(number(spikes, "drives", where), levels)
    return found

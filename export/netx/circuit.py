"""A circuit in a file: among netx's layers where they make one chain, else in our own group, which netx ignores.

In ``esvae/circuit`` lie ``start``, ``seed``, ``feedback``, ``noise`` and ``groups`` (see
:class:`~export.ir.CircuitLayout`). A decoder that netx cannot connect behind a dense layer leaves the circuit's layers
there too, as ``layer/1`` and ``layer/2``, written as netx's are; they are called ``circuit 1`` and ``circuit 2``.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import h5py
import numpy as np

from esvae.errors import NetFileError
from esvae.machine.documents import parse_json
from export.ir import CircuitLayout, CircuitPrior, Dense, Layer, Neuron, RecurrentDense, lif_of
from export.ir.labels import BESIDE, FIRST_GROUP, label, layer_labels
from export.netx.items import get_group, get_text, number, whole_numbers

__all__ = ["CIRCUIT", "circuit_from_layers", "read_circuit_layers", "read_layout", "write_layout"]

#: The group within ours.
CIRCUIT = "circuit"
#: Of 2^64 - 1.
_DIGITS = 20


def write_layout(group: h5py.Group, layout: CircuitLayout) -> None:
    """Writes what the neurons are, and when images begin."""
    group["start"] = np.int64(layout.start)
    group["seed"] = str(layout.seed)  # up to 2^64 - 1
    group["feedback"] = np.array(layout.feedback, np.int64)
    group["noise"] = np.int64(layout.noise)
    group["groups"] = json.dumps(layout.groups)


def read_layout(group: h5py.Group, where: str) -> CircuitLayout:
    """What :func:`write_layout` wrote.

    Raises:
        NetFileError: it is damaged.
    """
    feedback = whole_numbers(group, "feedback", where)
    try:
        groups = parse_json(get_text(group, "groups", where))
        named = tuple((name, count) for name, count in groups)
    except (ValueError, TypeError):
        raise NetFileError(f"{where}/groups: expected pairs of a name and a number, as JSON") from None
    if not all(isinstance(name, str) and type(count) is int and count > 0 for name, count in named):
        raise NetFileError(f"{where}/groups: expected pairs of a name and a number, got {named}")
    if feedback.shape != (2,):
        raise NetFileError(f"{where}/feedback: expected two numbers, got shape {feedback.shape}")
    return CircuitLayout(
        start=number(group, "start", where),
        seed=_seed(group, where),
        feedback=(int(feedback[0]), int(feedback[1])),
        noise=number(group, "noise", where),
        groups=named,
    )


def _seed(group: h5py.Group, where: str) -> int:
    text = get_text(group, "seed", where)
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS and int(text) < 1 << 64):
        raise NetFileError(f"{where}/seed: expected 0 to 2^64 - 1, got {text[:_DIGITS]!r}")
    return int(text)


def read_circuit_layers(
    group: h5py.Group, where: str, read: Callable[[h5py.Group, str, str], Layer[Neuron]]
) -> list[Layer[Neuron]] | None:
    """The circuit's layers, where they lie in our own group; ``read`` takes a group, its type and its place."""
    if "layer" not in group:
        return None
    layers = get_group(group, "layer", where)
    found = []
    for index in (FIRST_GROUP, FIRST_GROUP + 1):
        one = get_group(layers, str(index), where)
        kind = get_text(one, "type", label(index, within=BESIDE))
        found.append(read(one, kind, label(index, kind, within=BESIDE)))
    return found


def circuit_from_layers(
    layers: list[Layer[Neuron]], layout: CircuitLayout, where: str, *, beside: bool
) -> CircuitPrior:
    """A circuit of its two layers, which lie ``beside`` the decoder's in the file, or before them.

    Raises:
        NetFileError: they are others.
    """
    source, latents = layers if len(layers) == 2 else (None, None)
    if not isinstance(source, RecurrentDense) or not isinstance(latents, Dense):
        kinds = ", ".join(layer.kind for layer in layers) or "none"
        raise NetFileError(f"{where}: a circuit is a dense_rec and a dense layer, got {kinds}")
    called = layer_labels((source, latents), beside=2 if beside else 0)
    neurons = zip((source.neuron, latents.neuron), called, strict=True)
    lif = [lif_of(neuron, name, "a circuit") for neuron, name in neurons]
    return CircuitPrior(
        RecurrentDense(source.weight, source.recurrent, source.bias, lif[0]),
        Dense(latents.weight, latents.bias, lif[1], latents.delay),
        layout,
    )

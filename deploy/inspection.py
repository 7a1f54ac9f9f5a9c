"""What a network file holds, in its users' terms: layers, registers, synapses, the generator, where it is from."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esvae.errors import EsvaeError
from export.ir import (
    INPUT_LABEL,
    CircuitPrior,
    Delta,
    Dense,
    InputNeurons,
    Lif,
    Network,
    Neuron,
    Shape,
    Sigma,
    Synapse,
    all_weights,
)
from export.ir.circuit import whole_network
from export.netx import read_netx
from export.netx.rules import present_in
from export.netx.survey import Item, survey
from sim.counts.fan_out import fan_out

__all__ = ["Inspection", "LayerView", "inspect_file"]


@dataclass(frozen=True)
class LayerView:
    """One layer with neurons.

    Attributes:
        layer: its label.
        input_shape, output_shape: ``(C, H, W)`` or ``(features,)``.
        neurons, weights, synapses: how many; weights as stored, synapses those that exist on the chip.
        weight_range: smallest and largest weight, or None of input neurons.
        weight_levels: how many different weights occur.
        zeros: share of stored weights that are zero.
        even: whether all weights are even, as mixed signs are stored on the chip.
        bias_range, delay_range: smallest and largest, or None where there are none.
        neuron: ``lif``, ``sigma-delta``, ``delta`` or ``sigma``.
        current_keep, voltage_keep: shares that survive a step, the largest where neurons differ, or None of neurons
            without.
        threshold: mantissa; the neuron fires above 64 times it, or sends changes from 4096 times it on; None of
            ``sigma``.
    """

    layer: str
    input_shape: Shape
    output_shape: Shape
    neurons: int
    weights: int
    synapses: int
    weight_range: tuple[int, int] | None
    weight_levels: int
    zeros: float
    even: bool
    bias_range: tuple[int, int] | None
    delay_range: tuple[int, int] | None
    neuron: str
    current_keep: float | None
    voltage_keep: float | None
    threshold: int | None


@dataclass(frozen=True)
class Inspection:
    """A file.

    Attributes:
        file, bytes: which, and its size.
        refused: why it is not read as a network, or None; then only ``items`` says what is in it.
        layers: those with neurons, in file order.
        input_shape, time_steps, content_hash: of the network.
        prior, readout: what makes a generator of it, by name, or None.
        provenance: texts by name.
        items: every array and text of the file.
    """

    file: str
    bytes: int
    refused: str | None
    layers: list[LayerView]
    input_shape: Shape | None
    time_steps: int | None
    content_hash: str | None
    prior: dict[str, Any] | None
    readout: dict[str, Any] | None
    provenance: dict[str, str]
    items: list[Item]

    def __repr__(self) -> str:
        held = self.refused or f"{len(self.layers)} layers with neurons"
        return f"Inspection({self.file!r}: {self.bytes:,} bytes, {held})"


def inspect_file(path: str | os.PathLike[str]) -> Inspection:
    """Looks at a file of any origin.

    Raises:
        NetFileError: it is missing, is not HDF5, or the HDF5 library fails on it.
    """
    items = survey(path)
    size = Path(path).stat().st_size
    try:
        network = read_netx(path)
    except EsvaeError as error:
        return Inspection(str(path), size, str(error), [], None, None, None, None, None, {}, items)
    return Inspection(
        file=str(path),
        bytes=size,
        refused=None,
        layers=_views(whole_network(network)),
        input_shape=network.input_shape,
        time_steps=network.time_steps,
        content_hash=network.content_hash(),
        prior=_prior(network),
        readout=_readout(network),
        provenance=dict(network.provenance),
        items=items,
    )


def _readout(network: Network) -> dict[str, Any] | None:
    if network.readout is None:
        return None
    told = network.spike_readout
    spikes = {} if told is None else {"read_steps": told.steps, "drives": told.drives}
    return {**vars(network.readout), **spikes}


def _prior(network: Network) -> dict[str, Any] | None:
    prior = network.prior
    if prior is None:
        return None
    if isinstance(prior, CircuitPrior):
        layout = prior.layout
        neurons = dict(layout.groups)
        return {"neurons": neurons, "latents": prior.latents.outputs, "start": layout.start, "seed": layout.seed}
    components, latents, noise = prior.weight.shape
    sizes = {"components": components, "latents": latents, "noise": noise}
    return {**sizes, "rate_bits": prior.rate_bits, "sampler": prior.sampler, "levels": prior.levels}


def _views(network: Network) -> list[LayerView]:
    views = []
    if network.input_neurons is not None:
        views.append(_input_view(network.input_neurons, network.input_shape))
    for label, (layer, before, after) in zip(network.labels, network.synapses(), strict=True):
        views.append(_view(layer, before, after, label))
    return views


def _input_view(neurons: InputNeurons, shape: Shape) -> LayerView:
    return LayerView(
        INPUT_LABEL,
        shape,
        shape,
        math.prod(shape),
        0,
        0,
        None,
        0,
        0.0,
        True,
        None,
        None,
        *_neuron(neurons.neuron),
    )


def _view(layer: Synapse[Neuron], before: Shape, after: Shape, label: str) -> LayerView:
    weight = all_weights(layer)
    present, counts = present_in(weight)
    delay = layer.delay if isinstance(layer, Dense) else None
    return LayerView(
        label,
        before,
        after,
        math.prod(after),
        weight.size,
        int(fan_out(layer, before).sum()),
        (int(present[0]), int(present[-1])),
        len(present),
        float(counts[present == 0].sum() / weight.size),
        bool((present % 2 == 0).all()),
        None if layer.bias is None else (int(layer.bias.min()), int(layer.bias.max())),
        None if delay is None else (int(delay.min()), int(delay.max())),
        *_neuron(layer.neuron),
    )


def _neuron(neuron: Neuron | Delta) -> tuple[str, float | None, float | None, int | None]:
    if isinstance(neuron, Lif):
        return "lif", neuron.current_keep, neuron.keep, neuron.threshold
    if isinstance(neuron, Sigma):
        return "sigma", None, None, None
    return "delta" if isinstance(neuron, Delta) else "sigma-delta", None, None, neuron.threshold

"""From the chain of a NIR graph to layers: each run of nodes up to the next neurons is one.

1. Synapses and what is folded into them (:mod:`~export.frontends.nir.sums`), times the neurons' gains.
2. A bias into a current that lasts, and into one that stands for the potential, comes from a neuron that always fires
   (:mod:`export.frontends.always_firing`).
3. Recurrent synapses make a layer ``dense_rec``. So does a reset that subtracts: the current takes the potential's
   place, as no spike resets it, and each neuron's spike takes the threshold from it by a synapse onto itself, one step
   later, as the potential would have lost it. Convolutions from the first such layer on are unrolled.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from esvae.errors import NetFileError, UnsupportedLayerError
from export.frontends.always_firing import Drawn, with_firing
from export.frontends.nir.chain import NEURONS_OF_NIR, ChainNode
from export.frontends.nir.convention import Reset, TimeStep
from export.frontends.nir.neurons import NirNeurons, membrane
from export.frontends.nir.sums import Sums, array_fitting
from export.ir import Conv, Dense, Flatten, FloatLif, Shape
from export.ir.floats import FloatLayer
from export.ir.limits import POINT_ELEMENTS
from export.nir.read import NirNode
from export.passes.lower_dense import unrolled_layer

__all__ = ["NirLayers", "built"]

_STATELESS = ("Linear", "Affine", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d", "Scale", "Delay", "Flatten")
_SUPPORTED = f"Input, Output, {', '.join(_STATELESS)}, {', '.join(NEURONS_OF_NIR)}"


@dataclass(frozen=True, eq=False)
class NirLayers:
    """Layers of a float network, and what there is to say of them.

    Attributes:
        layers: in order, flatten layers included.
        input_shape: of what enters them.
        notes: what was assumed, and what was added to the network.
    """

    layers: tuple[FloatLayer | Flatten, ...]
    input_shape: Shape
    notes: tuple[str, ...]


def built(stages: list[ChainNode], input_shape: Shape, step: TimeStep, reset: Reset) -> NirLayers:
    """The layers of a chain.

    Args:
        stages: from input to output.
        input_shape: of the spikes at one step, ``(features,)`` or ``(C, H, W)``.
        step: time step and convention.
        reset: what a spike does to the potential.

    Raises:
        UnsupportedLayerError: a node that has no counterpart; says which and why.
        NetFileError: shapes that do not fit together.
    """
    notes: list[str] = []
    layers = list(_layers(stages, input_shape, step, reset, notes))
    if not layers:
        raise UnsupportedLayerError(f"graph: no neurons and no synapses; supported are {_SUPPORTED}")
    layers = with_firing(layers, notes)
    layers = _unrolled(layers)
    found: list[FloatLayer | Flatten] = []
    shape = layers[0].before
    for layer in layers:
        if len(shape) == 3 and isinstance(layer.synapse, Dense):
            found.append(Flatten())
        found.append(FloatLayer(layer.connected()))
        shape = layer.after
    return NirLayers(tuple(found), layers[0].before, tuple(notes))


def _layers(stages: list[ChainNode], shape: Shape, step: TimeStep, reset: Reset, notes: list[str]) -> Iterator[Drawn]:
    sums, silent, late = Sums(shape, step.dt), "", 0
    for stage in stages:
        node, where = stage.node, f"node '{stage.node.name}' ({stage.node.kind})"
        if silent and node.kind != "Flatten":
            raise UnsupportedLayerError(f"{where}: follows {silent}, whose potentials are no spikes; it ends a network")
        if node.kind in _STATELESS:
            sums.take(node)
            continue
        if node.kind not in NEURONS_OF_NIR:
            raise UnsupportedLayerError(f"{where}: not supported; supported are {_SUPPORTED}")
        neuron = membrane(node, step, reset)
        notes.extend(neuron.notes)
        layer, late = _layer(sums, neuron, node, stage.recurrent, notes)
        silent = "" if neuron.fires else where
        yield layer
        sums = Sums(layer.after, step.dt, late)
    if not sums.idle:
        where = sums.places[-1]
        notes.append(f"{where}: no neurons behind it; its sums are the potentials of a last layer that never fires")
        never = NirNeurons(FloatLif(0.0, math.inf), np.ones(1), np.zeros(1))
        yield _layer(sums, never, NirNode("output", "Output", {}), None, notes)[0]


def _layer(
    sums: Sums, neuron: NirNeurons, node: NirNode, recurrent: NirNode | None, notes: list[str]
) -> tuple[Drawn, int]:
    """A layer, and by how many steps it fires before the graph's own."""
    where = f"node '{node.name}' ({node.kind})"
    synapse, flat = sums.layer()
    after = (math.prod(sums.shape),) if isinstance(synapse, Dense) else sums.shape
    entering = synapse.output_shape((math.prod(sums.before),) if flat else sums.before)
    if entering != after:
        raise NetFileError(f"{where}: its synapses give {entering}, expected {after}")
    gain, bias = (
        _by_neuron(values, after, where, name) for values, name in ((neuron.gain, "r"), (neuron.bias, "v_leak"))
    )
    rows = gain if isinstance(synapse, Dense) else _by_output(gain, where)
    weight = synapse.weight * rows.reshape(-1, *(1,) * (synapse.weight.ndim - 1))
    own = np.zeros(len(rows)) if synapse.bias is None else synapse.bias * rows
    back, own = _recurrent(recurrent, after, own, gain, where)
    lif, current_bias = neuron.lif, None
    if neuron.subtracted is not None:
        lif = FloatLif(0.0, lif.threshold, lif.keep)
        if math.prod(after) ** 2 > POINT_ELEMENTS:
            raise UnsupportedLayerError(
                f"{where}: a reset that subtracts needs a matrix of its {math.prod(after):,} neurons onto themselves, "
                "which is too large; train with reset to zero, or with smaller maps"
            )
        taken = -neuron.subtracted * np.eye(math.prod(after))
        back = taken if back is None else back + taken
        own, bias = own + _by_output(bias, where), np.zeros_like(bias)
    total = bias if isinstance(synapse, Dense) or bias.any() else np.zeros(len(rows))
    if lif.current_keep and own.any():
        current_bias = own
    else:
        total = total + own.reshape(-1, *(1,) * (total.ndim - 1))
    if total.ndim == 3 and (total == total[:, :1, :1]).all():
        total = total[:, 0, 0]
    synapse = replace(synapse, weight=weight, bias=total if total.any() else None, neuron=lif)
    late = 0
    if isinstance(synapse, Conv) or back is not None:
        late = _early(sums, where, biased=bool(total.any()) or current_bias is not None, notes=notes)
        synapse = replace(synapse, delay=None) if isinstance(synapse, Dense) else synapse
    return Drawn(synapse, sums.before, after, where, current_bias, back), late


def _early(sums: Sums, where: str, *, biased: bool, notes: list[str]) -> int:
    """Steps by which a layer whose synapses hold none fires before the graph's, for the next layer to make up for.

    Without a bias the two are the same but for time: until the first spike arrives, nothing happens.
    """
    late = sums.late(where)
    if late and biased:
        raise UnsupportedLayerError(
            f"{where}: delays of {late} beside a bias, at a convolution or a recurrent layer, whose synapses hold "
            "none; give them to a dense layer, or leave out the bias"
        )
    if late:
        notes.append(
            f"{where}: fires {late} steps earlier than in the graph, as its synapses hold no delays; the next dense "
            "layer makes up for them"
        )
    return late


def _by_neuron(values: np.ndarray | np.float64, shape: Shape, where: str, name: str) -> np.ndarray:
    """One number for each neuron, of one number or of an array with as many."""
    if values.size == 1:
        return np.full(shape, values.item())
    if values.size == math.prod(shape):
        return values.reshape(shape)
    if len(shape) == 3 and values.size == shape[0]:
        return np.broadcast_to(values.reshape(-1, 1, 1), shape)
    raise NetFileError(f"{where}: {name} and thresholds have shape {values.shape}, expected {shape}")


def _by_output(values: np.ndarray, where: str) -> np.ndarray:
    """One number for each output, whose neurons share them."""
    if values.ndim == 1:
        return values
    if (values != values[:, :1, :1]).any():
        raise UnsupportedLayerError(
            f"{where}: its neurons' gains or thresholds differ within a channel, by a factor of "
            f"{values.max() / max(values.min(), 1e-300):g}; a kernel is shared by its pixels"
        )
    return values[:, 0, 0]


def _recurrent(
    node: NirNode | None, shape: Shape, own: np.ndarray, gain: np.ndarray, where: str
) -> tuple[np.ndarray | None, np.ndarray]:
    """Synapses of neurons onto each other, times their gain; and the bias, with theirs."""
    if node is None:
        return None, own
    count = math.prod(shape)
    place = f"node '{node.name}' ({node.kind})"
    if node.kind in ("Linear", "Affine"):
        weight = node.array("weight")
        if weight.shape != (count, count):
            raise NetFileError(
                f"{place}: weight has shape {weight.shape}, expected {(count, count)}, as {where} has neurons"
            )
        bias = array_fitting(node, "bias", (count,), place)
    else:
        scale = node.array("scale") if node.kind == "Scale" else np.ones(1)
        weight, bias = np.diag(_by_neuron(scale, shape, place, "scale").reshape(-1)), None
    if bias is not None and bias.any():
        if len(own) != count:
            raise UnsupportedLayerError(f"{place}: a bias for each pixel of a convolution; use a Linear")
        own = own + bias * gain.reshape(-1)
    return weight * gain.reshape(-1, 1), own


def _unrolled(layers: list[Drawn]) -> list[Drawn]:
    """Dense from the first layer on that is connected onto itself, if there is one."""
    first = next((index for index, layer in enumerate(layers) if layer.recurrent is not None), len(layers))
    found: list[Drawn] = []
    for index, layer in enumerate(layers):
        synapse, before, after = layer.synapse, layer.before, layer.after
        if index > first:
            before = (math.prod(before),)
        if index >= first and isinstance(synapse, Conv):
            synapse = unrolled_layer(synapse, layer.before, after, layer.where)
        after = (math.prod(after),) if index >= first else after
        found.append(replace(layer, synapse=synapse, before=before, after=after))
    return found

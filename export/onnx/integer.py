"""Writes an integer network as an ONNX graph of integer operators that yields the twin's integers exactly.

Layer by layer, as the twin works: one ``ConvInteger`` or ``MatMulInteger`` sums the weights for all steps at once
(time is folded into the batch), then one ``Scan`` runs that layer's neurons over the steps. The graph's size does not
depend on the number of steps, and products have the whole batch; unrolled, the file would hold the neurons' operators
once a step, and one Scan over the whole network would split every product into its steps.

Exactness, operator by operator:

- Weights are 9 bit, kernels of ONNX Runtime 8 bit, uint8 with a zero point. A layer whose weights span at most 256
  numbers, zero included, is one kernel; an even one is one kernel of halves; any other is
  ``w = 2 * (w >> 1) + (w & 1)``, two kernels. Spikes are 0 or 1, so a pair of products stays below
  2^9 and no 16 bit accumulator saturates.
- A :class:`~export.ir.Network` bounds the sums of its weights below 2^23, so the 24 bit accumulator does not wrap;
  where that cannot be proved, wrapping is in the graph.
- Where the weights prove that the current stays below 2^23, neurons are 32 bit numbers; elsewhere they are 64 bit ones,
  brought back by ``Mod`` as the registers wrap.
- ``sign(x) * (|x| * keep >> 12)`` is ``Sign``, ``Abs``, ``Mul`` and ``BitShift`` (of unsigned numbers); the powers of
  two in ``keep`` shorten the shift, so that most products fit 32 bit. Left shifts of signed numbers are products
  with 64.

- Messages of sigma-delta neurons: :mod:`export.onnx.messages`.

Only the picture is float: ``tanh`` in float64 of the exact potential.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from esvae.chip.formats import (
    ACCUMULATOR_BITS,
    DECAY_UNITY,
    REGISTER_BITS,
    SIGMA_EXP,
    STATE_LIMIT,
    STATE_SHIFT,
)
from esvae.errors import NetFileError
from esvae.machine.arguments import path_argument
from export.ir import (
    INPUT_LABEL,
    Conv,
    ConvTranspose,
    Delta,
    Dense,
    Flatten,
    GradedNeuron,
    Lif,
    Network,
    RecurrentDense,
    Shape,
    Synapse,
    lif_of,
)
from export.ir.bounds import largest_current, largest_sum
from export.ir.geometry import is_point, matrix
from export.ir.labels import array_name
from export.ir.phases import phases
from export.onnx.first_spikes import potentials_told
from export.onnx.graph import OnnxGraph, image_from, metadata, save_model
from export.onnx.lif import lif_operators
from export.onnx.messages import check_delays, message_bytes, send, state_names, sum_bits
from export.onnx.sums import byte_kernels, delayed, interleaved, sliced, wrapped

__all__ = ["integer_model", "write_onnx"]

_ABOUT = (
    "An integer spiking network: the sums, currents, potentials and spikes that the chip's neurons have, in integers. "
    "Input: spikes (0 or 1), or the pixels of input neurons. Outputs: the last layer's membrane potentials after the "
    "last step; the image that they stand for, where the network draws one; with traces, u, v and s of every layer "
    "and step."
)
_OF_MESSAGES = " Of sigma-delta neurons u is sigma, v the activation, s the message; frames enter delta encoders."

_ONE = 1 << STATE_SHIFT


@dataclass(frozen=True)
class _Sum:
    """A part of the sums: int32 value, and by what it counts."""

    value: str
    factor: int


def write_onnx(
    network: Network, target: str | os.PathLike[str], *, steps: int | None = None, traces: bool = False
) -> Path:
    """Writes :func:`integer_model` to ``target``, whole or not at all; the same network gives the same bytes.

    Raises:
        ConfigError: a target that is no name of a file, or ``onnx`` is not installed.
        NetFileError: the network has no window and ``steps`` says none, or its weights do not fit one file.
        UnsupportedLayerError: sums of messages that no operator gives (see :func:`export.onnx.messages.check_delays`).
        EsvaeError: the file cannot be written.
    """
    path = path_argument(target, "target", "a name that ends in .onnx")
    return save_model(integer_model(network, steps=steps, traces=traces), path)


def integer_model(network: Network, *, steps: int | None = None, traces: bool = False) -> Any:
    """The integer twin of ``network`` as an ``onnx.ModelProto`` that ONNX's checker has passed.

    Inputs: ``spikes``, uint8 0 or 1 ``(images, steps, *input shape)``; of a network with input neurons ``pixels``
    instead, int32 ``(images, *input shape)``, their biases at every step; of one with delta encoders ``frames``, int32
    ``(images, steps, *input shape)``. ``images`` is any number.

    Outputs: ``potentials``, int32 ``(images, *last layer's shape)``; ``image``, float32 ``(images, C, H, W)`` in
    [-1, 1], where the network has a readout; with traces, of ``layer 3 (conv)`` ``layer3.u``, ``layer3.v`` (int32) and
    ``layer3.s`` (uint8; messages int32), each ``(images, steps, *layer shape)``.

    Args:
        network: any that this project models.
        steps: length of the run; by default the network's window.
        traces: also give the states of every layer after every step.

    Raises:
        ConfigError, NetFileError, UnsupportedLayerError: as :func:`write_onnx`.
    """
    length = steps or network.time_steps
    if length is None:
        raise NetFileError("this network has no window; say how many steps its ONNX graph is to run")
    writer = _Writer(network, length, traces)
    return writer.graph.model(
        "integer_twin",
        _ABOUT + (_OF_MESSAGES if network.sends_messages else ""),
        metadata("integer twin", network.content_hash(), length, network.provenance)
        | {"spikes": "0 or 1, uint8; aligned by sample, each image from rest"},
    )


class _Writer:
    """Adds a network to a graph, layer by layer; ``raster`` values are uint8 ``(steps, images, *shape)``."""

    def __init__(self, network: Network, steps: int, traces: bool) -> None:
        self.graph, self.steps, self.traces = OnnxGraph(), steps, traces
        self.network, self.names = network, iter(network.array_names)
        graph, ends = self.graph, network.depth == 1
        shape = network.input_shape
        if network.frame_encoder is not None:
            graph.scope = "input"
            graph.input("frames", np.int32, ("images", steps, *shape))
            self.images = graph.op("Shape", "frames", start=0, end=1)
            raster = graph.op("Transpose", "frames", perm=[1, 0, *range(2, 2 + len(shape))])
            raster, v_end = self._messages([], raster, network.frame_encoder, shape, ends)
        elif network.input_neurons is not None:
            graph.scope = "input"
            graph.input("pixels", np.int32, ("images", *shape))
            self.images = graph.op("Shape", "pixels", start=0, end=1)
            neuron = lif_of(network.input_neurons.neuron, INPUT_LABEL, "an image")
            nothing = [_Sum(self._zeros((steps,), np.int32, shape), 1)]
            bias = graph.op("Mul", "pixels", graph.constant(_ONE, np.int32))
            raster, v_end = self._neurons(nothing, bias, neuron, 0, shape, ends)
        else:
            graph.input("spikes", np.uint8, ("images", steps, *shape))
            self.images = graph.op("Shape", "spikes", start=0, end=1)
            raster = graph.op("Transpose", "spikes", perm=[1, 0, *range(2, 2 + len(shape))])
        graded = iter(network.graded)
        for where, layer, after in zip(network.all_labels, network.layers, network.shapes, strict=True):
            graph.scope = array_name(where)
            if isinstance(layer, Flatten):
                raster = graph.reshape(raster, (steps, -1, *after))
            else:
                behind = next(graded)
                if behind:
                    check_delays(layer, where)
                made = self._weighed if behind else self._sums
                sums, ends = made(layer, raster, shape, after), where == network.labels[-1]
                if isinstance(layer.neuron, Lif):
                    level = None if layer.bias is None else self._bias(layer.bias, after)
                    reach = 1 << (REGISTER_BITS - 1) if behind else largest_sum(layer)
                    back = layer.recurrent if isinstance(layer, RecurrentDense) else None
                    raster, v_end = self._neurons(sums, level, layer.neuron, reach, after, ends, back)
                else:
                    level = None if layer.bias is None else self._bias(layer.bias, after, SIGMA_EXP)
                    raster, v_end = self._messages(sums, level, layer.neuron, after, ends)
            shape = after
        graph.scope = "readout"
        graph.op("Identity", v_end, name="potentials")
        graph.output("potentials", np.int32, ("images", *shape))
        if network.readout is not None:
            known, told = v_end, network.spike_readout
            if told is not None and steps == network.time_steps:
                known = potentials_told(graph, raster, told, steps, shape)
            exact = graph.op("Div", graph.cast(known, np.float64), graph.constant(network.readout.unit, np.float64))
            pixels = graph.cast(graph.op("Tanh", exact), np.float32)
            image_from(graph, pixels, network.readout, "image")
            graph.output("image", np.float32, ("images", *network.readout.image_shape))

    def _sums(self, layer: Synapse, raster: str, before: Shape, after: Shape) -> list[_Sum]:
        """Sums of the weights of inputs that spiked: parts int32 ``(steps, images, *after)``."""
        graph = self.graph
        if isinstance(layer, Dense):
            found = self._products(*delayed(graph, raster, layer))
        elif isinstance(layer, RecurrentDense):
            found = self._products(raster, layer.weight.T)
        elif is_point(before):
            found = self._products(raster, matrix(layer, before).T)
        else:
            rows = graph.reshape(raster, (-1, *before))
            found = self._convolved(layer, rows, before, after)
        shaped = [_Sum(graph.reshape(part.value, (self.steps, -1, *after)), part.factor) for part in found]
        if largest_sum(layer) < STATE_LIMIT or isinstance(layer, Dense | RecurrentDense):
            return shaped
        half = graph.constant(1 << (ACCUMULATOR_BITS - 1), np.int64)  # beyond what a Network holds
        total = _total(graph, shaped, 1, np.int64)
        turned = graph.op("Mod", graph.op("Add", total, half), graph.constant(1 << ACCUMULATOR_BITS, np.int64))
        return [_Sum(graph.cast(graph.op("Sub", turned, half), np.int32), 1)]

    def _weighed(self, layer: Synapse, raster: str, before: Shape, after: Shape) -> list[_Sum]:
        """Sums of products of weights and messages, wrapped: one int32 value ``(steps, images, *after)``."""
        graph, bits, parts = self.graph, sum_bits(layer), []
        for value, factor in message_bytes(graph, raster, bits):
            parts += [_Sum(part.value, part.factor * factor) for part in self._sums(layer, value, before, after)]
        return [_Sum(graph.cast(wrapped(graph, _total(graph, parts, 1, np.int64), bits), np.int32), 1)]

    def _products(self, raster: str, weight: np.ndarray) -> list[_Sum]:
        rows = self.graph.reshape(raster, (-1, len(weight)))
        return [self._product("MatMulInteger", rows, *part) for part in byte_kernels(weight)]

    def _convolved(self, layer: Conv | ConvTranspose, rows: str, before: Shape, after: Shape) -> list[_Sum]:
        if isinstance(layer, Conv):
            options: dict[str, Any] = {
                "strides": layer.stride,
                "dilations": layer.dilation,
                "pads": (*layer.padding, *layer.padding),
                "group": layer.groups,
            }
            return [self._product("ConvInteger", rows, *part, **options) for part in byte_kernels(layer.weight)]
        coarse = phases(layer, before, after)
        if coarse.crop != ((0, before[1]), (0, before[2])):
            rows = sliced(self.graph, rows, coarse.crop, axes=(2, 3))
        found = []
        for part in byte_kernels(coarse.weight):
            made = self._product("ConvInteger", rows, *part, pads=coarse.pads, group=layer.groups)
            found.append(_Sum(interleaved(self.graph, made.value, layer, coarse.grid, after), made.factor))
        return found

    def _product(
        self,
        kind: str,
        rows: str,
        weight: np.ndarray,
        zero: int,
        factor: int,
        *,
        graph: OnnxGraph | None = None,
        **options: Any,
    ) -> _Sum:
        graph = graph or self.graph
        kernel, zeros = graph.constant(weight, np.uint8), graph.constant(0, np.uint8)
        if "dilations" not in options and kind == "ConvInteger":
            options["dilations"] = options["strides"] = (1, 1)
        if kind == "ConvInteger":
            options["kernel_shape"] = weight.shape[2:]
        return _Sum(graph.op(kind, rows, kernel, zeros, graph.constant(zero, np.uint8), **options), factor)

    def _bias(self, bias: np.ndarray, after: Shape, shift: int = STATE_SHIFT) -> str:
        shape = bias.shape if bias.shape == after else (-1, *[1] * (len(after) - 1))
        kind = np.int32 if shift == STATE_SHIFT else np.int64
        return self.graph.constant(bias.reshape(shape).astype(np.int64) << shift, kind)

    def _neurons(
        self,
        sums: list[_Sum],
        bias: str | None,
        neuron: Lif,
        reach: int,
        shape: Shape,
        last: bool,
        recurrent: np.ndarray | None = None,
    ) -> tuple[str, str]:
        """The neurons over all steps: their raster and the potential after the last step.

        With ``recurrent`` weights, ``(to, from)``, the Scan also carries what fired, and takes one more product a step.
        """
        graph, body = self.graph, self.graph.body()
        each: tuple[int | str, ...] = ("images", *shape)
        wide = largest_current(reach << STATE_SHIFT, neuron, self.steps) >= STATE_LIMIT
        kind = np.dtype(np.int64 if wide else np.int32)
        remembers = bool((neuron.decays[0] != DECAY_UNITY).any())
        # A Scan's states come before what it scans, and what is read out is the last of them.
        fired = "" if recurrent is None else body.input(body.fresh("fired"), np.uint8, each)
        u_before = body.input(body.fresh("u_before"), kind, each) if remembers else ""
        v_before = body.input(body.fresh("v_before"), np.int32, each)
        entering = [_Sum(body.input(body.fresh("sum"), np.int32, each), part.factor) for part in sums]

        if recurrent is not None:
            entering += [self._product("MatMulInteger", fired, *part, graph=body) for part in byte_kernels(recurrent.T)]
        if bias is not None and wide:
            bias = graph.cast(bias, kind)
        total = _total(body, entering, _ONE, kind)
        u, v, fires = lif_operators(body, total, u_before, v_before, bias, neuron, shape, kind)
        states: list[str] = []
        started: list[str] = []
        if recurrent is not None:
            states.append(body.output(body.cast(fires, np.uint8), np.uint8, each))
            started.append(self._zeros((), np.uint8, shape))
        if remembers:
            states.append(body.output(body.op("Identity", u), kind, each))
            started.append(self._zeros((), kind, shape))
        states.append(body.output(v, np.int32, each))
        started.append(self._zeros((), np.int32, shape))
        entered = [part.value for part in sums]
        return self._scanned(body, states, started, entered, (u, v, fires), np.uint8, shape, last)

    def _messages(
        self, sums: list[_Sum], level: str | None, neuron: GradedNeuron, shape: Shape, last: bool
    ) -> tuple[str, str]:
        """Sigma-delta neurons over all steps: their raster, and the activation after the last step.

        Args:
            sums: parts, int32; none of delta encoders.
            level: bias ``<< 12``, int64; of delta encoders the frames, int32, by step.
            neuron: which.
            shape: of the layer.
            last: whether nothing follows.
        """
        body = self.graph.body()
        each: tuple[int | str, ...] = ("images", *shape)
        before = {name: body.input(body.fresh(name), np.int64, each) for name in state_names(neuron)}
        entering = [_Sum(body.input(body.fresh("sum"), np.int32, each), part.factor) for part in sums]
        scanned_in = [part.value for part in sums]
        if isinstance(neuron, Delta) and level is not None:
            frame = body.cast(body.input(body.fresh("frame"), np.int32, each), np.int64)
            scanned_in, level = [level], body.op("Mul", frame, body.constant(1 << SIGMA_EXP, np.int64))
        total = _total(body, entering, 1, np.int64) if entering else None
        after, message = send(body, neuron, before, total, level)
        states = [body.output(body.op("Identity", after[name]), np.int64, each) for name in state_names(neuron)]
        started = [self._zeros((), np.int64, shape) for _ in states]
        v = after[state_names(neuron)[-1]]
        u = after["sigma"] if sums else body.op("Mul", v, body.constant(0, np.int64))
        traced = (u, body.cast(v, np.int32), message)
        raster, end = self._scanned(body, states, started, scanned_in, traced, np.int32, shape, last)
        return raster, self.graph.cast(end, np.int32)

    def _scanned(
        self,
        body: OnnxGraph,
        states: list[str],
        started: list[str],
        entered: list[str],
        traced: tuple[str, str, str],
        sent_as: Any,
        shape: Shape,
        last: bool,
    ) -> tuple[str, str]:
        """Closes the body and runs it over the steps: what is sent, and the last of the states after the last step."""
        graph, layer = self.graph, next(self.names)
        each: tuple[int | str, ...] = ("images", *shape)
        kinds = (np.int32, np.int32, sent_as)
        wanted = "uvs" if self.traces else "" if last and self.network.spike_readout is None else "s"
        scanned = [
            body.output(body.op("Identity", value) if name == "v" else body.cast(value, kind), kind, each)
            for name, value, kind in zip("uvs", traced, kinds, strict=True)
            if name in wanted
        ]
        outputs = [graph.fresh("end") for _ in states] + [graph.fresh("raster") for _ in scanned]
        graph.ops(
            "Scan",
            [*started, *entered],
            outputs,
            body=body.proto(f"{layer}.neurons"),
            num_scan_inputs=len(entered),
        )
        ends, rasters = outputs[: len(states)], outputs[len(states) :]
        if self.traces:
            perm = [1, 0, *range(2, 2 + len(shape))]
            for name, raster, kind in zip("uvs", rasters, kinds, strict=True):
                graph.op("Transpose", raster, name=f"{layer}.{name}", perm=perm)
                graph.output(f"{layer}.{name}", kind, ("images", self.steps, *shape))
        return (rasters[-1] if rasters else ""), ends[-1]

    def _zeros(self, before: Shape, kind: Any, shape: Shape) -> str:
        """Zeros ``(*before, images, *shape)``."""
        graph = self.graph
        ends = [graph.constant(before, np.int64)] if before else []
        size = graph.op("Concat", *ends, self.images, graph.constant(shape, np.int64), axis=0)
        return graph.zeros(size, kind)


def _total(graph: OnnxGraph, parts: Sequence[_Sum], factor: int, kind: Any) -> str:
    """The sums times ``factor``, in the given type."""
    total = ""
    for part in parts:
        value = part.value if kind == np.int32 else graph.cast(part.value, kind)
        if part.factor * factor != 1:
            value = graph.op("Mul", value, graph.constant(part.factor * factor, kind))
        total = graph.op("Add", total, value) if total else value
    return total

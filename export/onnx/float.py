"""Writes a float network as an ONNX graph of float32 operators over its window, the counterpart of the integer twin.

Built as :mod:`export.onnx.integer` is: one ``Conv``, ``ConvTranspose`` or ``MatMul`` a layer for all steps at once,
then one ``Scan`` over that layer's neurons, ``i <- current_keep * i + x; v <- keep * v + i + bias; s = v > threshold;
v = 0 where s``. Sums are taken in ONNX Runtime's order, so a potential within rounding of the threshold may fire here
and not in torch; the integer twin has no such choice.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from esvae.errors import NetFileError
from esvae.machine.arguments import path_argument
from export.ir import Conv, ConvTranspose, Dense, Flatten, FloatLif, RecurrentDense, Shape, Synapse
from export.ir.floats import FloatNetwork
from export.ir.geometry import is_point, matrix
from export.ir.labels import array_name, layer_labels
from export.onnx.graph import OnnxGraph, image_from, metadata, save_model
from export.onnx.sums import delayed

__all__ = ["float_model", "write_float_onnx"]

_ABOUT = (
    "A float spiking network over its window. Input: spikes (0 or 1). Outputs: the last layer's membrane potentials "
    "after the last step; the image that they stand for, where the network draws one; with hidden, the spikes of "
    "every layer."
)


def write_float_onnx(
    network: FloatNetwork, target: str | os.PathLike[str], *, steps: int | None = None, hidden: bool = False
) -> Path:
    """Writes :func:`float_model` to ``target``, whole or not at all; the same network gives the same bytes.

    Raises:
        ConfigError: a target that is no name of a file, or ``onnx`` is not installed.
        NetFileError: the network has no window and ``steps`` says none.
        EsvaeError: the file cannot be written.
    """
    path = path_argument(target, "target", "a name that ends in .onnx")
    return save_model(float_model(network, steps=steps, hidden=hidden), path)


def float_model(network: FloatNetwork, *, steps: int | None = None, hidden: bool = False) -> Any:
    """A folded float network as an ``onnx.ModelProto`` that ONNX's checker has passed.

    Input: ``spikes``, uint8 0 or 1 ``(images, steps, *input shape)``, as the integer twin takes them; ``images`` is any
    number. Outputs: ``potentials``, float32 ``(images, *last layer's shape)``; ``image``, float32 ``(images, C, H, W)``
    in [-1, 1], where the network has a readout; with ``hidden`` also ``layer3.s`` of ``layer 3 (conv)``, uint8
    ``(images, steps, *layer shape)``, and so of every layer.

    Args:
        network: without norms (see :func:`~export.passes.fold_norm`).
        steps: length of the run; by default the network's window.
        hidden: also give the spikes of every layer.

    Raises:
        ConfigError, NetFileError: as :func:`write_float_onnx`.
    """
    length = steps or network.time_steps
    if length is None:
        raise NetFileError("this network has no window; say how many steps its ONNX graph is to run")
    graph, shape = OnnxGraph(), network.input_shape
    graph.input("spikes", np.uint8, ("images", length, *shape))
    images = graph.op("Shape", "spikes", start=0, end=1)
    turned = graph.op("Transpose", "spikes", perm=[1, 0, *range(2, 2 + len(shape))])
    raster = graph.cast(turned, np.float32)
    potential = ""
    for where, layer in zip(layer_labels(network.layers), network.layers, strict=True):
        graph.scope = name = array_name(where)
        if isinstance(layer, Flatten):
            shape = layer.output_shape(shape)
            raster = graph.reshape(raster, (length, -1, *shape))
            continue
        if layer.norm is not None or layer.map_shape is not None:
            raise NetFileError(f"{where}: its norm is not folded; fold_norm the network first")
        synapse = layer.synapse
        after = synapse.output_shape(shape)
        sums = graph.reshape(_sums(graph, synapse, raster, shape), (length, -1, *after))
        raster, potential = _neurons(graph, synapse, sums, images, after, f"{name}.neurons")
        if hidden:
            spikes = graph.cast(raster, np.uint8)
            graph.op("Transpose", spikes, name=f"{name}.s", perm=[1, 0, *range(2, 2 + len(after))])
            graph.output(f"{name}.s", np.uint8, ("images", length, *after))
        shape = after
    graph.scope = "readout"
    graph.op("Identity", potential, name="potentials")
    graph.output("potentials", np.float32, ("images", *shape))
    if network.readout is not None:
        scaled = graph.op("Div", potential, graph.constant(network.readout.unit, np.float32))
        image_from(graph, graph.op("Tanh", scaled), network.readout, "image")
        graph.output("image", np.float32, ("images", *network.readout.image_shape))
    return graph.model("float_decoder", _ABOUT, metadata("float network", None, length, network.provenance))


def _sums(graph: OnnxGraph, layer: Synapse, raster: str, before: Shape) -> str:
    """Weighted sums of all steps, float32 ``(steps * images, ...)``; a recurrent layer's of its inputs alone."""
    if isinstance(layer, RecurrentDense):
        return graph.op("MatMul", graph.reshape(raster, (-1, layer.inputs)), graph.constant(layer.weight.T, np.float32))
    if isinstance(layer, Dense) or is_point(before):
        weight = matrix(layer, before).T
        if isinstance(layer, Dense):
            raster, weight = delayed(graph, raster, layer)
        return graph.op("MatMul", graph.reshape(raster, (-1, len(weight))), graph.constant(weight, np.float32))
    options: dict[str, Any] = {
        "kernel_shape": layer.weight.shape[2:],
        "strides": layer.stride,
        "dilations": layer.dilation,
        "pads": (*layer.padding, *layer.padding),
        "group": layer.groups,
    }
    if isinstance(layer, ConvTranspose):
        options["output_padding"] = layer.output_padding
    kind = "Conv" if isinstance(layer, Conv) else "ConvTranspose"
    return graph.op(kind, graph.reshape(raster, (-1, *before)), graph.constant(layer.weight, np.float32), **options)


def _neurons(
    graph: OnnxGraph, layer: Synapse[FloatLif], sums: str, images: str, shape: Shape, name: str
) -> tuple[str, str]:
    """The raster of one layer's neurons, float32 ``(steps, images, *shape)``, and the potential after the last step."""
    neuron = layer.neuron
    body = graph.body()
    each: tuple[int | str, ...] = ("images", *shape)
    remembers = neuron.current_keep != 0
    current = body.input(body.fresh("current"), np.float32, each) if remembers else ""
    before = body.input(body.fresh("v_before"), np.float32, each)
    back = layer.recurrent if isinstance(layer, RecurrentDense) else None
    fired = body.input(body.fresh("fired"), np.float32, each) if back is not None else ""
    entering = body.input(body.fresh("sum"), np.float32, each)
    drive = entering
    if back is not None:
        drive = body.op("Add", drive, body.op("MatMul", fired, body.constant(back.T, np.float32)))
    if remembers:
        kept = body.op("Mul", current, body.constant(neuron.current_keep, np.float32))
        drive = body.op("Add", kept, drive)
        body.output(drive, np.float32, each)
    v = body.op("Add", body.op("Mul", before, body.constant(neuron.keep, np.float32)), drive)
    if layer.bias is not None:
        full = layer.bias.shape == shape
        bias = layer.bias.reshape(shape if full else (-1, *[1] * (len(shape) - 1)))
        v = body.op("Add", v, body.constant(bias, np.float32))
    if math.isinf(neuron.threshold):
        fires, after = body.op("Greater", v, body.constant(math.inf, np.float32)), body.op("Identity", v)
    else:
        fires = body.op("Greater", v, body.constant(neuron.threshold, np.float32))
        after = body.op("Where", fires, body.constant(0, np.float32), v)
    body.output(after, np.float32, each)
    spikes = body.cast(fires, np.float32)
    if back is not None:
        body.output(body.op("Identity", spikes), np.float32, each)
    body.output(spikes, np.float32, each)
    size = graph.op("Concat", images, graph.constant(shape, np.int64), axis=0)
    started = [graph.zeros(size, np.float32) for _ in range(1 + remembers + (back is not None))]
    outputs = [graph.fresh("end") for _ in started] + [graph.fresh("raster")]
    graph.ops("Scan", [*started, sums], outputs, body=body.proto(name), num_scan_inputs=1)
    return outputs[-1], outputs[int(remembers)]

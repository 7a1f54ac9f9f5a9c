"""Writes a float network as a NIR graph, so that other simulators run it (neuroir.org; ``pip install nir``).

NIR has no transposed convolution, no bias by neuron, and a flatten whose axes importers count differently; so the graph
consists of ``Conv2d`` (or, unrolled, ``Affine``), ``LIF`` and ``CubaLIF`` nodes alone:

1. Transposed convolutions go onto the coarse grid, or all layers are unrolled where that cannot be.
2. A dense layer behind maps is a convolution that covers them; those behind it have 1x1 kernels.
3. Where the first layer draws a map from a 1x1 input and its bias differs from pixel to pixel, neurons that relay the
   input stand before it, and one more that fires at every step, whose kernel is that bias.
4. The neuron ``v <- keep v + x`` is an Euler step of ``tau dv/dt = x' - v`` with ``tau = dt / (1 - keep)``, whose input
   is ``x' = x / (1 - keep)``: the factor is in the weights, as Norse's import takes no other ``r`` than 1.
5. The readout is a ``LIF`` whose threshold, float32's largest number, it never reaches: Norse 1.1
   passes over ``LI``.

What a picture needs beyond that is in the graph's ``metadata``. Norse computes in float32, also where it is given
float64, so a potential within rounding of the threshold may fall on its other side there.
"""

from __future__ import annotations

import itertools
import json
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from esvae.errors import ConfigError, EsvaeError, HardwareRangeError, UnsupportedLayerError
from esvae.machine.arguments import path_argument
from esvae.machine.hdf5 import hdf5_storage
from esvae.machine.progress import Progress
from export.ir import Conv, ConvTranspose, Dense, Flatten, FloatLif, Pair, RecurrentDense, Shape, Synapse
from export.ir.floats import FloatLayer, FloatNetwork
from export.ir.geometry import factor_after
from export.ir.labels import layer_labels
from export.passes.fold_norm import fold_norm
from export.passes.lower_dense import unrolled_layer
from export.passes.lower_subpixel import subpixel_conv

__all__ = ["NIR_STEP", "NirFile", "write_nir"]

#: Seconds of a time step: Norse's own default, with which ``norse.torch.from_nir(graph)`` runs the graph.
NIR_STEP = 0.001
_NEVER = float(np.finfo(np.float32).max)
#: The paper's decoder at 32x32 has 67 M on the coarse grid, 256 MiB before they are compressed.
_MAX_WEIGHTS = 1 << 27
_RELAY = FloatLif(0.0, 0.5)

NirLowering: TypeAlias = Literal["auto", "subpixel", "dense"]
NirReadout: TypeAlias = Literal["lif", "li"]
#: What synapses are of once they are lowered.
Planned: TypeAlias = Dense[FloatLif] | Conv[FloatLif]


@dataclass(frozen=True)
class NirFile:
    """What was written.

    Attributes:
        path: the file.
        lowering: ``none``, ``subpixel`` or ``dense``.
        relay: whether neurons that relay the input were put before the first layer.
        nodes, weights: of the graph.
    """

    path: Path
    lowering: str
    relay: bool
    nodes: int
    weights: int


@dataclass(frozen=True, eq=False)
class _Plan:
    """Layers that NIR has, their output shapes, and pixels of a cell of the last one."""

    input_shape: Shape
    layers: list[tuple[Planned, Shape]]
    upscale: int
    lowering: str
    relay: bool = False


def write_nir(
    network: FloatNetwork,
    target: str | os.PathLike[str],
    *,
    lowering: NirLowering = "auto",
    readout: NirReadout = "lif",
    progress: Progress | None = None,
) -> NirFile:
    """Writes ``network`` to ``target``, whole or not at all.

    Args:
        network: any float network; norms are folded first.
        target: the ``.nir`` file.
        lowering: of transposed convolutions; ``auto`` unrolls only where the coarse grid cannot be.
        readout: ``li`` writes the readout as NIR's leaky integrator, which Norse 1.1 leaves out.
        progress: called with the share done, 0 to 1, and what is being done.

    Raises:
        ConfigError: a target that is no name of a file, or no ``nir`` package.
        UnsupportedLayerError: delays, recurrent synapses, a bias beside a current that lasts, or a neuron without a
            leak.
        HardwareRangeError: an unrolled layer is too large.
        EsvaeError: the file cannot be written.
    """
    path = path_argument(target, "target", "a name that ends in .nir")
    nir = _package()
    tell = progress or (lambda share, text: None)
    tell(0.0, "lowering")
    plan = _plan(fold_norm(network), lowering)
    nodes: dict[str, Any] = {"input": nir.Input(input_type={"input": np.array(plan.input_shape)})}
    first = -1 if plan.relay else 0
    last = first + len(plan.layers) - 1
    before = plan.input_shape
    for number, (layer, shape) in enumerate(plan.layers, start=first):
        neuron = layer.neuron
        silent = math.isinf(neuron.threshold)
        name = "relay" if number < 0 else "readout" if silent and number == last else f"neuron_{number}"
        nodes[f"synapse_{name}"] = _synapse(nir, layer, before)
        nodes[name] = _neuron(nir, neuron, shape, integrator=silent and readout == "li")
        before = shape
    nodes["output"] = nir.Output(output_type={"output": np.array(before)})
    names = list(nodes)
    graph = nir.NIRGraph(nodes, list(itertools.pairwise(names)), metadata=_metadata(network, plan))
    tell(0.5, "writing")  # compressing takes about as long
    with hdf5_storage(path) as storage:
        nir.write(storage, graph)
    weights = sum(layer.weight.size for layer, _ in plan.layers)
    return NirFile(path, plan.lowering, plan.relay, len(nodes), weights)


def _package() -> Any:
    try:
        import nir
    except ImportError as error:
        raise ConfigError(f"nir is not installed ({error}); run: pip install 'esvae-loihi[nir]'") from None
    return nir


def _plan(network: FloatNetwork, lowering: NirLowering) -> _Plan:
    layers: list[FloatLayer | Flatten] = []
    for where, layer in zip(layer_labels(network.layers), network.layers, strict=True):
        if isinstance(layer, FloatLayer):
            layer = replace(layer, synapse=_with_gain(layer.synapse, where))
        layers.append(layer)
    network = replace(network, layers=tuple(layers))
    if lowering == "dense":
        return _unrolled(network)
    try:
        return _coarse(network)
    except EsvaeError as error:
        if lowering == "subpixel":
            raise
        try:
            return _unrolled(network)
        except HardwareRangeError as other:
            raise HardwareRangeError(f"NIR: {other}; on the coarse grid: {error}") from None


def _unrolled(network: FloatNetwork) -> _Plan:
    layers: list[tuple[Planned, Shape]] = []
    shape = network.input_shape
    for where, layer in zip(layer_labels(network.layers), network.layers, strict=True):
        if isinstance(layer, Flatten):
            shape = layer.output_shape(shape)
            continue
        synapse = _feed_forward(layer.synapse, where)
        after = synapse.output_shape(shape)
        if not isinstance(synapse, Dense):
            synapse = unrolled_layer(synapse, shape, after, where)
        layers.append((synapse, (math.prod(after),)))
        shape = after
    upscale = network.readout.upscale if network.readout is not None else 1
    return _Plan((math.prod(network.input_shape),), layers, upscale, "dense")


def _coarse(network: FloatNetwork) -> _Plan:
    layers: list[tuple[Planned, Shape]] = []
    shape, maps = network.input_shape, network.input_shape
    factor: Pair = (1, 1)
    lowered = False
    for where, layer in zip(layer_labels(network.layers), network.layers, strict=True):
        if isinstance(layer, Flatten):
            continue
        synapse = _feed_forward(layer.synapse, where)
        if isinstance(synapse, Dense):
            if factor != (1, 1):
                raise UnsupportedLayerError(f"{where}: dense behind cells")
            if len(maps) == 3:
                synapse = Conv(synapse.weight.reshape(-1, *maps), synapse.bias, synapse.neuron)
            shape = maps = synapse.output_shape(maps)
            layers.append((synapse, shape))
            continue
        if len(maps) != 3:
            raise UnsupportedLayerError(f"{where}: behind a dense layer; put its features on a map")
        after = synapse.output_shape(maps)
        if lowered or isinstance(synapse, ConvTranspose):
            if isinstance(synapse, Conv) and synapse.stride != (1, 1):
                raise UnsupportedLayerError(f"{where}: a stride behind cells")
            conv = subpixel_conv(synapse, (maps[1], maps[2]), factor, where, limit=_MAX_WEIGHTS)
            factor, lowered = factor_after(synapse, factor), True
            synapse = conv
        shape, maps = synapse.output_shape(shape), after
        layers.append((synapse, shape))
    plan = _Plan(network.input_shape, layers, _upscale(network, factor), "subpixel" if lowered else "none")
    plan = _relayed(plan)
    for where, (synapse, _) in zip(network.labels, plan.layers[-len(network.labels) :], strict=True):
        _check_kernel(synapse, where)
    return plan


def _upscale(network: FloatNetwork, factor: Pair) -> int:
    if network.readout is None or factor == (1, 1):
        return network.readout.upscale if network.readout is not None else 1
    if factor[0] != factor[1] or network.readout.upscale != 1:
        raise UnsupportedLayerError("the picture is interleaved twice, or unlike in height and width")
    return factor[0]


def _relayed(plan: _Plan) -> _Plan:
    """With neurons that relay the input, and one that fires at every step, where the first layer's bias needs them."""
    first, shape = plan.layers[0]
    bias = first.bias
    full = (shape[1] - 1, shape[2] - 1) if len(shape) == 3 else (0, 0)
    if bias is None or bias.ndim == 1 or (bias == bias[:, :1, :1]).all():
        return plan
    if not isinstance(first, Conv) or first.padding != full or plan.input_shape[1:] != (1, 1):
        return plan
    if first.weight.shape[2:] != shape[1:]:
        return plan
    inputs = plan.input_shape[0]
    copies = np.eye(inputs + 1, inputs, dtype=np.float32)[:, :, None, None]
    relay = Conv(copies, np.eye(inputs + 1, dtype=np.float32)[-1], _RELAY)
    kernel = np.concatenate([first.weight, bias[:, None, ::-1, ::-1]], axis=1)
    layers: list[tuple[Planned, Shape]] = [(relay, (inputs + 1, 1, 1))]
    layers += [(replace(first, weight=kernel, bias=None), shape), *plan.layers[1:]]
    return replace(plan, layers=layers, relay=True)


def _check_kernel(synapse: Planned, where: str) -> None:
    if isinstance(synapse, Conv):
        if synapse.weight.shape[2] != synapse.weight.shape[3]:
            raise UnsupportedLayerError(f"{where}: nir takes kernels for square, this is {synapse.weight.shape[2:]}")
        bias = synapse.bias
        if bias is not None and bias.ndim == 3 and (bias != bias[:, :1, :1]).any():
            raise UnsupportedLayerError(f"{where}: its bias differs from pixel to pixel, NIR has one a channel")


def _feed_forward(synapse: Synapse[FloatLif], where: str) -> Dense[FloatLif] | Conv[FloatLif] | ConvTranspose[FloatLif]:
    if isinstance(synapse, RecurrentDense):
        raise UnsupportedLayerError(
            f"{where}: is recurrent; networks without feedback are written as NIR, this one as .net or ONNX"
        )
    return synapse


def _with_gain(synapse: Synapse[FloatLif], where: str) -> Synapse[FloatLif]:
    """Weights and bias times the gain of the input, rounded to float32 once."""
    neuron = synapse.neuron
    if neuron.keep == 1:
        raise UnsupportedLayerError(f"{where}: its potential has no leak, so its input would have no effect in Norse")
    if neuron.current_keep == 1:
        raise UnsupportedLayerError(f"{where}: its current has no leak, so its input would have no effect in Norse")
    if neuron.current_keep and synapse.bias is not None and synapse.bias.any():
        raise UnsupportedLayerError(f"{where}: a bias beside a current that lasts, where NIR's bias would add up")
    if isinstance(synapse, Dense) and synapse.delay is not None and synapse.delay.any():
        raise UnsupportedLayerError(f"{where}: its synapses have delays, which NIR has for neurons only")
    gain = 1 / (1 - neuron.keep)
    bias = None if synapse.bias is None else (gain * synapse.bias).astype(np.float32)
    return replace(synapse, weight=(gain * synapse.weight).astype(np.float32), bias=bias)


def _synapse(nir: Any, layer: Planned, before: Shape) -> Any:
    bias = np.zeros(len(layer.weight), np.float32) if layer.bias is None else layer.bias
    bias = bias[:, 0, 0] if bias.ndim == 3 else bias
    if isinstance(layer, Dense):
        return nir.Affine(layer.weight, bias)
    size = (before[1], before[2])
    return nir.Conv2d(size, layer.weight, layer.stride, layer.padding, layer.dilation, layer.groups, bias)


def _neuron(nir: Any, neuron: FloatLif, shape: Shape, *, integrator: bool) -> Any:
    def full(value: float) -> np.ndarray:
        return np.full(shape, value, np.float32)

    threshold = _NEVER if math.isinf(neuron.threshold) else neuron.threshold
    tau = full(NIR_STEP / (1 - neuron.keep))
    if neuron.current_keep:
        lost = 1 - neuron.current_keep
        synapse = {"tau_syn": full(NIR_STEP / lost), "tau_mem": tau, "r": full(1), "v_leak": full(0)}
        if integrator:
            return nir.CubaLI(**synapse, w_in=full(1 / lost))
        return nir.CubaLIF(**synapse, v_threshold=full(threshold), v_reset=full(0), w_in=full(1 / lost))
    if integrator:
        return nir.LI(tau=tau, r=full(1), v_leak=full(0))
    return nir.LIF(tau=tau, r=full(1), v_leak=full(0), v_threshold=full(threshold), v_reset=full(0))


def _metadata(network: FloatNetwork, plan: _Plan) -> dict[str, Any]:
    found: dict[str, Any] = {
        "format": "esvae-loihi float decoder",
        "dt": NIR_STEP,
        "lowering": plan.lowering,
        "upscale": plan.upscale,
        "provenance": json.dumps(dict(network.provenance), sort_keys=True),
    }
    if network.time_steps is not None:
        found["time_steps"] = network.time_steps
    if network.readout is not None:
        found["image_shape"] = np.array(network.readout.image_shape)
        found["unit"] = float(network.readout.unit)
        found["image"] = "pixel_shuffle(tanh(v / unit), upscale), v: readout's potential after time_steps"
    return found

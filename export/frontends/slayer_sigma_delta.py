"""The frontend for lava-dl's sigma-delta blocks (lava-dl 0.6.0): ``slayer.block.sigma_delta``.

Their scales are fixed: 1.0 of slayer's is 64 of a weight, a bias, a threshold and a frame, and 4096 of a message. So
nothing is left to calibrate, and the blocks become the integer network at once, with the numbers that
``block.export_hdf5`` writes. In slayer's float32 all of it is exact as long as states stay within 64.

- ``Input`` is a delta encoder: frames are ``round(64 x)``, even, -256 to 254. Its ``weight`` and ``bias`` are kept for
  whoever makes frames of pixels, as netx keeps them.
- ``Output`` sums up messages and sends the sum.
- ``MeanOnlyBatchNorm`` is a bias; ``WgtScaleBatchNorm`` too, where it divides by 1.
- Delays are written as slayer writes them, by output. slayer holds back what a block sends, the chip what it receives,
  which is the same for neurons at rest that have no bias.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import nn

from esvae.errors import ConfigError, NetFileError, UnsupportedLayerError
from export.frontends.slayer import convolution_of
from export.frontends.slayer_block import delays_of, norm_of, weights_of
from export.ir import (
    Delta,
    Dense,
    Flatten,
    FloatLif,
    InputNeurons,
    Layer,
    Network,
    Neuron,
    Shape,
    Sigma,
    SigmaDelta,
    Synapse,
    with_values,
)

__all__ = ["from_slayer_sigma_delta"]

_MODULE = "lava.lib.dl.slayer.block.sigma_delta"
_KINDS = ("Input", "Flatten", "Dense", "Conv", "ConvT", "Pool", "Output")
_SUPPORTED = f"slayer.block.sigma_delta.{', '.join(_KINDS)}"
#: 1.0 of slayer's, in registers: the one scale with which netx's exponents agree.
_SCALE = 64


def from_slayer_sigma_delta(
    blocks: nn.Module | Iterable[nn.Module],
    input_shape: Shape | None = None,
    *,
    time_steps: int | None = None,
    provenance: dict[str, str] | None = None,
) -> Network:
    """Trained blocks, which stay as they are, as the integer network; write it with :func:`export.netx.write_netx`.

    Args:
        blocks: in the order in which messages pass through them; or a module that holds them as ``blocks``.
        input_shape: of one frame, ``(features,)`` or ``(C, H, W)``; not needed where the first block has seen data.
        time_steps: how long an input lasts, where that is fixed.
        provenance: texts to keep with the network.

    Raises:
        UnsupportedLayerError: a block or an attribute that has no counterpart; says which, where, and what to do.
        ConfigError: no blocks, or an input shape that cannot be told.
        NetFileError: shapes that do not fit together.
        HardwareRangeError: a number that the chip's registers do not hold.
    """
    found: Any = getattr(blocks, "blocks", blocks)
    parts: list[Any] = list(found)
    kinds = [_kind(block, index) for index, block in enumerate(parts)]
    if not parts:
        raise ConfigError(f"slayer: no blocks; supported are {_SUPPORTED}")
    shape = _first_shape(parts[0], kinds[0]) if input_shape is None else tuple(input_shape)
    entering, layers, neurons = shape, list[Layer[Neuron]](), None
    for index, (block, kind) in enumerate(zip(parts, kinds, strict=True)):
        where = f"block {index} (slayer.block.sigma_delta.{kind})"
        if kind == "Input":
            if index:
                raise UnsupportedLayerError(f"{where}: an input block behind others; frames enter at the first alone")
            neurons = _encoder(block, where)
            continue
        layer = Flatten() if kind == "Flatten" else _synapse(block, kind, shape, where)
        if isinstance(layer, Flatten) and len(shape) == 1:
            continue
        try:
            shape = layer.output_shape(shape)
        except NetFileError as error:
            raise NetFileError(f"{where}: {error}") from None
        layers.append(layer)
    texts = {"source": "lava-dl", **(provenance or {})}
    return Network(entering, tuple(layers), time_steps, provenance=texts, input_neurons=neurons)


def _kind(block: Any, index: int) -> str:
    for base in type(block).__mro__:
        if base.__module__ == _MODULE and base.__name__ in _KINDS:
            return base.__name__
        if base.__module__.endswith("block.base") and base.__name__ == "AbstractFlatten":
            return "Flatten"
    name = f"{type(block).__module__}.{type(block).__name__}"
    raise UnsupportedLayerError(f"block {index} ({name}): not supported; supported are {_SUPPORTED}")


def _first_shape(block: Any, kind: str) -> Shape:
    if kind in ("Dense", "Output"):
        return (int(block.synapse.in_channels),)
    if kind != "Input" or block.input_shape is None:
        raise ConfigError("slayer: the first block does not say what enters it; give input_shape=(C, H, W)")
    shape = tuple(int(n) for n in block.input_shape)
    return shape if len(shape) in (1, 3) else (math.prod(shape),)


def _encoder(block: Any, where: str) -> InputNeurons | None:
    if block.neuron is None:
        return None
    numbers = {
        name: round(float(block.pre_hook_fx(value.detach())) * _SCALE)
        for name, value in (("weight", block.weight), ("bias", block.bias))
        if value is not None
    }
    return InputNeurons(Delta(_threshold(block.neuron, where)), **numbers)


def _synapse(block: Any, kind: str, shape: Shape, where: str) -> Synapse[Neuron]:
    weights = weights_of(block.synapse, block.neuron, where, getattr(block, "mask", None))
    if not weights.on_grid:
        raise UnsupportedLayerError(
            f"{where}: weights that are no 64ths; leave pre_hook_fx to slayer, which rounds them"
        )
    threshold = _threshold(block.neuron, where)
    bias, neuron = None, Sigma() if kind == "Output" else SigmaDelta(threshold)
    outputs = shape[0] if kind == "Pool" else int(block.synapse.out_channels)
    if kind != "Output":  # which passes over its norm
        norm = norm_of(block.neuron, where, outputs, on_grid=True)
        if norm.divisor != 1:
            raise UnsupportedLayerError(f"{where}: its norm divides by {norm.divisor:g}, which netx passes over")
        bias = norm.bias
    node: Synapse[FloatLif]
    unused = FloatLif(0.0, math.inf)
    if kind in ("Dense", "Output"):
        if any(n != 1 for n in weights.values.shape[2:]):
            raise UnsupportedLayerError(f"{where}: dense on a map; put a Flatten before it and count its features")
        node = Dense(weights.values.reshape(weights.values.shape[:2]), bias, unused)
    else:
        node = convolution_of(shape, block.synapse, kind, weights.values, bias, unused, where)
    steps = delays_of(block.delay, where)
    whole = with_values(node, _whole(node.weight), None if bias is None else _whole(bias), neuron)
    if steps is None:
        return whole
    if not isinstance(whole, Dense):
        raise UnsupportedLayerError(f"{where}: delays of a convolution, which netx passes over; train with delay=False")
    delay = np.broadcast_to(steps.reshape(-1, 1), whole.weight.shape).copy()
    return Dense(whole.weight, whole.bias, whole.neuron, delay)


def _threshold(neuron: Any, where: str) -> int:
    """The mantissa, once everything else about the neuron is what netx makes."""
    activation = getattr(neuron.activation, "__name__", type(neuron.activation).__name__)
    drop, thresholds = neuron.drop, neuron.threshold.detach().flatten()
    for wrong, what in (
        (activation != "relu", f"activation {activation}: netx makes every one a ReLU; train with torch.relu"),
        (neuron.delta.cum_error, "cum_error, which netx passes over; train with cum_error=False"),
        (neuron.persistent_state, "persistent_state: every sample starts from rest here; set it to False"),
        (neuron.w_scale != _SCALE, f"scale {neuron.w_scale}: netx's exponents are those of {_SCALE}"),
        (neuron.bias_is_set, "set_bias, which slayer does not write; use MeanOnlyBatchNorm"),
        (drop is not None and not isinstance(drop, nn.modules.dropout._DropoutNd), "a dropout that is no torch module"),
        (bool((thresholds != thresholds[0]).any()), "a threshold for each channel; train with shared_param=True"),
    ):
        if wrong:
            raise UnsupportedLayerError(f"{where}: {what}")
    return int(float(thresholds[0]) * neuron.w_scale)


def _whole(values: np.ndarray) -> np.ndarray:
    return np.rint(values).astype(np.int32)

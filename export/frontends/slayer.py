"""The frontend for lava-dl's slayer blocks (lava-dl 0.6.0): ``slayer.block.cuba.Dense, Conv, ConvT, Flatten``.

Numbers are those that ``block.export_hdf5`` writes, in the units of the chip's registers, and each layer brings the
scale 1 along, so quantizing to 8 bits changes nothing: weights as the block's ``pre_hook_fx`` rounds them, times the
neuron's scale; decays rounded to 1/4096; the threshold's mantissa; the norm's mean, rounded, as a bias. Only

- a block without ``pre_hook_fx``, which slayer itself cannot write, brings its float weights and no scale, and
- the power of two that ``WgtScaleBatchNorm`` divides by, which netx passes over, multiplies threshold and nothing else.
  Slayer rounds the potential after dividing, the chip before, so that a potential close to the threshold may differ.

Slayer holds a block's spikes back by one step (``delay_shift``), as the chip's synapses do; spikes here are aligned by
sample, so block k's output at slayer's step t + k + 1 is layer k's at step t. A ``delay`` holds back what a block
sends; netx and the chip hold back what the block receives, which is the same for neurons at rest that have no bias.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import nn

from esvae.chip.formats import DECAY_UNITY, DELAY
from esvae.chip.rounding import MAX_WEIGHT_BITS
from esvae.errors import ConfigError, NetFileError, UnsupportedLayerError
from export.ir import Conv, ConvTranspose, Dense, Flatten, FloatLif, Shape, Synapse
from export.ir.floats import FloatLayer, FloatNetwork

__all__ = ["from_slayer"]

_BLOCKS = "lava.lib.dl.slayer.block."
_SUPPORTED = (
    "slayer.block.cuba.Dense (with delays), Conv, ConvT, Flatten and Input without neuron, weight norm, "
    "MeanOnlyBatchNorm and WgtScaleBatchNorm, with decays shared by the layer and spikes that are not graded"
)
_NORMS = ("MeanOnlyBatchNorm", "WgtScaleBatchNorm")


def from_slayer(
    blocks: nn.Module | Iterable[nn.Module],
    input_shape: Shape | None = None,
    *,
    time_steps: int | None = None,
    provenance: dict[str, str] | None = None,
) -> FloatNetwork:
    """Trained blocks, which stay as they are; running means are used as they stand.

    Args:
        blocks: in the order in which spikes pass through them; or a module that holds them as ``blocks``.
        input_shape: of the spikes at one step, ``(features,)`` or ``(C, H, W)``; not needed where the first block is
            dense, or an input block that has seen data.
        time_steps: how long an input lasts, where that is fixed.
        provenance: texts to keep with the network.

    Raises:
        UnsupportedLayerError: a block, neuron or norm that has no counterpart; says which, where, and what has.
        ConfigError: no blocks, or an input shape that cannot be told.
        NetFileError: shapes that do not fit together.

    Example: see ``docs/frontends.md``.
    """
    found: Any = getattr(blocks, "blocks", blocks)
    parts: list[Any] = list(found)
    if not parts:
        raise ConfigError(f"slayer: no blocks; supported are {_SUPPORTED}")
    if input_shape is None:
        input_shape = _first_shape(parts)
    shape: Shape = tuple(input_shape)
    layers: list[FloatLayer | Flatten] = []
    for index, block in enumerate(parts):
        where = f"block {index} ({_name(block)})"
        kind = _kind(block, where)
        if kind == "Input":
            if index or block.neuron is not None:
                raise UnsupportedLayerError(f"{where}: input neurons are not supported; supported are {_SUPPORTED}")
            continue
        layer = Flatten() if kind == "Flatten" else _layer(block, kind, where)
        if isinstance(layer, Flatten) and len(shape) == 1:
            continue
        try:
            shape = (layer if isinstance(layer, Flatten) else layer.synapse).output_shape(shape)
        except NetFileError as error:
            raise NetFileError(f"{where}: {error}") from None
        layers.append(layer)
    return FloatNetwork(
        tuple(input_shape),
        tuple(layers),
        time_steps,
        provenance={"source": "lava-dl", **(provenance or {})},
        weight_bits=MAX_WEIGHT_BITS,
    )


def _name(block: Any) -> str:
    kind = type(block)
    return f"{kind.__module__.removeprefix('lava.lib.dl.')}.{kind.__name__}"


def _kind(block: Any, where: str) -> str:
    """Which supported block it is, by its class or the one that it extends."""
    for base in type(block).__mro__:
        if base.__module__ == f"{_BLOCKS}cuba" and base.__name__ in ("Input", "Flatten", "Dense", "Conv", "ConvT"):
            return base.__name__
        if base.__module__ == f"{_BLOCKS}base" and base.__name__ == "AbstractFlatten":  # whatever the neurons' kind
            return "Flatten"
    raise UnsupportedLayerError(f"{where}: not supported; supported are {_SUPPORTED}")


def _first_shape(parts: list[Any]) -> Shape:
    for block in parts:
        if _kind(block, f"block 0 ({_name(block)})") == "Dense":
            return (int(block.synapse.in_channels),)
        if _kind(block, "block 0") != "Input" or block.shape is None:
            break
        shape = tuple(int(n) for n in block.shape)
        return shape if len(shape) in (1, 3) else (math.prod(shape),)
    raise ConfigError("slayer: the first block does not say what enters it; give input_shape=(C, H, W)")


def _layer(block: Any, kind: str, where: str) -> FloatLayer:
    neuron, synapse = block.neuron, block.synapse
    weight, scale = _weight(block, where)
    deviation, bias = _norm(neuron, where, scale)
    lif = _lif(neuron, where, scale, deviation)
    delay = _delay(block.delay, where)
    node: Synapse
    if kind == "Dense":
        if any(n != 1 for n in weight.shape[2:]):
            raise UnsupportedLayerError(f"{where}: dense on a map; put a Flatten before it and count its features")
        weight = weight.reshape(weight.shape[:2])
        held = None
        if delay is not None and delay.any():
            held = np.broadcast_to(delay[:, None], weight.shape).astype(np.int64).copy()
        node = Dense(weight, bias, lif, held)
    else:
        if delay is not None and delay.any():
            raise UnsupportedLayerError(
                f"{where}: delays of a convolution: netx passes over them, so would not run what was trained; train "
                "with delay=False, or give them to a Dense block"
            )
        if weight.shape[-1] != 1:
            raise UnsupportedLayerError(f"{where}: a kernel over {weight.shape[-1]} steps; expected 1")
        pairs = {
            key: (int(getattr(synapse, key)[0]), int(getattr(synapse, key)[1]))
            for key in ("stride", "padding", "dilation")
        }
        node_kind = Conv if kind == "Conv" else ConvTranspose
        node = node_kind(weight[..., 0], bias, lif, **pairs, groups=int(synapse.groups))
    return FloatLayer(node, scale=1.0 if synapse.pre_hook_fx is not None else None)


def _weight(block: Any, where: str) -> tuple[np.ndarray, float]:
    """Weights as slayer writes them, and how many of their units are 1.0 of slayer's; floats where it rounds none."""
    synapse = block.synapse
    if synapse.complex:
        raise UnsupportedLayerError(f"{where}: complex weights are not supported; supported are {_SUPPORTED}")
    with torch.no_grad():
        if synapse.weight_norm_enabled:  # as taking the norm off would, which changes the block
            weight = torch._weight_norm(synapse.weight_v, synapse.weight_g, 0)
        else:
            weight = synapse.weight
        if getattr(block, "mask", None) is not None:
            weight = weight * block.mask
        if synapse.pre_hook_fx is None:
            return _array(weight), 1.0
        return _array(synapse.pre_hook_fx(weight, descale=True)), float(block.neuron.w_scale)


def _norm(neuron: Any, where: str, scale: float) -> tuple[float, np.ndarray | None]:
    """What the norm divides by, a power of two, and the bias that it is otherwise."""
    norm = neuron.norm
    if norm is None:
        return 1.0, None
    kind = type(norm).__name__
    if kind not in _NORMS:
        raise UnsupportedLayerError(f"{where}: norm {kind} is not supported; supported are {', '.join(_NORMS)}")
    with torch.no_grad():
        bias = -_array(norm.pre_hook_fx(norm.running_mean)) if scale == 1.0 else _array(norm.bias)
        deviation = float(norm.std(norm.running_var)) if kind == "WgtScaleBatchNorm" else 1.0
    if norm.num_features is None:
        raise ConfigError(f"{where}: its norm has seen no data; train it, or run the network once")
    return deviation, bias.reshape(-1)


def _lif(neuron: Any, where: str, scale: float, deviation: float) -> FloatLif:
    for wrong, what in (
        (neuron.graded_spike, "graded spikes"),
        (not neuron.shared_param, "decays of its own for each neuron"),
    ):
        if wrong:
            raise UnsupportedLayerError(f"{where}: {what} are not supported; supported are {_SUPPORTED}")
    decays = [
        float(torch.round(decay.detach().double().clamp(0, DECAY_UNITY)).item())
        for decay in (neuron.voltage_decay, neuron.current_decay)
    ]
    if not all(math.isfinite(decay) for decay in decays):
        raise ConfigError(f"{where}: decays that are not finite; train again with a lower learning rate")
    keep, current_keep = (1 - decay / DECAY_UNITY for decay in decays)
    threshold = neuron.v_th_mant if scale != 1.0 else neuron.threshold
    return FloatLif(keep, float(threshold) * deviation, current_keep)


def _delay(module: Any, where: str) -> np.ndarray | None:
    """Whole steps by output channel, as slayer applies and writes them."""
    if module is None:
        return None
    steps: np.ndarray = np.floor(np.clip(_array(module.delay), 0, module.max_delay)).reshape(-1)
    DELAY.check(steps.astype(np.int64), where, "train with max_delay=62")
    return steps


def _array(values: torch.Tensor) -> np.ndarray:
    return values.detach().double().cpu().numpy().copy()

"""The frontend for lava-dl's slayer (lava-dl 0.6.0): blocks of ``slayer.block.cuba``.

Numbers are those that ``block.export_hdf5`` writes, in the units of the chip's registers, and each layer brings the
scale 1 along, so quantizing to 8 bits changes nothing: weights as the block's ``pre_hook_fx`` rounds them, times the
neuron's scale; decays rounded to 1/4096; the threshold's mantissa; the norm's mean, rounded, as a bias. Only

- a block without ``pre_hook_fx``, which slayer itself cannot write, brings its float weights and no scale, and
- the power of two that ``WgtScaleBatchNorm`` divides by, which netx passes over, multiplies the threshold.

**Time.** slayer holds a block's spikes back by one step (``delay_shift``), as the chip's synapses do. Spikes here are
aligned by sample: what block k gives at slayer's step t is layer k's at step t minus the steps of all blocks up to k.
All blocks of slayer start at the same step, so a later one runs on its bias before a sample reaches it; here every
layer starts with the sample, or, where time is staggered (:class:`sim.stimulus.Timing`), as in slayer.

**Delays.** slayer's hold back what a block sends, the chip's what it receives. Without a bias the two are the same, and
a dense block keeps its delays as slayer writes them. With a bias, and behind convolutions, delays move to the inputs of
the dense block that follows; delays that are all equal shift time alone, and are left out.

What cannot be equal is said at conversion, in a warning and in the provenance.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from torch import nn

from esvae.arrays import Float64
from esvae.chip.formats import DELAY
from esvae.chip.rounding import MAX_WEIGHT_BITS
from esvae.errors import ConfigError, NetFileError, UnsupportedLayerError
from esvae.machine.arguments import shape_argument
from export.frontends.sequence import children
from export.frontends.slayer_block import NORMS, BlockNorm, delays_of, neuron_of, norm_of, weights_of
from export.ir import Conv, ConvTranspose, Dense, Flatten, FloatLif, ImageReadout, Pair, RecurrentDense, Shape, Synapse
from export.ir.depthwise import slayer_pool, slayer_unpool
from export.ir.floats import FloatLayer, FloatNetwork

__all__ = ["convolution_of", "from_slayer"]

_BLOCKS = "lava.lib.dl.slayer.block."
_POOLS = ("Pool", "Unpool")
_SYNAPTIC = ("Dense", "Conv", "ConvT", *_POOLS, "Recurrent", "Affine")
_KINDS = ("Input", "Flatten", *_SYNAPTIC)
_SUPPORTED = (
    "slayer.block.cuba.Dense, Conv, ConvT, Pool, Unpool, Recurrent, Flatten, Input without neuron, Affine at the end, "
    f"weight norm, {' and '.join(NORMS)}"
)
#: Blocks that hold no synapses of the chip, and why.
_REASONS = {
    "Average": "it averages spikes into rates, which no spike carries; end with the block before it",
    "TimeDecimation": "it makes one step of several, where all layers of a chip share their steps",
    "KWTA": "its neurons inhibit each other in slayer's own loop, which slayer writes nowhere",
}


def from_slayer(
    blocks: nn.Module | Iterable[nn.Module],
    input_shape: Shape | int | None = None,
    *,
    time_steps: int | None = None,
    readout: ImageReadout | None = None,
    provenance: dict[str, str] | None = None,
) -> FloatNetwork:
    """Trained blocks, which stay as they are; running means are used as they stand.

    Args:
        blocks: in the order in which spikes pass through them; or a module that holds them as ``blocks``.
        input_shape: of the spikes at one step, ``(features,)`` or ``(C, H, W)``; not needed where the first block is
            dense, or an input block that has seen data.
        time_steps: how long an input lasts, where that is fixed.
        readout: how the last layer's potentials become a picture; the last block is then ``Affine``.
        provenance: texts to keep with the network.

    Raises:
        UnsupportedLayerError: a block, neuron or norm that has no counterpart; says which, where, and what has.
        ConfigError: no blocks, or an input shape that cannot be told.
        NetFileError: shapes that do not fit together.

    Warns:
        UserWarning: spikes will differ from slayer's; says in which block, why, and what to do.

    Example: see ``docs/frontends.md``.
    """
    found: Any = getattr(blocks, "blocks", blocks)
    if isinstance(found, nn.Module) and not isinstance(found, Iterable):
        found = [found]
    parts = [block for _, block in children(found, "")]
    if not parts:
        raise ConfigError(f"slayer: no blocks; supported are {_SUPPORTED}")
    if input_shape is None:
        input_shape = _first_shape(parts)
    shape = shape_argument(input_shape)
    walk = _Walk(shape)
    kinds = [_kind(block, _place(index, block)) for index, block in enumerate(parts)]
    for index, (block, kind) in enumerate(zip(parts, kinds, strict=True)):
        _take(walk, block, kind, kinds[index + 1 :], _place(index, block))
    if readout is not None and not walk.ended:
        raise ConfigError("readout: the last block fires, so it holds no picture; end the network with Affine")
    texts = {"source": "lava-dl"}
    if walk.differs:
        texts["differs from slayer"] = "; ".join(walk.differs)
        warnings.warn(f"spikes will differ from slayer's: {texts['differs from slayer']}", stacklevel=2)
    return FloatNetwork(
        shape,
        tuple(walk.layers),
        time_steps,
        None,
        readout,
        provenance=texts | (provenance or {}),
        weight_bits=MAX_WEIGHT_BITS,
    )


@dataclass
class _Walk:
    """How far the blocks have been followed.

    Attributes:
        shape: of what leaves the last block.
        layers: made so far.
        late: steps by which slayer's spikes come later there than here.
        held: delays of the last block, one a channel, that its follower's synapses have to apply.
        ended: the last block does not fire.
        differs: what will not be equal to slayer.
    """

    shape: Shape
    layers: list[FloatLayer | Flatten] = field(default_factory=list)
    late: int = 0
    held: np.ndarray | None = None
    ended: bool = False
    differs: list[str] = field(default_factory=list)


def _place(index: int, block: Any) -> str:
    kind = type(block)
    return f"block {index} ({kind.__module__.removeprefix('lava.lib.dl.')}.{kind.__name__})"


def _kind(block: Any, where: str) -> str:
    """Which supported block it is, by its class or the one that it extends."""
    for base in type(block).__mro__:
        if base.__module__ == f"{_BLOCKS}cuba" and base.__name__ in _KINDS:
            return base.__name__
        if base.__module__ == f"{_BLOCKS}base" and base.__name__ == "AbstractFlatten":  # whatever the neurons' kind
            return "Flatten"
    reason = _REASONS.get(type(block).__name__)
    if type(block).__module__ == f"{_BLOCKS}sigma_delta":
        reason = "export.frontends.from_slayer_sigma_delta takes sigma-delta blocks"
    raise UnsupportedLayerError(
        f"{where}: not supported; {'' if reason is None else f'{reason}; '}supported are {_SUPPORTED}"
    )


def _first_shape(parts: list[Any]) -> Shape:
    for index, block in enumerate(parts):
        kind = _kind(block, _place(index, block))
        if kind in ("Dense", "Affine", "Recurrent"):
            return (int((block.input_synapse if kind == "Recurrent" else block.synapse).in_channels),)
        if kind != "Input" or block.shape is None:
            break
        shape = tuple(int(n) for n in block.shape)
        return shape if len(shape) in (1, 3) else (math.prod(shape),)
    raise ConfigError("slayer: the first block does not say what enters it; give input_shape=(C, H, W)")


def _take(walk: _Walk, block: Any, kind: str, following: Sequence[str], where: str) -> None:
    if walk.ended:
        raise UnsupportedLayerError(f"{where}: follows Affine, whose potentials are no spikes; Affine ends a network")
    if kind == "Input":
        if walk.layers or block.neuron is not None:
            raise UnsupportedLayerError(f"{where}: input neurons are not supported; supported are {_SUPPORTED}")
        walk.late += block.delay_shift is True
        return
    if kind == "Flatten":
        if len(walk.shape) == 3:
            walk.layers.append(Flatten())
            walk.shape = (math.prod(walk.shape),)
        return
    synapse, on_grid = _synapse(walk, block, kind, where)
    synapse = _delayed(walk, synapse, delays_of(block.delay, where), [k for k in following if k in _SYNAPTIC], where)
    try:
        walk.shape = synapse.output_shape(walk.shape)
    except NetFileError as error:
        raise NetFileError(f"{where}: {error}") from None
    walk.layers.append(FloatLayer(synapse, scale=1.0 if on_grid else None))
    walk.late += getattr(block, "delay_shift", False) is True
    walk.ended = kind == "Affine"


def _synapse(walk: _Walk, block: Any, kind: str, where: str) -> tuple[Synapse[FloatLif], bool]:
    """The node, and whether its numbers are the chip's."""
    if kind == "Recurrent":
        return _recurrent(walk, block, where)
    weights = weights_of(block.synapse, block.neuron, where, getattr(block, "mask", None))
    if kind == "Affine" and not block.dynamics:  # what enters the neurons, not what they make of it
        norm, lif = BlockNorm(), FloatLif(0.0, math.inf)
    else:
        outputs = walk.shape[0] if kind in _POOLS else int(block.synapse.out_channels)
        norm = norm_of(block.neuron, where, outputs, on_grid=weights.on_grid)
        lif = neuron_of(block.neuron, where, norm.divisor, on_grid=weights.on_grid)
    if kind == "Affine":
        lif = replace(lif, threshold=math.inf)
    _compare(walk, norm, lif, where)
    if kind in ("Dense", "Affine"):
        if any(n != 1 for n in weights.values.shape[2:]):
            raise UnsupportedLayerError(f"{where}: dense on a map; put a Flatten before it and count its features")
        return Dense(weights.values.reshape(weights.values.shape[:2]), norm.bias, lif), weights.on_grid
    return convolution_of(walk.shape, block.synapse, kind, weights.values, norm.bias, lif, where), weights.on_grid


def _recurrent(walk: _Walk, block: Any, where: str) -> tuple[Synapse[FloatLif], bool]:
    """What a neuron fires comes back a step later, here as there."""
    if block.recurrent_synapse.weight_norm_enabled:
        raise UnsupportedLayerError(
            f"{where}: weight norm, which slayer does not apply to the weights that recur; train without weight_norm"
        )
    entering, back = (
        weights_of(synapse, block.neuron, where) for synapse in (block.input_synapse, block.recurrent_synapse)
    )
    on_grid = entering.on_grid and back.on_grid
    if block.bias is not None or entering.on_grid != back.on_grid:
        raise UnsupportedLayerError(f"{where}: a bias or a pre_hook_fx of its own; slayer's recurrent blocks have none")
    count = int(block.input_synapse.out_channels)
    norm = norm_of(block.neuron, where, count, on_grid=on_grid)
    lif = neuron_of(block.neuron, where, norm.divisor, on_grid=on_grid, keeps_state=True)
    _compare(walk, norm, lif, where)
    if norm.bias is not None and norm.bias.any() and lif.current_keep:
        walk.differs.append(
            f"{where}: going step by step, slayer's recurrent block lets its norm's bias last with the current, where "
            "the chip adds it to the potential; train without norm, or with current_decay=1"
        )
    weight, recurrent = (weights.values.reshape(weights.values.shape[:2]) for weights in (entering, back))
    return RecurrentDense(weight, recurrent, norm.bias, lif), on_grid


def convolution_of(
    shape: Shape,
    synapse: Any,
    kind: str,
    weight: Float64[np.ndarray, "outputs inputs kh kw steps"],
    bias: Float64[np.ndarray, " _outputs"] | None,
    lif: FloatLif,
    where: str,
) -> Synapse[FloatLif]:
    """The convolution, or the pool, that a block's synapses are.

    Args:
        shape: of what enters.
        synapse: slayer's.
        kind: ``Conv``, ``ConvT``, ``Pool`` or ``Unpool``.
        weight: in slayer's layout, the time axis last.
        bias, lif: of the node.
        where: what errors call the block.

    Raises:
        UnsupportedLayerError: a kernel over several steps.
        NetFileError: shapes that do not fit together.
    """
    if weight.shape[-1] != 1:
        raise UnsupportedLayerError(f"{where}: a kernel over {weight.shape[-1]} steps; expected 1")
    stride, padding, dilation = (_pair(getattr(synapse, key)) for key in ("stride", "padding", "dilation"))
    weight = weight[..., 0]
    if kind in _POOLS:
        if len(shape) != 3:
            raise NetFileError(f"{where}: takes (C, H, W) inputs, got {shape}")
        make = slayer_pool if kind == "Pool" else slayer_unpool
        return make(weight[0, 0], shape, lif, where, stride=stride, padding=padding, dilation=dilation)
    node = Conv if kind == "Conv" else ConvTranspose
    return node(weight, bias, lif, stride, padding, dilation, groups=int(synapse.groups))


def _pair(values: Sequence[Any]) -> Pair:
    """Of slayer's three axes the two of the map."""
    return int(values[0]), int(values[1])


def _compare(walk: _Walk, norm: BlockNorm, lif: FloatLif, where: str) -> None:
    """Notes what a norm makes different."""
    if norm.bias is not None and norm.bias.any() and walk.late:
        walk.differs.append(
            f"{where}: in slayer its bias adds up for {walk.late} steps before a sample arrives, here from the "
            "sample's first step on; train with delay_shift=False, or compare in staggered time"
        )
    if norm.divisor != 1 and not (lif.current_keep == 0 and lif.keep in (0, 1)):
        walk.differs.append(
            f"{where}: slayer rounds the potential after dividing by {norm.divisor:g}, the chip before; use "
            "MeanOnlyBatchNorm"
        )


def _delayed(
    walk: _Walk, synapse: Synapse[FloatLif], steps: np.ndarray | None, following: Sequence[str], where: str
) -> Synapse[FloatLif]:
    """The synapse with what the block before, and the block itself, hold back there."""
    total = np.zeros(synapse.weight.shape[:2], np.int64)
    if walk.held is not None:
        total += np.repeat(walk.held, synapse.inputs // len(walk.held))
        walk.held = None
    if steps is not None:
        dense = isinstance(synapse, Dense)
        steps = np.broadcast_to(steps, synapse.outputs)
        unbiased = synapse.bias is None or not synapse.bias.any()
        if dense and unbiased:
            total += steps[:, None]
        elif not np.ptp(steps):
            walk.late += int(steps[0])
        elif following[:1] in (["Dense"], ["Affine"]):
            walk.held = steps
        elif dense:
            total += steps[:, None]
            walk.differs.append(
                f"{where}: delays beside a bias: slayer holds back what the block sends, the chip what it receives, "
                "which does not hold back the bias; train without one of them"
            )
        else:
            raise UnsupportedLayerError(
                f"{where}: delays that differ, {steps.min()} to {steps.max()} steps, and no dense block behind it "
                "whose synapses could hold them, as netx has none here; train with delay=False"
            )
    if not total.any() or not isinstance(synapse, Dense):
        return synapse
    DELAY.check(total, where, "train with smaller delays; those of a block and of the one before it add up")
    return replace(synapse, delay=total)

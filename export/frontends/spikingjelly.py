"""The frontend for SpikingJelly (spikingjelly 0.0.0.0.14): sequences of its layers and neurons, and its Lava blocks.

===================================  ================================================================================
there                                here
===================================  ================================================================================
torch's modules, ``layer.Linear``    as in :mod:`export.frontends.sequence`
``IFNode, LIFNode,``                 current without memory; a potential that meets the threshold fires there, so the
``ParametricLIFNode``                threshold here is the next smaller number; potentials are counted from ``v_reset``
``v_reset=None``                     behind ``Linear``: a synapse of each neuron onto itself takes the threshold off
``lava_exchange.BlockContainer``     the integers that it computes with: weights in 1/``scale``, decays in 1/4096
``SeqToANNContainer``, sequences     what is in them
===================================  ================================================================================

A block computes with weights up to 255 and with its threshold as it is; the chip has 254 and whole numbers, which is
what its own ``to_lava_block`` writes. So does this frontend, and says at conversion where that differs. Decays are the
trained ones, where ``to_lava_block`` writes those that the block was made with.

Modules are told by their class's name and module, and read by their attributes: SpikingJelly need not be installed.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from esvae.chip.formats import DECAY_UNITY
from esvae.errors import ConfigError, UnsupportedLayerError
from export.frontends.cell import Cell
from export.frontends.esvae_run import synapse_of
from export.frontends.sequence import MODULES, ModuleSequence, both_axes, in_order
from export.ir import FloatLif, ImageReadout, Shape, with_values
from export.ir.depthwise import depthwise
from export.ir.floats import FloatNetwork

__all__ = ["from_spikingjelly"]

_SUPPORTED = (
    f"{MODULES}, Sequential, SeqToANNContainer, IFNode, LIFNode, ParametricLIFNode, and lava_exchange.BlockContainer "
    "of Linear, Conv2d, SumPool2d, Flatten"
)
_NODES = ("IFNode", "LIFNode", "ParametricLIFNode")
#: The largest weight of SpikingJelly's 8 bits, and the chip's.
_SATURATED = 255


def from_spikingjelly(
    modules: nn.Module | Iterable[nn.Module],
    input_shape: Shape | int,
    *,
    time_steps: int | None = None,
    readout: ImageReadout | None = None,
    provenance: dict[str, str] | None = None,
) -> FloatNetwork:
    """A trained SpikingJelly network, which stays as it is.

    Args:
        modules: ``nn.Sequential``, or the modules in the order in which spikes pass through them, in evaluation mode.
        input_shape: of the spikes at one step, ``(features,)``, that number alone, or ``(C, H, W)``.
        time_steps: how long an input lasts, where that is fixed.
        readout: how the last layer's potentials become a picture; its neurons then have an infinite ``v_threshold``.
        provenance: texts to keep with the network.

    Raises:
        UnsupportedLayerError: a module or a setting that has no counterpart; says which, where, and what to do.
        ConfigError: parameters that the chip does not have, or a module in training mode.
        NetFileError: shapes that do not fit together.

    Warns:
        UserWarning: spikes will differ from SpikingJelly's; says in which block, why, and what to do.

    Example: see ``docs/frontends.md``.
    """
    sequence = ModuleSequence(input_shape, _SUPPORTED)
    differs: list[str] = []
    for place, part in in_order(modules):  # its containers are sequences
        if _is(part, "BlockContainer"):
            differs.extend(_block(sequence, part, place))
        elif _is(part, *_NODES):
            sequence.neurons(_cell(part, place), place)
        elif _is(part, "Dropout", "Dropout2d"):  # no torch's: they keep their mask over the steps
            sequence.take((nn.Dropout() if part.training else nn.Dropout().eval()), place)
        else:
            sequence.take(part, place)
    if differs:
        provenance = {"differs from spikingjelly": "; ".join(differs), **(provenance or {})}
        warnings.warn(f"spikes will differ from SpikingJelly's: {'; '.join(differs)}", stacklevel=2)
    return sequence.network("spikingjelly", time_steps, readout, provenance)


def _is(part: Any, *names: str) -> bool:
    return type(part).__module__.startswith("spikingjelly.") and type(part).__name__ in names


def _cell(part: Any, place: str) -> Cell:
    leak = 0.0
    if type(part).__name__ == "LIFNode":
        leak = 1 / float(part.tau)
    elif type(part).__name__ == "ParametricLIFNode":
        leak = float(torch.sigmoid(part.w.detach().double()))
    if not 0 <= leak <= 1:
        raise ConfigError(f"{place}: tau is {part.tau:g}, expected 1 or more")
    gain = leak if leak and part.decay_input else 1.0
    reset, threshold = part.v_reset, float(part.v_threshold)
    if reset is None:
        return Cell(FloatLif(1 - leak, _below(threshold), 0.0), gain, subtracted=(1 - leak) * threshold)
    if threshold <= reset:
        raise ConfigError(f"{place}: v_threshold {threshold:g} is not above v_reset {reset:g}, so it always fires")
    return Cell(FloatLif(1 - leak, _below(threshold - float(reset)), 0.0), gain)


def _below(threshold: float) -> float:
    """What a potential has to be above to be at least ``threshold``."""
    return threshold if math.isinf(threshold) else math.nextafter(threshold, -math.inf)


def _block(sequence: ModuleSequence, block: Any, place: str) -> Iterator[str]:
    """One of ``lava_exchange``, whose arithmetic is slayer's; gives what will differ."""
    neuron = block.neuron
    if neuron is None:
        sequence.take(block.synapse, place)
        return
    keep, current_keep = (
        1 - round(min(max(float(getattr(neuron, name)), 0.0), DECAY_UNITY)) / DECAY_UNITY
        for name in ("voltage_decay", "current_decay")
    )
    norm = neuron.norm
    if norm is not None:
        raise UnsupportedLayerError(
            f"{place}: its norm is fed back with the current, step by step; train without it (norm=None)"
        )
    synapse, scale = block.synapse, int(neuron.scale)
    if type(synapse).__name__ == "SumPool2d":
        stride, padding, dilation = (both_axes(getattr(synapse, key)) for key in ("stride", "padding", "dilation"))
        ones = np.full(tuple(synapse.kernel_size), float(scale))
        node: Any = depthwise(
            ones, sequence.channels(place), FloatLif(keep, math.inf), stride=stride, padding=padding, dilation=dilation
        )
    else:
        with torch.no_grad():
            weight = np.rint(neuron.quantize_8bit(synapse.weight).double().cpu().numpy() * scale)
        if (weight == _SATURATED).any():
            yield (
                f"{place}: {int((weight == _SATURATED).sum())} weights stand at {_SATURATED}/{scale}, where the chip's "
                f"end at {_SATURATED - 1}; train with smaller weights, or a smaller scale"
            )
            weight = np.minimum(weight, _SATURATED - 1)
        node = synapse_of(synapse, FloatLif(keep, math.inf))
        node = with_values(node, weight, None, node.neuron)
    sequence.synapse(node, place)
    threshold = int(neuron.v_threshold * scale)
    if threshold != neuron.v_threshold * scale:
        yield (
            f"{place}: v_threshold {neuron.v_threshold:g} is {neuron.v_threshold * scale:g}/{scale}, of which the chip "
            f"has {threshold}; train with a multiple of 1/{scale}"
        )
    sequence.neurons(Cell(FloatLif(keep, float(threshold), current_keep), scale=1.0), place)

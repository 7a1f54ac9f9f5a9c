"""Torch's modules in the order in which spikes pass through them, as layers: what frontends of such networks share.

=========================================  =============================================================================
there                                      here
=========================================  =============================================================================
``Linear, Conv2d, ConvTranspose2d``        the synapses of the neurons behind them; weights and bias times their gain
``BatchNorm1d, BatchNorm2d``               a norm behind the synapses, as it is in evaluation
``AvgPool2d``                              a part of the kernel, or of the weights, of the synapses around it
``MaxPool2d`` of spikes                    neurons that fire if any in their window did: a layer
``Flatten``, ``Unflatten``                 the latter behind the first layer, where that is dense
``Dropout, Dropout1d, Dropout2d``          nothing, as in evaluation; likewise ``Identity``
=========================================  =============================================================================

A frontend adds its neurons. Where their current lasts and a bias enters it, the bias comes by a synapse from a neuron
that always fires (:mod:`export.frontends.always_firing`), since the chip adds biases to the potential.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from esvae.arrays import Float
from esvae.chip.rounding import MAX_WEIGHT_BITS
from esvae.errors import ConfigError, NetFileError, UnsupportedLayerError
from esvae.machine.arguments import shape_argument, shown
from export.frontends.always_firing import RELAY, Drawn, with_firing
from export.frontends.cell import Cell, biased, subtracting
from export.frontends.esvae_run import synapse_of
from export.frontends.sum_pools import SumPool, conv_after, dense_after, pool_after, pooled_conv
from export.ir import Conv, ConvTranspose, Dense, Flatten, FloatLif, ImageReadout, Pair, Shape
from export.ir.depthwise import depthwise
from export.ir.floats import FloatLayer, FloatNetwork, Norm
from export.passes.fold_norm import with_norm_folded

__all__ = ["MODULES", "ModuleSequence", "both_axes", "children", "in_order", "place_of"]

#: What :meth:`ModuleSequence.take` takes, for messages.
MODULES = (
    "Linear, Conv2d, ConvTranspose2d, BatchNorm1d, BatchNorm2d, AvgPool2d, MaxPool2d, Flatten, Unflatten, Dropout, "
    "Identity"
)
_SYNAPSES, _NORMS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d), (nn.BatchNorm1d, nn.BatchNorm2d)
_NOTHING = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Identity)
_NO_NEURON = FloatLif(0.0, math.inf)


@dataclass
class _Pending:
    """Synapses that wait for their neurons, and the norm between."""

    synapse: Dense[FloatLif] | Conv[FloatLif] | ConvTranspose[FloatLif]
    place: str
    norm: Norm | None = None


def place_of(module: Any, place: str) -> str:
    """What errors call a module: its name in the network and its kind."""
    return f"module '{place}' ({type(module).__name__})" if place else f"the network ({type(module).__name__})"


def in_order(modules: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The modules of sequences and lists, one in another, each with its place: one with a ``forward`` of its own does
    not say in which order its parts come.

    Raises:
        UnsupportedLayerError: neither a module nor a sequence of such.
    """
    if isinstance(modules, nn.Sequential) or not isinstance(modules, nn.Module):
        for where, child in children(modules, place):
            yield from in_order(child, where)
    else:
        yield place_of(modules, place), modules


def children(modules: Any, place: str) -> Iterator[tuple[str, Any]]:
    """The members of a sequence, each with its place.

    Raises:
        UnsupportedLayerError: it is neither a module nor a sequence.
    """
    if not isinstance(modules, Iterable) or isinstance(modules, str):
        raise UnsupportedLayerError(f"{place_of(modules, place)}: expected torch modules, or a sequence of such")
    for index, child in enumerate(modules):
        yield f"{place}.{index}" if place else str(index), child


class ModuleSequence:
    """Takes modules one by one and gives the network that they are.

    Args:
        input_shape: of the spikes at one step, ``(features,)``, that number alone, or ``(C, H, W)``.
        supported: what the frontend takes, for messages.
    """

    def __init__(self, input_shape: Shape | int, supported: str) -> None:
        self._input_shape = self._before = self._shape = shape_argument(input_shape)
        self._supported = supported
        self._layers: list[tuple[Drawn, Norm | None, float | None]] = []
        self._pending: _Pending | None = None
        self._pool: SumPool | None = None
        self._map_shape: Shape | None = None
        self._silent = ""

    def take(self, part: nn.Module, place: str) -> None:
        """Adds one of :data:`MODULES`.

        Raises:
            UnsupportedLayerError: another module, or where it stands it has no counterpart.
            ConfigError: a module in training mode.
            NetFileError: shapes that do not fit together.
        """
        if isinstance(part, _NOTHING):
            if part.training and not isinstance(part, nn.Identity):
                raise ConfigError(f"{place}: in training mode, where it drops spikes; call eval() on the network first")
            return
        self._check_open(place)
        if isinstance(part, _SYNAPSES):
            self._synapses(part, place)
        elif isinstance(part, _NORMS):
            self._norm(part, place)
        elif isinstance(part, nn.AvgPool2d):
            self._average(part, place)
        elif isinstance(part, nn.MaxPool2d):
            self._any(part, place)
        elif isinstance(part, nn.Flatten):
            self._flatten(part, place)
        elif isinstance(part, nn.Unflatten):
            self._unflatten(part, place)
        else:
            raise UnsupportedLayerError(f"{place}: not supported; supported are {self._supported}")

    def neurons(
        self,
        cell: Cell,
        place: str,
        recurrent: Float[np.ndarray, "neurons neurons"] | None = None,
        bias: Float[np.ndarray, " outputs"] | None = None,
    ) -> None:
        """Adds the neurons behind the synapses, or behind a pool, that were taken last.

        Args:
            cell, place: what they are, and what errors call them.
            recurrent: ``(neurons, neurons)``, synapses of the neurons onto each other, a step later; or None.
            bias: ``(outputs,)``, enters with what comes over those, or None.

        Raises:
            UnsupportedLayerError: no synapses to be behind.
            NetFileError: shapes that do not fit together.
        """
        self._check_open(place)
        synapse, norm, where = self._sums(place)
        after = self._fitting(synapse, where)
        if bias is not None:
            synapse, norm = biased(synapse, norm, bias)
        if cell.subtracted is not None:
            cell, own = subtracting(cell, synapse, place)
            recurrent = own if recurrent is None else recurrent + own
        synapse = replace(synapse, neuron=cell.neuron)
        current_bias = None
        if norm is not None and cell.neuron.current_keep:
            synapse, norm = with_norm_folded(synapse, norm), None
        if norm is None:
            total = None if synapse.bias is None else cell.gain * synapse.bias
            if cell.neuron.current_keep:
                current_bias, total = total if total is not None and total.any() else None, None
            synapse = replace(synapse, weight=cell.gain * synapse.weight, bias=total)
        else:
            norm = Norm(cell.gain * norm.scale, cell.gain * norm.shift)
        back = None if recurrent is None else cell.gain * recurrent
        self._add(Drawn(synapse, self._before, after, where, current_bias, back), norm, cell.scale)
        self._silent = "" if cell.fires else place

    def synapse(self, synapse: Dense[FloatLif] | Conv[FloatLif], place: str) -> None:
        """Adds synapses as a node, whose neurons are still to come."""
        self._check_open(place)
        if self._pending is not None:
            raise UnsupportedLayerError(f"{place}: follows synapses with no neurons between; put a LIF cell there")
        self._pending = _Pending(synapse, place)

    @property
    def count(self) -> int:
        """How many neurons the synapses, or the pool, that were taken last lead to."""
        synapse = None if self._pending is None else self._pending.synapse
        return synapse.outputs if isinstance(synapse, Dense) else math.prod(self._shape)

    def channels(self, place: str) -> int:
        """How many channels the map has that enters next; raises NetFileError where it is none."""
        if len(self._shape) != 3:
            raise NetFileError(f"{place}: pools {self._shape}, expected a (C, H, W) map")
        return self._shape[0]

    def dense(self, weight: Float[np.ndarray, "outputs inputs"], place: str) -> None:
        """Adds synapses ``(outputs, inputs)`` without bias, also behind others without neurons between."""
        self._check_open(place)
        pending = self._pending
        if pending is None:
            self._pending = _Pending(Dense(weight, None, _NO_NEURON), place)
            return
        first = pending.synapse if pending.norm is None else with_norm_folded(pending.synapse, pending.norm)
        if not isinstance(first, Dense) or first.outputs != weight.shape[1]:
            raise NetFileError(f"{place}: takes ({weight.shape[1]},) inputs, got what leaves {pending.place}")
        bias = None if first.bias is None else weight @ first.bias
        self._pending = _Pending(Dense(weight @ first.weight, bias, _NO_NEURON), place)

    def network(
        self, source: str, time_steps: int | None, readout: ImageReadout | None, provenance: dict[str, str] | None
    ) -> FloatNetwork:
        """The layers that were taken, with what was added to them told in the provenance under ``added``.

        Raises:
            UnsupportedLayerError: no neurons at all or at the end.
            ConfigError: a readout of neurons that fire.
        """
        if self._pending is not None:
            raise UnsupportedLayerError(f"{self._pending.place}: no neurons behind it; put a LIF or LI cell there")
        if not self._layers:
            raise UnsupportedLayerError(f"{source}: holds no neurons; supported are {self._supported}")
        if self._pool is not None:
            raise UnsupportedLayerError(f"{source}: ends with a pool; put synapses and neurons behind it")
        if readout is not None and not self._silent:
            raise ConfigError("readout: the last layer fires, so it holds no picture; end the network with a LI cell")
        notes: list[str] = []
        if not isinstance(provenance, Mapping | None):  # a caller without types
            raise ConfigError(f"provenance {shown(provenance)}: expected texts by name")
        texts = {"source": source, **(provenance or {})}
        layers = self._finished(notes)
        if notes:
            texts["added"] = "; ".join(notes)
        bits = MAX_WEIGHT_BITS if any(scale is not None for _, _, scale in self._layers) else None
        return FloatNetwork(self._input_shape, tuple(layers), time_steps, None, readout, texts, bits)

    def _finished(self, notes: list[str]) -> list[FloatLayer | Flatten]:
        layers = self._layers
        if any(drawn.current_bias is not None for drawn, _, _ in layers):
            if self._map_shape is not None:
                biased = next(drawn.where for drawn, _, _ in layers if drawn.current_bias is not None)
                raise UnsupportedLayerError(
                    f"{biased}: a bias into a current that lasts, in a network whose first layer is read as a map; use "
                    "bias=False"
                )
            plain = [
                drawn if norm is None else replace(drawn, synapse=with_norm_folded(drawn.synapse, norm))
                for drawn, norm, _ in layers
            ]
            layers = [(drawn, None, None) for drawn in with_firing(plain, notes)]
        found: list[FloatLayer | Flatten] = []
        shape = self._input_shape
        for index, (drawn, norm, scale) in enumerate(layers):
            if len(shape) == 3 and isinstance(drawn.synapse, Dense):
                found.append(Flatten())
            found.append(FloatLayer(drawn.connected(), norm, None if index else self._map_shape, scale))
            shape = drawn.after
        if len(shape) > len(self._shape):
            found.append(Flatten())
        return found

    def _check_open(self, place: str) -> None:
        if self._silent:
            raise UnsupportedLayerError(
                f"{place}: follows {self._silent}, whose potentials are no spikes; such neurons end a network"
            )

    def _add(self, drawn: Drawn, norm: Norm | None = None, scale: float | None = None) -> None:
        self._layers.append((drawn, norm, scale))
        self._before = self._shape = drawn.after
        self._pending = self._pool = None

    def _fitting(self, synapse: Any, where: str) -> Shape:
        """The shape that leaves synapses, the pool before them included."""
        shape = self._before
        if isinstance(synapse, Dense) and len(self._shape) == 1:
            shape = (math.prod(shape),)
        try:
            after: Shape = synapse.output_shape(shape)
        except NetFileError as error:
            raise NetFileError(f"{where}: {error}") from None
        return after

    def _sums(self, place: str) -> tuple[Any, Norm | None, str]:
        """Synapses with the pool before them folded in, their norm, and what errors call them."""
        pool, pending = self._pool, self._pending
        if pending is None:
            if pool is None or len(self._shape) != 3:
                raise UnsupportedLayerError(f"{place}: no synapses before it; put a Linear or Conv2d there")
            conv = depthwise(pool.kernel, self._before[0], _NO_NEURON, stride=pool.stride, padding=pool.padding)
            return conv, None, place
        synapse, where = pending.synapse, pending.place
        if pool is None:
            return synapse, pending.norm, where
        if isinstance(synapse, ConvTranspose):
            raise UnsupportedLayerError(f"{where}: a pool before a transposed convolution is not supported")
        if isinstance(synapse, Conv):
            return conv_after(pool, synapse, self._before, where), pending.norm, where
        if len(self._shape) != 1 or synapse.inputs != self._shape[0]:
            raise NetFileError(f"{where}: dense takes ({synapse.inputs},) inputs, got {self._shape}")
        return replace(synapse, weight=dense_after(pool, synapse.weight, self._before, where)), pending.norm, where

    def _synapses(self, part: Any, place: str) -> None:
        if not isinstance(part, nn.Linear) and (part.padding_mode != "zeros" or isinstance(part.padding, str)):
            raise UnsupportedLayerError(
                f"{place}: padding '{part.padding_mode}', {part.padding}: use zeros and numbers"
            )
        if part.weight.is_complex():
            raise UnsupportedLayerError(f"{place}: complex weights are not supported")
        synapse: Any = synapse_of(_on_cpu(part), _NO_NEURON)
        self.synapse(synapse, place)

    def _norm(self, part: nn.BatchNorm1d | nn.BatchNorm2d, place: str) -> None:
        if self._pending is None:
            raise UnsupportedLayerError(
                f"{place}: normalizes spikes; it is supported between synapses and their neurons"
            )
        if part.training or part.running_mean is None or part.running_var is None:
            raise ConfigError(
                f"{place}: normalizes by the batch; call eval() on the network, and track running statistics"
            )
        scale = 1 / torch.sqrt(part.running_var.double() + part.eps)
        shift = -part.running_mean.double() * scale
        if part.affine:
            scale, shift = scale * part.weight.double(), shift * part.weight.double() + part.bias.double()
        norm = Norm(*(values.detach().cpu().numpy().copy() for values in (scale, shift)))
        before = self._pending.norm
        if before is not None:
            norm = Norm(norm.scale * before.scale, norm.scale * before.shift + norm.shift)
        self._pending.norm = norm

    def _average(self, part: nn.AvgPool2d, place: str) -> None:
        kernel, stride, padding = _window(part, place)
        if part.padding and any(padding) and not part.count_include_pad:
            raise UnsupportedLayerError(f"{place}: counts fewer pixels at borders; use count_include_pad=True")
        pool = SumPool(np.full(kernel, 1 / (part.divisor_override or math.prod(kernel))), stride, padding)
        pending = self._pending
        if pending is None:
            after = pool.output_shape(self._shape, place)
            self._pool = pool if self._pool is None else pool_after(self._pool, pool, self._before, place)
            self._shape = after
        elif isinstance(pending.synapse, Conv) and pending.norm is None:
            pending.synapse = pooled_conv(pending.synapse, pool, place)
        else:
            raise UnsupportedLayerError(f"{place}: pools between a norm, or other synapses, and their neurons")

    def _any(self, part: nn.MaxPool2d, place: str) -> None:
        """The largest of spikes is a spike if there is any: a neuron that a single one makes fire."""
        if self._pending is not None or self._pool is not None:
            raise UnsupportedLayerError(f"{place}: of what are no spikes yet; put it behind the neurons")
        kernel, stride, padding = _window(part, place)
        channels = self.channels(place)
        dilation = both_axes(part.dilation)
        conv = depthwise(np.ones(kernel), channels, RELAY, stride=stride, padding=padding, dilation=dilation)
        self._add(Drawn(conv, self._before, self._fitting(conv, place), place))

    def _flatten(self, part: nn.Flatten, place: str) -> None:
        if self._pending is not None:
            raise UnsupportedLayerError(f"{place}: stands between synapses and their neurons; put it behind those")
        last = part.start_dim + len(self._shape) - 1
        if part.start_dim not in (1, 2) or part.end_dim not in (-1, last):
            raise UnsupportedLayerError(
                f"{place}: flattens axes {part.start_dim} to {part.end_dim}; expected all of a map"
            )
        self._shape = (math.prod(self._shape),)

    def _unflatten(self, part: nn.Unflatten, place: str) -> None:
        if self._pending is not None:
            raise UnsupportedLayerError(f"{place}: stands between synapses and their neurons; put it behind those")
        sizes: Any = part.unflattened_size
        shape = tuple(int(n) for n in sizes)
        first = self._layers[0][0].synapse if len(self._layers) == 1 else None
        if not isinstance(first, Dense) or len(shape) != 3 or math.prod(shape) != self._shape[0]:
            raise UnsupportedLayerError(
                f"{place}: supported only behind a first, dense layer, as a (C, H, W) map of it"
            )
        self._map_shape = self._before = self._shape = shape
        drawn, norm, scale = self._layers[0]
        self._layers[0] = replace(drawn, after=shape), norm, scale


def _window(part: Any, place: str) -> tuple[Pair, Pair, Pair]:
    if part.ceil_mode:
        raise UnsupportedLayerError(f"{place}: ceil_mode pools windows that reach over the border; use ceil_mode=False")
    return both_axes(part.kernel_size), both_axes(part.stride), both_axes(part.padding)


def both_axes(value: Any) -> Pair:
    """``(y, x)`` of what torch's modules hold for both axes, or for each."""
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[1]))


def _on_cpu(module: nn.Module) -> nn.Module:
    """The module itself, or a copy whose parameters lie in main memory."""
    weight: Any = module.weight
    return module if weight.device.type == "cpu" else copy.deepcopy(module).cpu()

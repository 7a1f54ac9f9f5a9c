"""The frontend for Norse (norse 1.1): sequences of torch's synapses and Norse's cells.

=====================================  ================================================================================
there                                  here
=====================================  ================================================================================
``Linear, Conv2d, ConvTranspose2d``    the synapses of the neurons behind them; weights and bias times the cell's gain
``BatchNorm1d, BatchNorm2d``           a norm behind the synapses, as it is in evaluation
``LIFBoxCell``                         current without memory
``LIFCell, LIF``                       current that lasts; its synapses must have no bias, see below
``LIBoxCell, LICell, LI``              the readout, at the end alone
``Flatten``, ``Unflatten``             the latter behind the first layer, where that is dense
``Dropout, Dropout2d, Identity``       nothing: in evaluation they do nothing
``Lift(...)``, sequences in sequences  what is in them
=====================================  ================================================================================

A cell's own ``dt`` is used. In Norse a bias enters the synaptic current, where it adds up while that lasts; the chip
adds it to the potential. The two are the same only for a current without memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from esvae.errors import ConfigError, NetFileError, UnsupportedLayerError
from esvae.neurons.norse import neuron_from_norse as neuron_of
from export.frontends.esvae_run import synapse_of
from export.ir import Dense, Flatten, FloatLif, ImageReadout, Shape
from export.ir.floats import FloatLayer, FloatNetwork, Norm

__all__ = ["from_norse"]

_SUPPORTED = (
    "Linear, Conv2d, ConvTranspose2d, BatchNorm1d, BatchNorm2d, Flatten, Unflatten, Dropout, Identity, Lift, "
    "Sequential, SequentialState, LIFBoxCell, LIFCell, LIF, and at the end LIBoxCell, LICell, LI"
)
_FIRING = {"LIFBoxCell", "LIFCell", "LIF"}
_SUMMING = {"LIBoxCell", "LICell", "LI"}
_SYNAPSES = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_NOTHING = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Identity)


def from_norse(
    module: nn.Module,
    input_shape: Shape,
    *,
    time_steps: int | None = None,
    readout: ImageReadout | None = None,
    provenance: dict[str, str] | None = None,
) -> FloatNetwork:
    """A trained Norse network, which stays as it is.

    Args:
        module: ``SequentialState`` or ``nn.Sequential``, in evaluation mode.
        input_shape: of the spikes at one step, ``(features,)`` or ``(C, H, W)``.
        time_steps: how long an input lasts, where that is fixed; a readout that sums without a leak needs it.
        readout: how the last layer's potentials become a picture; that layer is then one of LI.
        provenance: texts to keep with the network.

    Raises:
        UnsupportedLayerError: a module that has no counterpart; says which, where, and what has.
        ConfigError: a neuron's parameters that the chip does not have, or a module in training mode.
        NetFileError: shapes that do not fit together.

    Example: see ``docs/frontends.md``.
    """
    state = _State(tuple(input_shape))
    for place, part in _parts(module, ""):
        _take(state, part, place)
    if state.pending is not None:
        raise UnsupportedLayerError(f"{state.pending.place}: no neurons behind it; put a LIF or LI cell there")
    if not any(isinstance(layer, FloatLayer) for layer in state.layers):
        raise UnsupportedLayerError(f"{type(module).__name__}: holds no neurons; supported are {_SUPPORTED}")
    if readout is not None and not state.ended:
        raise ConfigError("readout: the last layer fires, so it holds no picture; end the network with a LI cell")
    return FloatNetwork(
        tuple(input_shape), tuple(state.layers), time_steps, None, readout, {"source": "norse", **(provenance or {})}
    )


@dataclass
class _Pending:
    """Synapses that wait for their neurons, and the norm between."""

    module: nn.Module
    place: str
    norm: Norm | None = None


class _State:
    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.layers: list[FloatLayer | Flatten] = []
        self.pending: _Pending | None = None
        self.ended = False


def _parts(module: nn.Module, place: str) -> Iterator[tuple[str, nn.Module]]:
    """The modules in the order in which spikes pass through them, sequences opened."""
    if isinstance(module, nn.Sequential):  # SequentialState is one
        for name, child in module.named_children():
            yield from _parts(child, f"{place}.{name}" if place else name)
    elif _is_norse(module) and type(module).__name__ == "Lift":
        lifted: Any = module.lifted_module
        yield from _parts(lifted, f"{place}.lifted_module" if place else "lifted_module")
    else:
        yield f"module '{place}' ({type(module).__name__})", module


def _is_norse(module: nn.Module) -> bool:
    return type(module).__module__.startswith("norse.")


def _take(state: _State, part: nn.Module, place: str) -> None:
    if isinstance(part, _NOTHING):
        if part.training and not isinstance(part, nn.Identity):
            raise ConfigError(f"{place}: in training mode, where it drops spikes; call eval() on the network first")
        return
    if state.ended:
        raise UnsupportedLayerError(f"{place}: follows a LI cell, whose potentials are no spikes; LI ends a network")
    kind = type(part).__name__ if _is_norse(part) else ""
    if isinstance(part, _SYNAPSES):
        if state.pending is not None:
            raise UnsupportedLayerError(f"{place}: follows synapses with no neurons between; put a LIF cell there")
        _check_synapse(part, place)
        state.pending = _Pending(part, place)
    elif isinstance(part, _NORMS):
        _norm(state, part, place)
    elif isinstance(part, nn.Flatten | nn.Unflatten):
        _reshape(state, part, place)
    elif kind in _FIRING | _SUMMING:
        _neurons(state, part, place, fires=kind in _FIRING)
    else:
        raise UnsupportedLayerError(f"{place}: not supported; supported are {_SUPPORTED}")


def _check_synapse(part: nn.Module, place: str) -> None:
    if isinstance(part, nn.Conv2d | nn.ConvTranspose2d) and (
        part.padding_mode != "zeros" or isinstance(part.padding, str)
    ):
        raise UnsupportedLayerError(f"{place}: padding '{part.padding_mode}', {part.padding}: use zeros and numbers")


def _norm(state: _State, part: nn.BatchNorm1d | nn.BatchNorm2d, place: str) -> None:
    if state.pending is None:
        raise UnsupportedLayerError(f"{place}: normalizes spikes; it is supported between synapses and their neurons")
    if part.training or part.running_mean is None or part.running_var is None:
        raise ConfigError(f"{place}: normalizes by the batch; call eval() on the network, and track running statistics")
    scale = 1 / torch.sqrt(part.running_var.double() + part.eps)
    shift = -part.running_mean.double() * scale
    if part.affine:
        scale, shift = scale * part.weight.double(), shift * part.weight.double() + part.bias.double()
    norm = Norm(*(values.detach().cpu().numpy().copy() for values in (scale, shift)))
    before = state.pending.norm
    if before is not None:
        norm = Norm(norm.scale * before.scale, norm.scale * before.shift + norm.shift)
    state.pending.norm = norm


def _reshape(state: _State, part: nn.Flatten | nn.Unflatten, place: str) -> None:
    if state.pending is not None:
        raise UnsupportedLayerError(f"{place}: stands between synapses and their neurons; put it behind those")
    if isinstance(part, nn.Unflatten):
        shape = tuple(int(n) for n in part.unflattened_size)  # type: ignore[arg-type]
        last = state.layers[-1] if state.layers else None
        if (
            len(state.layers) != 1
            or not isinstance(last, FloatLayer)
            or not isinstance(last.synapse, Dense)
            or len(shape) != 3
            or math.prod(shape) != state.shape[0]
        ):
            raise UnsupportedLayerError(
                f"{place}: supported only behind a first, dense layer, as a (C, H, W) map of it"
            )
        state.layers[-1], state.shape = replace(last, map_shape=shape), shape
        return
    if part.start_dim not in (1, 2) or part.end_dim not in (-1, part.start_dim + len(state.shape) - 1):
        raise UnsupportedLayerError(f"{place}: flattens axes {part.start_dim} to {part.end_dim}; expected all of a map")
    if len(state.shape) == 3:
        state.layers.append(Flatten())
        state.shape = (math.prod(state.shape),)


def _neurons(state: _State, part: nn.Module, place: str, *, fires: bool) -> None:
    if state.pending is None:
        raise UnsupportedLayerError(f"{place}: no synapses before it; put a Linear or Conv2d there")
    neuron, gain = _neuron(part, place, fires=fires)
    if state.pending.module.weight.is_complex():
        raise UnsupportedLayerError(f"{state.pending.place}: complex weights are not supported")
    synapse = synapse_of(_on_cpu(state.pending.module), neuron)
    norm = state.pending.norm
    bias = synapse.bias
    if neuron.current_keep and ((bias is not None and bias.any()) or (norm is not None and norm.shift.any())):
        raise UnsupportedLayerError(
            f"{state.pending.place}: its bias enters a current that lasts ({place}), which the chip's does not; use "
            "bias=False and no norm, or LIFBoxCell"
        )
    try:
        state.shape = synapse.output_shape(state.shape)
    except NetFileError as error:
        raise NetFileError(f"{state.pending.place}: {error}") from None
    if norm is None:
        synapse = replace(synapse, weight=gain * synapse.weight, bias=None if bias is None else gain * bias)
    else:
        norm = Norm(gain * norm.scale, gain * norm.shift)
    state.layers.append(FloatLayer(synapse, norm))
    state.pending, state.ended = None, not fires


def _on_cpu(module: nn.Module) -> nn.Module:
    """The module itself, or a copy whose parameters lie in main memory."""
    weight: Any = module.weight
    if weight.device.type == "cpu":
        return module
    import copy

    return copy.deepcopy(module).cpu()


def _neuron(part: Any, place: str, *, fires: bool) -> tuple[FloatLif, float]:
    """The neuron, and the gain of its input."""
    try:
        if fires:
            cuba = neuron_of(part.p, float(part.dt))
            return FloatLif(cuba.keep, cuba.threshold, cuba.current_keep), cuba.gain
        return _summing(part.p, float(part.dt))
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None


def _summing(parameters: Any, dt: float) -> tuple[FloatLif, float]:
    """As a firing neuron without a threshold: the same equations."""
    numbers = {}
    for name in ("tau_mem_inv", "tau_syn_inv", "v_leak"):
        values = np.asarray(torch.as_tensor(getattr(parameters, name, 1 / dt)).detach().cpu(), np.float64)
        if values.size != 1:
            raise ConfigError(f"Norse neuron: {name} has {values.size} values; the chip has one for a layer")
        numbers[name] = values.item()
    if numbers["v_leak"]:
        raise ConfigError(f"Norse neuron: v_leak is {numbers['v_leak']:g}, expected 0")
    leak, current = dt * numbers["tau_mem_inv"], dt * numbers["tau_syn_inv"]
    for name, value in (("tau_mem_inv", leak), ("tau_syn_inv", current)):
        if not 0 <= value <= 1 + 1e-12:
            raise ConfigError(f"Norse neuron: dt * {name} is {value:g}, expected 0 to 1; use a smaller time step")
    return FloatLif(1 - leak, math.inf, max(1 - current, 0.0) if hasattr(parameters, "tau_syn_inv") else 0.0), leak

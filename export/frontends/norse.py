"""The frontend for Norse (norse 1.1): sequences of torch's modules and Norse's cells.

=====================================  ================================================================================
there                                  here
=====================================  ================================================================================
torch's modules                        as in :mod:`export.frontends.sequence`
``LIFBoxCell``                         current without memory
``LIFCell, LIF``                       current that lasts; a bias before it comes from a neuron that always fires
``LIFRecurrentCell, LIFRecurrent``     the same, with both of their matrices
``LIBoxCell, LICell, LI``              the readout, at the end alone
``Lift(...)``, sequences in sequences  what is in them
=====================================  ================================================================================

A cell's own ``dt`` is used. Norse computes in float32, whatever it is given, unless told otherwise; what is here is
float64, so that a potential within rounding of the threshold may fall on its other side.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from torch import nn

from esvae.errors import ConfigError
from esvae.neurons.norse import neuron_from_norse, one_value
from export.frontends.cell import Cell, parameter_array
from export.frontends.sequence import MODULES, ModuleSequence, place_of
from export.ir import FloatLif, ImageReadout, Shape
from export.ir.floats import FloatNetwork

__all__ = ["from_norse"]

_SUPPORTED = (
    f"{MODULES}, Lift, Sequential, SequentialState, LIFBoxCell, LIFCell, LIF, LIFRecurrentCell, LIFRecurrent, and at "
    "the end LIBoxCell, LICell, LI"
)
_FIRING = {"LIFBoxCell", "LIFCell", "LIF"}
_RECURRENT = {"LIFRecurrentCell", "LIFRecurrent"}
_SUMMING = {"LIBoxCell", "LICell", "LI"}


def from_norse(
    module: nn.Module,
    input_shape: Shape | int,
    *,
    time_steps: int | None = None,
    readout: ImageReadout | None = None,
    provenance: dict[str, str] | None = None,
) -> FloatNetwork:
    """A trained Norse network, which stays as it is.

    Args:
        module: ``SequentialState`` or ``nn.Sequential``, in evaluation mode.
        input_shape: of the spikes at one step, ``(features,)``, that number alone, or ``(C, H, W)``.
        time_steps: how long an input lasts, where that is fixed; a readout that sums without a leak needs it.
        readout: how the last layer's potentials become a picture; that layer is then one of LI.
        provenance: texts to keep with the network.

    Raises:
        UnsupportedLayerError: a module that has no counterpart; says which, where, and what has.
        ConfigError: a neuron's parameters that the chip does not have, or a module in training mode.
        NetFileError: shapes that do not fit together.

    Example: see ``docs/frontends.md``.
    """
    sequence = ModuleSequence(input_shape, _SUPPORTED)
    for place, part in _parts(module, ""):
        kind = type(part).__name__ if _is_norse(part) else ""
        if kind in _FIRING | _SUMMING:
            sequence.neurons(_cell(part, place, fires=kind in _FIRING), place)
        elif kind in _RECURRENT:
            sequence.dense(parameter_array(part.input_weights), place)
            sequence.neurons(_cell(part, place, fires=True), place, parameter_array(part.recurrent_weights))
        else:
            sequence.take(part, place)
    return sequence.network("norse", time_steps, readout, provenance)


def _parts(module: nn.Module, place: str) -> Iterator[tuple[str, nn.Module]]:
    """The modules in the order in which spikes pass through them, sequences opened."""
    if isinstance(module, nn.Sequential):  # SequentialState is one
        for name, child in module.named_children():
            yield from _parts(child, f"{place}.{name}" if place else name)
    elif _is_norse(module) and type(module).__name__ == "Lift":
        lifted: Any = module.lifted_module
        yield from _parts(lifted, f"{place}.lifted_module" if place else "lifted_module")
    else:
        yield place_of(module, place), module


def _is_norse(module: nn.Module) -> bool:
    return type(module).__module__.startswith("norse.")


def _cell(part: Any, place: str, *, fires: bool) -> Cell:
    try:
        if fires:
            cuba = neuron_from_norse(part.p, float(part.dt))
            return Cell(FloatLif(cuba.keep, cuba.threshold, cuba.current_keep), cuba.gain)
        return _summing(part.p, float(part.dt))
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None


def _summing(parameters: Any, dt: float) -> Cell:
    """As a firing neuron without a threshold: the same equations."""
    lasts = hasattr(parameters, "tau_syn_inv")
    leak = dt * one_value(parameters, "tau_mem_inv")
    current = dt * one_value(parameters, "tau_syn_inv") if lasts else 1.0
    if v_leak := one_value(parameters, "v_leak"):
        raise ConfigError(f"Norse neuron: v_leak is {v_leak:g}, expected 0")
    for name, value in (("tau_mem_inv", leak), ("tau_syn_inv", current)):
        if not 0 <= value <= 1 + 1e-12:
            raise ConfigError(f"Norse neuron: dt * {name} is {value:g}, expected 0 to 1; use a smaller time step")
    return Cell(FloatLif(1 - leak, math.inf, max(1 - current, 0.0)), leak)

"""The frontend for snnTorch (snntorch 1.0): sequences of torch's modules and its leaky neurons.

=============================  ======================================================================================
there                          here
=============================  ======================================================================================
torch's modules                as in :mod:`export.frontends.sequence`
``Leaky``                      current without memory, ``keep`` is ``beta``
``Synaptic``                   current that lasts, by ``alpha``; a bias before it comes from a neuron that always fires
``RLeaky``                     the same as ``Leaky``, with ``recurrent``: a ``Linear``, or one weight a neuron (``V``)
``reset_mechanism="zero"``     the chip's own reset
``"subtract"``                 of both behind ``Linear``: a synapse of each neuron onto itself
``"none"``                     the readout, at the end alone: potentials, not spikes
=============================  ======================================================================================

``Synaptic`` and ``RLeaky`` with ``reset_delay=True`` (their default) put the potential of the step *behind* a spike to
zero, and with it what entered in that step; no neuron of the chip does. With ``reset_delay=False``, which can also be
set afterwards, they go on from zero in that step. ``RSynaptic`` loses it with either setting. A reset that subtracts is
snnTorch's with ``reset_delay=True``, the default; with ``False`` it is so while no potential passes two thresholds:
above them snnTorch takes the next spike for one that was subtracted already, which is said at conversion.

Modules are told by their class's name and module, and read by their attributes: snnTorch need not be installed.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import nn

from esvae.errors import ConfigError, NetFileError, UnsupportedLayerError
from export.frontends.cell import Cell, parameter_array
from export.frontends.sequence import MODULES, ModuleSequence, in_order
from export.ir import FloatLif, ImageReadout, Shape
from export.ir.floats import FloatNetwork

__all__ = ["from_snntorch"]

_SUPPORTED = f"{MODULES}, Sequential, and snntorch's Leaky, RLeaky and Synaptic"
_NEURONS = ("Leaky", "RLeaky", "Synaptic", "RSynaptic")
_LOSES = "loses what enters in the step behind a spike"


def from_snntorch(
    modules: nn.Module | Iterable[nn.Module],
    input_shape: Shape | int,
    *,
    time_steps: int | None = None,
    readout: ImageReadout | None = None,
    provenance: dict[str, str] | None = None,
) -> FloatNetwork:
    """A trained snnTorch network, which stays as it is.

    Args:
        modules: ``nn.Sequential``, or the modules in the order in which spikes pass through them, for example
            ``[net.fc1, net.lif1, net.fc2, net.lif2]``; in evaluation mode.
        input_shape: of the spikes at one step, ``(features,)``, that number alone, or ``(C, H, W)``.
        time_steps: how long an input lasts, where that is fixed; a readout that sums without a leak needs it.
        readout: how the last layer's potentials become a picture; that layer then has ``reset_mechanism="none"``.
        provenance: texts to keep with the network.

    Raises:
        UnsupportedLayerError: a module or a setting that has no counterpart; says which, where, and what to do.
        ConfigError: parameters that the chip does not have, or a module in training mode.
        NetFileError: shapes that do not fit together.

    Example: see ``docs/frontends.md``.
    """
    sequence, differs = ModuleSequence(input_shape, _SUPPORTED), list[str]()
    for place, part in in_order(modules):
        if type(part).__module__.startswith("snntorch.") and type(part).__name__ in _NEURONS:
            sequence.neurons(_cell(part, place), place, *_recurrence(part, sequence.count, place))
            if part.reset_mechanism == "subtract" and not part.reset_delay:
                differs.append(f"{place}: where a potential passes two thresholds; train with reset_delay=True")
        else:
            sequence.take(part, place)
    if differs:
        provenance = {"differs from snntorch": "; ".join(differs), **(provenance or {})}
        warnings.warn(f"spikes will differ from snnTorch's: {'; '.join(differs)}", stacklevel=2)
    return sequence.network("snntorch", time_steps, readout, provenance)


def _cell(part: Any, place: str) -> Cell:
    for wrong, what in (
        (part.inhibition, "inhibition, by which one neuron silences the others"),
        (part.state_quant, "state_quant, which rounds states as the chip does not"),
        (
            _one(part, "graded_spikes_factor", place) != 1,
            "graded_spikes_factor other than 1, spikes that are no spikes",
        ),
    ):
        if wrong:
            raise UnsupportedLayerError(f"{place}: {what}, is not supported; train without it")
    reset = part.reset_mechanism
    keep, threshold = _share(part, "beta", place), _one(part, "threshold", place)
    kind = type(part).__name__
    current = _share(part, "alpha", place) if kind in ("Synaptic", "RSynaptic") else 0.0
    if reset == "none":
        return Cell(FloatLif(keep, math.inf, current))
    if not hasattr(part, "reset_delay"):
        raise UnsupportedLayerError(f"{place}: of a snnTorch that resets otherwise; update it: pip install -U snntorch")
    if reset == "subtract":
        return Cell(FloatLif(keep, threshold, current), subtracted=threshold * (1.0 if part.reset_delay else keep))
    if kind == "RSynaptic":
        raise UnsupportedLayerError(f"{place}: it {_LOSES}; use RLeaky, or Synaptic, with reset_delay=False")
    if kind != "Leaky" and part.reset_delay:
        raise UnsupportedLayerError(f"{place}: with reset_delay=True it {_LOSES}; set reset_delay=False")
    return Cell(FloatLif(keep, threshold, current))


def _recurrence(part: Any, count: int, place: str) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Synapses of the neurons onto each other, and the bias that comes with them."""
    back = getattr(part, "recurrent", None)
    if back is None:
        return None, None
    if isinstance(back, nn.Linear):
        return parameter_array(back.weight), None if back.bias is None else parameter_array(back.bias)
    if not hasattr(back, "V"):
        raise UnsupportedLayerError(
            f"{place}: its spikes come back through {type(back).__name__}; supported are linear_features, and "
            "all_to_all=False"
        )
    own = parameter_array(torch.as_tensor(back.V)).reshape(-1)
    if own.size not in (1, count):
        raise NetFileError(f"{place}: V has {own.size} values, expected 1 or {count}, as it has neurons")
    return np.diag(np.broadcast_to(own, (count,))), None


def _one(part: Any, name: str, place: str) -> float:
    values = torch.as_tensor(getattr(part, name, 1.0)).detach().double()
    least, most = float(values.min()), float(values.max())
    if least != most:
        raise ConfigError(
            f"{place}: {name} has {values.numel()} values from {least:g} to {most:g}; the chip has one for a layer"
        )
    return least


def _share(part: Any, name: str, place: str) -> float:
    """Clamped, as snnTorch does at each step."""
    return min(max(_one(part, name, place), 0.0), 1.0)

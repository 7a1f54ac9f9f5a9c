"""Norse's ``LIFBox`` and ``LIF`` (norse 1.1, ``norse.torch``): Euler steps of length dt.

``LIFBox``: ``v += dt tau_mem_inv (x - v)``. ``LIF``: ``i += x; v += dt tau_mem_inv (i - v); i -= dt tau_syn_inv i``. So
``keep = 1 - dt tau_mem_inv``, ``gain = dt tau_mem_inv``, ``current_keep = 1 - dt tau_syn_inv``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from esvae.arrays import Float
from esvae.errors import ConfigError
from esvae.neurons.cuba import Cuba

__all__ = ["NorseCell", "neuron_from_norse", "one_value", "run_norse", "to_norse"]

_STEP = 0.001  # seconds, Norse's own default


@dataclass(frozen=True)
class NorseCell:
    """A Norse neuron that fires as ours.

    Attributes:
        parameters: ``LIFBoxParameters`` or ``LIFParameters``.
        dt: its time step in seconds.
        input_scale: what our input has to be multiplied by, since Norse's gain is bound to its leak.
    """

    parameters: Any
    dt: float
    input_scale: float


def _norse() -> Any:
    try:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Norse's import sets off in newer versions of torch
            import norse.torch
    except ImportError as error:
        raise ConfigError(f"Norse is not installed ({error}); run: pip install 'esvae-loihi[norse]'") from None
    return norse.torch


def to_norse(neuron: Cuba, dt: float = _STEP) -> NorseCell:
    """The Norse neuron: ``LIFBox`` where there is no current to keep, else ``LIF``.

    Its surrogate gradient is SuperSpike, the only one that both sides have.

    Raises:
        ConfigError: a neuron that keeps all of its potential, whose gain in Norse would be zero; no Norse.
    """
    if neuron.keep == 1:
        raise ConfigError(
            "neuron: keep 1 has no counterpart in Norse, whose input then has no effect; use at most 0.999"
        )
    norse = _norse()
    numbers = {"tau_mem_inv": (1 - neuron.keep) / dt, "v_th": neuron.threshold, "v_leak": 0.0, "v_reset": 0.0}
    kind = norse.LIFBoxParameters
    if neuron.current_keep:
        kind, numbers["tau_syn_inv"] = norse.LIFParameters, (1 - neuron.current_keep) / dt
    tensors = {name: torch.as_tensor(value, dtype=torch.float64) for name, value in numbers.items()}
    return NorseCell(kind(**tensors, method="super"), dt, neuron.gain / (1 - neuron.keep))


def neuron_from_norse(parameters: Any, dt: float = _STEP) -> Cuba:
    """Our neuron, from Norse's ``LIFBoxParameters`` or ``LIFParameters`` and its time step in seconds.

    Raises:
        ConfigError: other parameters, a leak or reset potential other than zero, a soft reset, a stochastic threshold.
    """
    names = {name for name in ("tau_mem_inv", "v_leak", "v_th", "v_reset", "method") if not hasattr(parameters, name)}
    if names or type(parameters).__name__ not in ("LIFBoxParameters", "LIFParameters"):
        raise ConfigError(f"Norse's {type(parameters).__name__} cannot be converted; LIFBox and LIF can")
    for name in ("v_leak", "v_reset"):
        if (value := one_value(parameters, name)) != 0:
            raise ConfigError(f"Norse neuron: {name} is {value:g}, expected 0, which all potentials can be shifted to")
    reset = getattr(parameters, "reset_method", None)
    if reset is not None and getattr(reset, "__name__", "") != "reset_value":
        raise ConfigError("Norse neuron: its reset subtracts the threshold; the chip's sets the potential to zero")
    if parameters.method in ("logistic", "circ_dist"):
        raise ConfigError(f"Norse neuron: the method '{parameters.method}' fires at random; use 'super'")
    leak = dt * one_value(parameters, "tau_mem_inv")
    current = 1.0 if not hasattr(parameters, "tau_syn_inv") else dt * one_value(parameters, "tau_syn_inv")
    for name, value in (("tau_mem_inv", leak), ("tau_syn_inv", current)):
        if not 0 <= value <= 1:
            raise ConfigError(f"Norse neuron: dt * {name} is {value:g}, expected 0 to 1; use a smaller time step")
    return Cuba(1 - leak, one_value(parameters, "v_th"), 1 - current, leak, "superspike")


def one_value(parameters: Any, name: str) -> float:
    """The parameter of that name, a number, or a tensor whose values are all equal.

    Raises:
        ConfigError: values that differ.
    """
    value = torch.as_tensor(getattr(parameters, name))
    least, most = (float(limit) for limit in (value.min(), value.max()))
    if least != most:
        raise ConfigError(
            f"Norse neuron: {name} has {value.numel()} values from {least:g} to {most:g}; the chip has one for a layer"
        )
    return least


def run_norse(neuron: Cuba, x: Float[torch.Tensor, " steps *neurons"]) -> Float[torch.Tensor, " steps *neurons"]:
    """Spikes ``(T, ...)`` of inputs ``(T, ...)``, by Norse's own cells, with their gradients."""
    norse, cell = _norse(), to_norse(neuron)
    kinds = {"LIFBoxParameters": norse.LIFBoxCell, "LIFParameters": norse.LIFCell}
    module = kinds[type(cell.parameters).__name__](cell.parameters, dt=cell.dt)
    seen, state = [], None
    for drive in x * cell.input_scale:
        spikes, state = module(drive, state)
        seen.append(spikes)
    return torch.stack(seen)

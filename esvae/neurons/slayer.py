"""Lava-DL's ``slayer.neuron.cuba`` (lava-dl 0.6): integers inside, decays in 1/4096, states in 1/4096, weights in 1/64.

It fires at ``v >= threshold + eps``, with eps far below its resolution, which on its integers is ``v > threshold``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from esvae.arrays import Float
from esvae.chip.formats import DECAY_UNITY
from esvae.errors import ConfigError
from esvae.neurons.cuba import Cuba

__all__ = ["SlayerNeuron", "neuron_from_slayer", "run_slayer", "to_slayer"]

#: The threshold that ours is scaled to, so that slayer's fixed point resolves it to 1 in 2^17.
_THRESHOLD = 32.0


@dataclass(frozen=True)
class SlayerNeuron:
    """Arguments of ``slayer.neuron.cuba.Neuron`` with which it fires as ours, but for its rounding.

    Attributes:
        threshold, current_decay, voltage_decay: as it takes them.
        input_scale: what our input has to be multiplied by, which has nothing to do with slayer's weight scale.
    """

    threshold: float
    current_decay: float
    voltage_decay: float
    input_scale: float


def to_slayer(neuron: Cuba) -> SlayerNeuron:
    """Slayer's neuron, its threshold scaled to 32 so that its integers are fine; decays are rounded to 1/4096."""
    current, voltage = (round((1 - keep) * DECAY_UNITY) / DECAY_UNITY for keep in (neuron.current_keep, neuron.keep))
    return SlayerNeuron(_THRESHOLD, current, voltage, neuron.gain * _THRESHOLD / neuron.threshold)


def neuron_from_slayer(neuron: Any) -> Cuba:
    """Our neuron from a ``slayer.neuron.cuba.Neuron``, in slayer's units.

    Raises:
        ConfigError: another neuron (adaptive, resonating, sigma-delta), graded spikes, decays by neuron, a norm.
    """
    kind = f"{type(neuron).__module__}.{type(neuron).__name__}"
    if not kind.endswith("neuron.cuba.Neuron"):
        raise ConfigError(f"slayer neuron {kind} cannot be converted; slayer.neuron.cuba.Neuron can")
    for wrong, what in (
        (neuron.graded_spike, "graded spikes; the chip's LIF sends 0 or 1"),
        (not neuron.shared_param, "decays of its own for each neuron; the chip has one for a layer"),
        (neuron.norm is not None, "a norm inside; take it off, or fold it into the weights"),
    ):
        if wrong:
            raise ConfigError(f"slayer neuron has {what}")
    keep, current_keep = (
        1 - float(torch.round(decay.detach()).item()) / DECAY_UNITY
        for decay in (neuron.voltage_decay, neuron.current_decay)
    )
    if not math.isfinite(keep + current_keep):
        raise ConfigError("slayer neuron has decays that are not finite; train again with a lower learning rate")
    return Cuba(keep, float(neuron.threshold), current_keep)


def run_slayer(
    neuron: Cuba, x: Float[torch.Tensor, "steps images *neurons"]
) -> Float[torch.Tensor, "steps images *neurons"]:
    """Spikes ``(T, N, ...)`` of inputs ``(T, N, ...)``, by slayer's own neuron, with its gradients.

    Its surrogate gradient is relaxed over one threshold and scaled to 1 (``tau_grad`` 1/100, ``scale_grad`` 10, which
    undo slayer's own factors of 100 and 1/10).

    Raises:
        ConfigError: lava-dl cannot be imported here.
    """
    try:
        from lava.lib.dl import slayer
    except ImportError as error:
        raise ConfigError(
            f"lava-dl cannot be imported ({error}); train with it on Python 3.10: esvae lava doctor"
        ) from None
    wanted = to_slayer(neuron)
    module = slayer.neuron.cuba.Neuron(
        wanted.threshold, wanted.current_decay, wanted.voltage_decay, tau_grad=0.01, scale_grad=10
    ).to(x.device)
    scaled = (x.float() * wanted.input_scale).movedim(0, -1)
    if scaled.ndim < 3:
        scaled = scaled.unsqueeze(1)
    spikes: torch.Tensor = module(scaled)
    return spikes.movedim(-1, 0).reshape(x.shape).to(x.dtype)

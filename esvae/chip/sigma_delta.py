"""The sigma-delta neurons, defined: their parameters and one step, in the chip's integers.

They send graded messages: not whether something is there, but by how much it has changed. The reference simulator
quotes this; the twin shares the parameters alone. The models are Lava's ``PySigmaDeltaModelFixed``,
``PyDeltaModelFixed`` and ``PySigmaModelFixed`` (lava-nc 0.10.0, ``lava/proc/sdn/models.py``) as netx makes them
(lava-dl 0.6.0, ``netx/hdf5.py: get_neuron_params``: ``spike_exp`` 6, ``state_exp`` 6, ReLU, no cumulative error).

Registers, all of 32 bit, which overflow by two's complement::

    a        sum of weights times the messages that arrived
    sigma    what all messages since the start add up to
    act      activation, 12 fractional bits
    residue  change of the activation that was not sent yet
    m        message, 6 fractional bits

One step of :class:`SigmaDelta`; of :class:`Delta` the same with ``sigma = 0``, without ReLU, and the frame as bias::

    sigma   <- sigma + a
    new      = max(sigma + (bias << 12), 0)
    delta    = new - act + residue
    sent     = delta where |delta| >= threshold << 12, else 0
    residue <- delta - sent
    act     <- new
    m        = sent >> 6                                   rounds down: -1 >> 6 = -1

``|-2^31|`` is -2^31 in 32 bit, and so below any threshold. One step of :class:`Sigma`::

    sigma   <- sigma + a
    m        = sigma
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from esvae.arrays import Int64, Integer
from esvae.chip.formats import MESSAGE_EXP, REGISTER_BITS, SIGMA_EXP
from esvae.chip.neuron import wrap_signed

__all__ = ["Delta", "GradedNeuron", "Sigma", "SigmaDelta", "SigmaDeltaState", "sigma_delta_step"]


@dataclass(frozen=True)
class SigmaDelta:
    """Adds up messages, rectifies, and sends changes of at least a threshold.

    Attributes:
        threshold: ``vThMant``; a change is sent when its magnitude is ``threshold << 12`` or more.
    """

    threshold: int


@dataclass(frozen=True)
class Delta:
    """Encodes frames that enter a network: sends their changes; has no synapses.

    Attributes:
        threshold: as of :class:`SigmaDelta`.
    """

    threshold: int


@dataclass(frozen=True)
class Sigma:
    """Adds up messages and sends the sum at every step: the readout of a sigma-delta network (``sigma_output``)."""


#: Neurons that send messages instead of spikes.
GradedNeuron: TypeAlias = SigmaDelta | Delta | Sigma


@dataclass(frozen=True, eq=False)
class SigmaDeltaState:
    """What one layer's neurons hold between two steps, whole numbers.

    Attributes:
        sigma, act, residue: see the module; of :class:`Delta` neurons ``sigma`` stays 0, of :class:`Sigma` neurons
            ``act`` is ``sigma``.
    """

    sigma: Int64[np.ndarray, "*shape"]
    act: Int64[np.ndarray, "*shape"]
    residue: Int64[np.ndarray, "*shape"]

    @staticmethod
    def at_rest(shape: tuple[int, ...]) -> SigmaDeltaState:
        """All zero."""
        return SigmaDeltaState(*(np.zeros(shape, np.int64) for _ in range(3)))


def sigma_delta_step(
    state: SigmaDeltaState,
    a: Integer[np.ndarray, "*shape"],
    bias: Integer[np.ndarray, " ..."] | int,
    neuron: GradedNeuron,
) -> tuple[SigmaDeltaState, Int64[np.ndarray, "*shape"]]:
    """One time step.

    Args:
        state: before the step.
        a: what arrives over synapses; zeros for :class:`Delta`.
        bias: bias mantissa, broadcast against ``a``; the frame for :class:`Delta`; :class:`Sigma` neurons have none.
        neuron: which, and its threshold.

    Returns:
        The state after the step, and the messages.
    """
    sigma = _held(state.sigma + a.astype(np.int64))
    if isinstance(neuron, Sigma):
        return SigmaDeltaState(sigma, sigma, state.residue), sigma
    new = _held(sigma + (np.asarray(bias, np.int64) << SIGMA_EXP))
    if isinstance(neuron, SigmaDelta):
        new = np.maximum(new, 0)
    delta = _held(new - state.act + state.residue)
    sent = np.where(_held(np.abs(delta)) >= neuron.threshold << SIGMA_EXP, delta, 0)
    return SigmaDeltaState(sigma, new, delta - sent), sent >> MESSAGE_EXP


def _held(x: Int64[np.ndarray, "*shape"]) -> Int64[np.ndarray, "*shape"]:
    return wrap_signed(x, REGISTER_BITS)

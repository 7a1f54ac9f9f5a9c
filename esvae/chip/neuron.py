"""The neuron, defined: its parameters and one step, in floats and in the chip's integers.

Everything else quotes this: training in integers (:mod:`esvae.chip.lif`), the encoder, the reference simulator, and the
twin, which shares the parameters alone. The integer neuron is Lava's ``PyLifModelBitAcc`` (lava-nc 0.10.0).

Registers::

    a   sum of the weights of the inputs that spiked
    u   current, held in 32 bit; brought back once by 2^24 when above 2^23 or at or below -2^23
    v   membrane potential, 24 bit, saturates at +-(2^23 - 1)

One step of :class:`Lif`::

    trunc(x, d) = sign(x) * (|x| * (4096 - d) >> 12)       rounds toward zero
    u <- wrap(trunc(u, iDecay) + (a << 6))
    v <- clip(trunc(v, vDecay) + u + (bias << 6))
    s  = v > threshold << 6                                strictly above
    v  = 0 where s

One step of :class:`FloatLif`::

    u <- current_keep * u + a
    v <- keep * v + u + bias
    s  = v > threshold                                     strictly above
    v  = 0 where s

Others that hold a neuron's parameters are these two with what another room adds: a config's text and its bounds
(``NeuronConfig``), a surrogate gradient and a gain for training (:class:`esvae.neurons.cuba.Cuba`), numbers that are
learned (:class:`esvae.model.learned.LearnedLif`), a library's own units (``NorseCell``, ``SlayerNeuron``), and what a
foreign cell does beyond them until it is made of synapses (:class:`export.frontends.cell.Cell`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from esvae.arrays import Bool, Int64, Integer, Real
from esvae.chip.formats import DECAY_SHIFT, DECAY_UNITY, REGISTER_BITS, STATE_LIMIT, STATE_SHIFT, STATE_WRAP

__all__ = ["INTEGRATOR", "NEVER_FIRES", "Decay", "FloatLif", "Lif", "decay", "lif_step", "wrap_signed"]

#: Parts of 4096 lost each step: the same of all neurons of a layer, or an int for each, or for each channel. (Any,
#: since the run-time check of annotations draws random items of a tuple, which Hypothesis does not let strategies do.)
Decay: TypeAlias = int | tuple[Any, ...]


@dataclass(frozen=True)
class Lif:
    """The chip's integer leaky integrate-and-fire neurons of a layer.

    Attributes:
        current_decay: ``iDecay``, parts of 4096 lost each step; 4096 means a current without memory. One number, or one
            for each neuron of a dense layer, each channel of a map; where all are equal, they are made one.
        voltage_decay: ``vDecay``, likewise for the membrane potential.
        threshold: ``vThMant``; the neuron fires when its potential is above ``threshold << 6``.
    """

    current_decay: Decay
    voltage_decay: Decay
    threshold: int

    def __post_init__(self) -> None:
        for name in ("current_decay", "voltage_decay"):
            value = getattr(self, name)
            if isinstance(value, tuple) and len(set(value)) == 1:
                object.__setattr__(self, name, value[0])

    @property
    def decays(self) -> tuple[Int64[np.ndarray, " ..."], Int64[np.ndarray, " ..."]]:
        """Those of the current and of the potential: ``()``, or ``(neurons,)`` or ``(C,)`` where they differ."""
        return np.asarray(self.current_decay), np.asarray(self.voltage_decay)

    def spread(self, shape: tuple[int, ...], order: Integer[np.ndarray, " neurons"] | None = None) -> Lif:
        """Neurons of a shape as a vector: a decay for each, where those of its channels differ.

        Args:
            shape: ``(neurons,)`` or ``(C, H, W)``.
            order: in which they lie, as positions among theirs; that one where None.
        """
        if self.uniform:
            return self
        pixels = math.prod(shape[1:])
        places = np.arange(math.prod(shape)) if order is None else order
        current, voltage = (tuple(each[places // pixels].tolist()) if each.ndim else int(each) for each in self.decays)
        return Lif(current, voltage, self.threshold)

    @property
    def uniform(self) -> bool:
        """Whether all neurons of the layer are alike."""
        return not (isinstance(self.current_decay, tuple) or isinstance(self.voltage_decay, tuple))

    @property
    def current_keep(self) -> float:
        """The share of the synaptic current that survives a step, before it is rounded; the largest of all neurons."""
        return 1 - int(self.decays[0].min()) / DECAY_UNITY

    @property
    def keep(self) -> float:
        """The share of the potential that survives a step, before it is rounded; the largest of all neurons."""
        return 1 - int(self.decays[1].min()) / DECAY_UNITY


@dataclass(frozen=True)
class FloatLif:
    """The float neuron, in the units of its layer's weights.

    Attributes:
        keep: the share of the potential that survives a step, 0 to 1.
        threshold: ``math.inf`` for the readout, which never fires.
        current_keep: the share of the synaptic current that survives a step.
    """

    keep: float
    threshold: float
    current_keep: float = 0.0


#: The threshold that lava-dl's slayer writes for a layer whose neurons must not fire (``block.base.AbstractAffine``):
#: one bit wider than the register, above every potential.
NEVER_FIRES = (1 << 18) - 1

#: What netx makes of a dense layer that has no neuron (``netx/hdf5.py: create_dense``): the current sums up without a
#: leak, the potential shows it, and the threshold of 2^17 lies above every potential.
INTEGRATOR = Lif(0, DECAY_UNITY, 1 << 17)


def wrap_signed(x: Integer[np.ndarray, "*shape"], bits: int) -> Integer[np.ndarray, "*shape"]:
    """``x`` modulo ``2^bits``, in [-2^(bits-1), 2^(bits-1)): two's complement overflow."""
    half = 1 << (bits - 1)
    return (x + half) % (1 << bits) - half


def decay(x: Real[np.ndarray, "*shape"], amount: int | Integer[np.ndarray, " ..."]) -> Int64[np.ndarray, "*shape"]:
    """Keeps ``4096 - amount`` parts in 4096 of ``x``, rounded toward zero.

    >>> decay(np.array([5, -5]), 2048)
    array([ 2, -2])
    """
    product = x.astype(np.int64) * (DECAY_UNITY - amount)
    return np.sign(product) * (np.abs(product) >> DECAY_SHIFT)


def lif_step(
    u: Real[np.ndarray, "*shape"],
    v: Real[np.ndarray, "*shape"],
    a: Real[np.ndarray, "*shape"],
    bias: Integer[np.ndarray, " ..."] | int,
    neuron: Lif,
) -> tuple[Int64[np.ndarray, "*shape"], Int64[np.ndarray, "*shape"], Bool[np.ndarray, "*shape"]]:
    """One time step of the integer neuron.

    Args:
        u, v: current and membrane potential before the step, whole numbers.
        a: sums of the weights of the inputs that spiked.
        bias: bias mantissa, broadcast against ``v``.
        neuron: decays and threshold.

    Returns:
        ``u``, ``v`` and the spikes ``s`` after the step.
    """
    current_decay, voltage_decay = neuron.decays
    u = wrap_signed(decay(u, current_decay) + (a.astype(np.int64) << STATE_SHIFT), REGISTER_BITS)
    u = np.where(u > STATE_LIMIT, u - STATE_WRAP, np.where(u <= -STATE_LIMIT, u + STATE_WRAP, u))
    drive = wrap_signed(decay(v, voltage_decay) + u + (np.int64(1) * bias << STATE_SHIFT), REGISTER_BITS)
    v = np.clip(drive, -(STATE_LIMIT - 1), STATE_LIMIT - 1)
    s = v > neuron.threshold << STATE_SHIFT
    return u, np.where(s, 0, v), s

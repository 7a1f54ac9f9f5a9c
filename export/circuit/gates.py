"""Logic out of stock neurons: a neuron without memory is a threshold gate with a delay of one step.

With both decays at 4096 and a threshold of 0 the chip's neuron (:mod:`esvae.chip.neuron`) forgets everything between
two steps, so that::

    s(t) = [ sum of w * s(t - 1) + bias > 0 ]

A :class:`Circuit` collects such gates and hands over their recurrent weights and biases. A gate is asked for as
``signal >= count``, where a :class:`Signal` is a sum of spikes with whole coefficients. Weights are twice the
coefficients and biases odd: a weight of mixed sign keeps no lowest bit on the chip, and no sum ties with the threshold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from esvae.arrays import Int32
from esvae.chip.formats import BIAS, DECAY_UNITY, WEIGHT
from esvae.chip.neuron import Lif
from esvae.errors import HardwareRangeError

__all__ = [
    "GATE",
    "WEIGHT_STEP",
    "Circuit",
    "Signal",
    "and_gate",
    "or_gate",
    "relay",
]

#: The neuron that all gates are: no memory, and it fires where the sum is above 0.
GATE = Lif(DECAY_UNITY, DECAY_UNITY, 0)
#: What a coefficient of 1 weighs: the smallest step of weights of mixed sign.
WEIGHT_STEP = 2


@dataclass(frozen=True)
class Signal:
    """A sum of spikes of one step, each with a whole coefficient; a single neuron is a signal too.

    Attributes:
        terms: coefficient by neuron.
    """

    terms: Mapping[int, int] = field(default_factory=dict)

    def __add__(self, other: Signal) -> Signal:
        terms = dict(self.terms)
        for neuron, coefficient in other.terms.items():
            terms[neuron] = terms.get(neuron, 0) + coefficient
        return Signal(terms)

    def __sub__(self, other: Signal) -> Signal:
        return self + other * -1

    def __mul__(self, factor: int) -> Signal:
        return Signal({neuron: factor * coefficient for neuron, coefficient in self.terms.items()})


class Circuit:
    """Gates, by name, and the synapses between them.

    Attributes:
        names: of the neurons, in order; ``stage.number`` as a rule.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._drives: list[tuple[Signal, int] | None] = []

    def __len__(self) -> int:
        return len(self.names)

    def neuron(self, name: str) -> Signal:
        """A new neuron, silent until :meth:`drive` says when it fires."""
        self.names.append(name)
        self._drives.append(None)
        return Signal({len(self.names) - 1: 1})

    def drive(self, neuron: Signal, by: Signal, at_least: int) -> None:
        """The neuron fires one step after each at which ``by`` was ``at_least`` so much.

        Raises:
            HardwareRangeError: a coefficient or count beyond what a weight or a bias holds.
        """
        (number,) = neuron.terms
        name = self.names[number]
        for coefficient in by.terms.values():
            WEIGHT.check(WEIGHT_STEP * coefficient, name, "spread it over several neurons")
        BIAS.check(_bias(at_least), name, "count less")
        self._drives[number] = (by, at_least)

    def gate(self, name: str, by: Signal, at_least: int) -> Signal:
        """A new neuron that is driven at once."""
        neuron = self.neuron(name)
        self.drive(neuron, by, at_least)
        return neuron

    def recurrent(self) -> Int32[np.ndarray, "neurons neurons"]:
        """Weights, ``(to, from)``.

        Raises:
            HardwareRangeError: a neuron that nothing was said of.
        """
        weight = np.zeros((len(self), len(self)), np.int32)
        for number, (by, _) in enumerate(self._driven()):
            for source, coefficient in by.terms.items():
                weight[number, source] = WEIGHT_STEP * coefficient
        return weight

    def bias(self) -> Int32[np.ndarray, " neurons"]:
        """Biases."""
        return np.array([_bias(at_least) for _, at_least in self._driven()], np.int32)

    def _driven(self) -> Iterable[tuple[Signal, int]]:
        for name, drive in zip(self.names, self._drives, strict=True):
            if drive is None:
                raise HardwareRangeError(f"neuron {name} is driven by nothing; say when it fires")
            yield drive


def _bias(at_least: int) -> int:
    """Odd, halfway between the sums of ``at_least`` and of one less."""
    return 1 - WEIGHT_STEP * at_least


def or_gate(circuit: Circuit, name: str, bits: Iterable[Signal]) -> Signal:
    """Fires where any of ``bits`` did."""
    return circuit.gate(name, _total(bits), 1)


def and_gate(circuit: Circuit, name: str, bits: Iterable[Signal]) -> Signal:
    """Fires where all of ``bits`` did."""
    parts = list(bits)
    return circuit.gate(name, _total(parts), len(parts))


def relay(circuit: Circuit, name: str, bit: Signal) -> Signal:
    """Fires where ``bit`` did: the same bit, a step later."""
    return circuit.gate(name, bit, 1)


def _total(signals: Iterable[Signal]) -> Signal:
    total = Signal()
    for signal in signals:
        total = total + signal
    return total

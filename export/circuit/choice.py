"""A random choice with given shares: a held random number, a thermometer of thresholds, one-hot from neighbours."""

from __future__ import annotations

from collections.abc import Sequence

from esvae.chip.formats import WEIGHT
from export.circuit.gates import WEIGHT_STEP, Circuit, Signal
from export.circuit.window import held_bit

__all__ = ["CHOICE_DELAY", "one_hot_choice"]

#: Steps from the load to the one-hot: holding, thermometer, one-hot.
CHOICE_DELAY = 3


def one_hot_choice(circuit: Circuit, bits: Sequence[Signal], edges: Sequence[int], load: Signal) -> list[Signal]:
    """Of ``len(edges) + 1`` neurons, the one fires at every step whose range holds the number U that was loaded.

    Args:
        circuit: that it is added to.
        bits: of U, the lowest first, read when ``load`` fires.
        edges: ascending; range k is ``edges[k - 1] <= U < edges[k]``.
        load: fires once a window.
    """
    number = Signal()
    for place, bit in enumerate(bits):
        number = number + _held_place(circuit, place, bit, load)
    # below_k = [U < edge_k] = [-U >= 1 - edge_k]
    below = [circuit.gate(f"below.{k}", number * -1, 1 - int(edge)) for k, edge in enumerate(edges)]
    chosen = [circuit.neuron(f"component.{k}") for k in range(len(edges) + 1)]
    for k, component in enumerate(chosen):
        inside = below[k] if k < len(below) else Signal()
        outside = below[k - 1] if k else Signal()
        circuit.drive(component, inside - outside, 1 if k < len(below) else 0)
    return chosen


def _held_place(circuit: Circuit, place: int, bit: Signal, load: Signal) -> Signal:
    """A held bit times ``2^place``: in as many copies as it takes to keep within a weight."""
    value = 1 << place
    copies = max(1, value // (-WEIGHT.min // WEIGHT_STEP))
    held = Signal()
    for copy in range(copies):
        held = held + held_bit(circuit, f"choice.{place}.{copy}", bit, load) * (value // copies)
    return held

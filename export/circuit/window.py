"""Time on the chip: the power-on pulse, a ring that says when a window begins, and bits that are held for one."""

from __future__ import annotations

import itertools

from esvae.errors import ConfigError
from export.circuit.gates import Circuit, Signal

__all__ = ["held_bit", "power_on", "ring"]


def power_on(circuit: Circuit) -> Signal:
    """A neuron that fires at the first step and never again.

    Its bias alone makes it fire. From the second step on a latch holds it down, whose loop keeps itself alive; at the
    second step, before the latch is up, its own spike does.
    """
    pulse, awake = circuit.neuron("start.pulse"), circuit.neuron("start.awake")
    circuit.drive(pulse, (pulse + awake) * -1, 0)
    circuit.drive(awake, pulse + awake, 1)
    return pulse


def ring(circuit: Circuit, steps: int, start: Signal) -> list[Signal]:
    """``steps`` neurons, one after the other: neuron i fires i + 1 steps after the start, and every ``steps`` later.

    Raises:
        ConfigError: fewer than two steps.
    """
    if steps < 2:
        raise ConfigError(f"a window of {steps} steps: a ring needs at least 2")
    phases = [circuit.neuron(f"ring.{phase}") for phase in range(steps)]
    circuit.drive(phases[0], phases[-1] + start, 1)
    for before, phase in itertools.pairwise(phases):
        circuit.drive(phase, before, 1)
    return phases


def held_bit(circuit: Circuit, name: str, bit: Signal, load: Signal) -> Signal:
    """A bit that keeps, from one load to the next, what ``bit`` was when ``load`` fired: from a step later on.

    Two neurons, of which at most one fires: one takes the bit in at the load, the other keeps it in between.
    """
    take, keep = circuit.neuron(f"{name}.take"), circuit.neuron(f"{name}.keep")
    circuit.drive(take, bit + load, 2)
    circuit.drive(keep, take + keep - load, 1)
    return take + keep

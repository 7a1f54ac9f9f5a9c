"""Gates in plain numpy: what a circuit of neurons without memory does, step by step, from rest."""

from __future__ import annotations

import numpy as np

from export.circuit.gates import Circuit, Signal

__all__ = ["gate_spikes", "values_of"]


def gate_spikes(circuit: Circuit, steps: int) -> np.ndarray:
    """Spikes ``(steps, neurons)``; row 0 is the first step."""
    weight, bias = circuit.recurrent().astype(np.int64), circuit.bias().astype(np.int64)
    spikes = np.zeros((steps + 1, len(circuit)), np.int64)
    for step in range(steps):
        spikes[step + 1] = spikes[step] @ weight.T + bias > 0
    return spikes[1:]


def values_of(signal: Signal, spikes: np.ndarray) -> np.ndarray:
    """What a signal came to at every step."""
    total = np.zeros(len(spikes), np.int64)
    for neuron, coefficient in signal.terms.items():
        total += coefficient * spikes[:, neuron]
    return total

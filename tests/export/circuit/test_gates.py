"""Gates and what keeps time: each against what it is called."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threshold_gates import gate_spikes, values_of

from esvae.chip.neuron import lif_step
from esvae.errors import ConfigError, HardwareRangeError
from export.circuit.gates import GATE, Circuit, Signal, and_gate, or_gate, relay
from export.circuit.window import held_bit, power_on, ring


@pytest.mark.parametrize("pattern", list(itertools.product((0, 1), repeat=3)))
def test_gates_are_what_they_are_called(pattern: tuple[int, ...]) -> None:
    circuit = Circuit()
    inputs = []
    for number, bit in enumerate(pattern):
        inputs.append(circuit.gate(f"in.{number}", Signal(), 1 - bit))  # fires for good, or never
    either, both, late = (
        or_gate(circuit, "or", inputs),
        and_gate(circuit, "and", inputs),
        relay(circuit, "r", inputs[0]),
    )
    spikes = gate_spikes(circuit, 3)
    assert values_of(inputs[1], spikes).tolist() == [pattern[1]] * 3
    # a gate answers a step after its inputs
    assert values_of(either, spikes).tolist() == [0, any(pattern), any(pattern)]
    assert values_of(both, spikes).tolist() == [0, all(pattern), all(pattern)]
    assert values_of(late, spikes).tolist() == [0, pattern[0], pattern[0]]


@given(st.lists(st.integers(-127, 127), min_size=1, max_size=6), st.integers(-100, 100), st.data())
def test_a_gate_is_the_chips_neuron(coefficients: list[int], at_least: int, data: st.DataObject) -> None:
    """The promise of the module: with weights and bias as handed out, Lava's neuron fires where the count is met."""
    circuit = Circuit()
    inputs = [circuit.gate(f"in.{n}", Signal(), 1) for n in range(len(coefficients))]
    total = Signal()
    for one, coefficient in zip(inputs, coefficients, strict=True):
        total = total + one * coefficient
    circuit.gate("gate", total, at_least)
    before = np.array([*data.draw(st.lists(st.integers(0, 1), min_size=len(inputs), max_size=len(inputs))), 0])
    arriving = before @ circuit.recurrent().T
    states = np.random.default_rng(0).integers(-1000, 1000, (2, len(circuit)))  # forgotten, whatever they are
    u, v, spikes = lif_step(states[0], states[1], arriving, circuit.bias(), GATE)
    assert bool(spikes[-1]) == (before[:-1] @ np.array(coefficients) >= at_least)
    assert (u == arriving << 6).all()
    assert not v[spikes].any()


def test_sums_of_signals() -> None:
    a, b = Signal({0: 1}), Signal({1: 1})
    assert (a + b * 3 - a).terms == {0: 0, 1: 3}


def test_weights_beyond_the_chips_and_forgotten_neurons_are_refused() -> None:
    circuit = Circuit()
    one = circuit.gate("one", Signal(), 0)
    circuit.gate("down", one * -128, 0)
    with pytest.raises(HardwareRangeError, match=r"wide: weight 256 outside \[-256, 255\]; spread it"):
        circuit.gate("wide", one * 128, 1)
    with pytest.raises(HardwareRangeError, match="many: bias"):
        circuit.gate("many", one, 3000)
    circuit = Circuit()
    circuit.neuron("idle.3")
    with pytest.raises(HardwareRangeError, match=r"neuron idle\.3 is driven by nothing"):
        circuit.recurrent()


def test_the_pulse_comes_once() -> None:
    circuit = Circuit()
    pulse = power_on(circuit)
    assert np.flatnonzero(values_of(pulse, gate_spikes(circuit, 50))).tolist() == [0]


@pytest.mark.parametrize("steps", [2, 3, 8, 16])
def test_the_ring_counts(steps: int) -> None:
    circuit = Circuit()
    phases = ring(circuit, steps, power_on(circuit))
    spikes = gate_spikes(circuit, 5 * steps)
    for number, phase in enumerate(phases):
        assert np.flatnonzero(values_of(phase, spikes)).tolist() == list(range(1 + number, 5 * steps, steps))


def test_a_ring_of_one_is_refused() -> None:
    circuit = Circuit()
    with pytest.raises(ConfigError, match="a window of 1 steps"):
        ring(circuit, 1, power_on(circuit))


@pytest.mark.parametrize("phase", [0, 3])
def test_a_held_bit_keeps_what_it_took(phase: int) -> None:
    circuit = Circuit()
    phases = ring(circuit, 5, power_on(circuit))
    bit = ring(circuit, 7, phases[1])[2]  # fires once in seven steps, more than once as phases[1] comes again
    held = held_bit(circuit, "held", bit, phases[phase])
    spikes = gate_spikes(circuit, 200)
    bits, loads, kept = (values_of(signal, spikes) for signal in (bit, phases[phase], held))
    now, expected = 0, []
    for value, load in zip(bits, loads, strict=True):
        expected.append(now)
        now = value if load else now
    assert kept.tolist() == expected
    assert 0 < kept.sum() < 190

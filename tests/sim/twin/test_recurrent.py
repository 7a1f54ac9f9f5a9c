"""A layer that feeds back into itself: when its spikes arrive, by hand and against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.ir import Lif, Network, RecurrentDense
from sim import reference
from sim.stimulus import Stimulus, Timing
from sim.trace import first_difference, named_traces
from sim.twin.engine import Engine
from strategies import recurrent_networks, spikes_for, stimuli_for

#: Neither current nor potential remembers: u is 64 times what arrives at the very step.
PLAIN = Lif(4096, 4096, 1)


def ring(neurons: int, weight: np.ndarray) -> Network:
    """Each neuron drives the next one around."""
    return Network(
        (weight.shape[1],), (RecurrentDense(weight, 2 * np.roll(np.eye(neurons, dtype=int), 1, 0), None, PLAIN),)
    )


def test_a_spike_comes_back_one_step_later() -> None:
    network = ring(3, np.array([[2], [0], [0]]))
    spikes = np.array([[1, 0, 0, 0, 0]]).reshape(1, 5, 1)
    (trace,) = reference.simulate(network, spikes)
    assert trace.s[0].astype(int).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0]]
    assert trace.u[0, 1].tolist() == [0, 128, 0]


def test_a_reset_spares_spikes_that_are_under_way() -> None:
    network = ring(3, np.array([[2], [0], [0]]))
    spikes = np.array([[1, 0, 0, 0]]).reshape(1, 4, 1)
    (trace,) = Engine(network).traces(Stimulus(spikes, None, 4, Timing(1, 0, False)))
    assert trace.s[0].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]


def test_a_bias_alone_drives_a_layer_that_nothing_enters() -> None:
    layer = RecurrentDense(np.zeros((2, 1), int), np.array([[0, 0], [4, 0]]), np.array([2, -1]), PLAIN)
    (trace,) = Engine(Network((1,), (layer,))).traces(np.zeros((1, 3, 1), np.uint8))
    assert trace.s[0].tolist() == [[1, 0], [1, 1], [1, 1]]


@pytest.mark.parametrize("portable", [False, True], ids=["numba", "torch"])
def test_the_twin_is_the_reference(portable: bool) -> None:
    @given(st.data())
    def check(data: st.DataObject) -> None:
        network = data.draw(recurrent_networks())
        stimulus = data.draw(stimuli_for(network))
        engine = Engine(network)
        engine._make(portable, "auto")
        expected = named_traces(list(reference.simulate(network, stimulus)), network)
        assert first_difference(expected, named_traces(engine.traces(stimulus), engine.network)) is None

    check()


@given(st.data())
def test_the_joined_layer_is_one_step(data: st.DataObject) -> None:
    network = data.draw(recurrent_networks())
    spikes = data.draw(spikes_for(network))
    trace = next(iter(reference.simulate(network, spikes)))
    layer = network.layers[0]
    assert isinstance(layer, RecurrentDense)
    before = np.concatenate([np.zeros_like(trace.s[:, :1]), trace.s[:, :-1]], axis=1)
    (joined,) = reference.simulate(
        Network((layer.joined.inputs,), (layer.joined,)), np.concatenate([spikes, before], axis=2)
    )
    assert np.array_equal(joined.v, trace.v)


def test_a_wide_layer_runs_over_its_nonzero_weights() -> None:
    rng = np.random.default_rng(0)
    recurrent = np.where(rng.random((700, 700)) < 0.01, rng.integers(-127, 128, (700, 700)) * 2, 0)
    layer = RecurrentDense(np.zeros((700, 1), int), recurrent, rng.integers(-9, 60, 700), Lif(2048, 400, 200))
    network = Network((1,), (layer,))
    spikes = np.zeros((2, 30, 1), np.uint8)
    expected = named_traces(list(reference.simulate(network, spikes)), network)
    got = named_traces(Engine(network).traces(spikes), network)
    assert 0.01 < expected["layer1.s"].mean() < 0.9
    assert first_difference(expected, got) is None

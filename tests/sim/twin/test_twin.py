"""The twin equals the reference in every integer, whatever the network."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depth import examples
from esvae.chip.formats import THRESHOLD
from export.ir import Dense, Lif, Network
from sim import reference
from sim.trace import first_difference, named_traces
from sim.twin.engine import Engine
from strategies import networks, spikes_for


@settings(max_examples=examples(300))
@given(st.data())
def test_twin_equals_reference(data: st.DataObject) -> None:
    network = data.draw(networks(transposed=True))
    spikes = data.draw(spikes_for(network))
    expected = named_traces(list(reference.simulate(network, spikes)), network)
    assert first_difference(expected, named_traces(Engine(network).traces(spikes), network)) is None


@settings(max_examples=examples(30))
@given(st.data(), st.integers(1, 5))
def test_results_do_not_depend_on_the_chunk(data: st.DataObject, chunk: int) -> None:
    network = data.draw(networks(transposed=True))
    spikes = data.draw(spikes_for(network, images=7))
    engine = Engine(network)
    pieces = [layers[-1].v_end for layers in engine.run(spikes, chunk=chunk)]
    assert np.array_equal(np.concatenate(pieces), engine.final_potentials(spikes))


@pytest.mark.parametrize("sign", [1, -1])
def test_currents_that_wrap_and_potentials_that_saturate(sign: int) -> None:
    """2,500 inputs at full weight and a current that never decays pass 2^23, then 2^31, within the window."""
    weight = np.full((3, 2500), 254 if sign > 0 else -256, np.int32)
    network = Network((2500,), (Dense(weight, np.array([4095, -4096, 0]), Lif(0, 0, THRESHOLD.max)),), time_steps=150)
    spikes = np.ones((1, 150, 2500), np.uint8)
    expected = next(reference.simulate(network, spikes))
    assert np.abs(expected.u).max() > 2**30, "the case no longer reaches the overflow it is there for"
    assert np.abs(expected.v).max() == 2**23 - 1
    got = Engine(network).traces(spikes)[0]
    named = (named_traces(each, network) for each in ([expected], [got]))
    assert first_difference(*named) is None


def test_first_difference_names_layer_step_and_neuron() -> None:
    network = Network((2,), (Dense(np.array([[2, 4], [6, 8]]), None, Lif(4096, 0, 100)),), time_steps=4)
    traces = named_traces(Engine(network).traces(np.ones((2, 4, 2), np.uint8)), network)
    altered = {name: values.copy() for name, values in traces.items()}
    altered["layer1.v"][1, 2, 1] += 5
    before = int(traces["layer1.v"][1, 2, 1])
    assert first_difference(traces, altered) == ("layer1.v", (1, 2, 1), before, before + 5)

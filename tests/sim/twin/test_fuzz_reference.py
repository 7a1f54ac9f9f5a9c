"""The twin, and what runs off the CPU, against the definition: any layers, any delays, either clock, any resets."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from depth import examples
from export.ir import Network
from sim import reference
from sim.stimulus import Stimulus
from sim.trace import first_difference, named_traces
from sim.twin.engine import Engine
from sim.twin.sums import Path
from strategies import foreign_networks, stimuli_for


def assert_twin_is_exact(network: Network, stimulus: Stimulus, path: Path = "auto", *, portable: bool = False) -> None:
    engine = Engine(network, path=path)
    if portable:
        engine._make(True, path)
    expected = named_traces(list(reference.simulate(network, stimulus)), network)
    assert first_difference(expected, named_traces(engine.traces(stimulus), engine.network)) is None
    last = expected[f"{network.array_names[-1]}.v"][:, -1]
    assert (engine.final_potentials(stimulus) == last).all()


@settings(max_examples=examples(400))
@given(st.data())
def test_fuzz_twin_equals_reference(data: st.DataObject) -> None:
    network = data.draw(foreign_networks(transposed=True, loadable=False))
    stimulus = data.draw(stimuli_for(network))
    assert_twin_is_exact(network, stimulus, data.draw(st.sampled_from(["auto", "dense", "events", "gather"])))


@settings(max_examples=examples(150))
@given(st.data())
def test_fuzz_what_runs_off_the_cpu_equals_reference(data: st.DataObject) -> None:
    network = data.draw(foreign_networks(transposed=True, loadable=False))
    assert_twin_is_exact(network, data.draw(stimuli_for(network)), portable=True)

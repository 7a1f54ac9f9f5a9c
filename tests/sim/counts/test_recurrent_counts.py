"""A recurrent layer's operations: every spike that enters it, and every one that it fires, times what it reaches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depth import examples
from export.ir import Lif, Network, RecurrentDense
from sim import reference
from sim.counts.ops import count, count_traces
from sim.fit.chips import CHIPS
from sim.fit.core_load import core_load
from sim.fit.mapping import map_network
from sim.twin.engine import Engine
from strategies import recurrent_networks, spikes_for


@settings(max_examples=examples(50))
@given(st.data())
def test_counts_equal_a_walk_over_every_spike(data: st.DataObject) -> None:
    network = data.draw(recurrent_networks())
    spikes = data.draw(spikes_for(network))
    traces = list(reference.simulate(network, spikes))
    counts = count(network, Engine(network).run(spikes, chunk=2))
    assert count_traces(network, spikes, traces).layers == counts.layers
    entering = spikes
    for k, (layer, trace) in enumerate(zip(network.layers, traces, strict=True)):
        ways = [(entering, layer.weight)]  # type: ignore[union-attr]
        if isinstance(layer, RecurrentDense):
            ways.append((trace.s, layer.recurrent))
        seen = sum(raster.astype(int).sum(axis=(1, 2)) for raster, _ in ways)
        synops = sum((raster @ (weight != 0).sum(axis=0)).sum(axis=1) for raster, weight in ways)
        wanted = np.stack([seen, synops, trace.s.astype(int).sum(axis=(1, 2))], axis=1)
        np.testing.assert_array_equal(counts.per_image[k], wanted)
        entering = trace.s


@settings(max_examples=examples(30))
@given(st.data())
def test_loads_of_cores_add_up_to_the_counts(data: st.DataObject) -> None:
    network = data.draw(recurrent_networks())
    spikes = data.draw(spikes_for(network))
    counts = count(network, Engine(network).run(spikes))
    mapping = map_network(network, CHIPS["loihi2"])
    load = core_load(network, counts.mean_entering, mapping)
    for k, layer in enumerate(counts.layers):
        assert load.synops[:, load.layer == k].sum() == pytest.approx(layer.synops)


def test_a_neuron_takes_the_memory_of_its_own_layers_synapses() -> None:
    weight, recurrent = np.full((100, 1), 2), np.full((100, 100), -2)
    mapping = map_network(Network((1,), (RecurrentDense(weight, recurrent, None, Lif(0, 0, 9)),)), CHIPS["loihi2"])
    assert sum(core.axons for core in mapping.layers[0].cores) == 101

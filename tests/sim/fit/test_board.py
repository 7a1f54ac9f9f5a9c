"""Layers on several chips, and what crosses between them, against a walk over every synapse."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from depth import examples
from export.ir import Dense, Lif, Network
from export.passes.lower_dense import lower_dense
from sim.counts.ops import count
from sim.fit.board import crossings
from sim.fit.chips import LOIHI2
from sim.fit.mapping import map_network
from sim.twin.engine import Engine
from strategies import networks, spikes_for

NEURON = Lif(4096, 3072, 60)
#: So small that small networks need several chips.
TINY = dataclasses.replace(LOIHI2, neurons=7, memory_words=60, input_axons=40, usable_cores=3)


def test_a_layer_stays_on_one_chip_where_it_can() -> None:
    chip = dataclasses.replace(LOIHI2, neurons=1, usable_cores=4)
    layers = tuple(Dense(np.full(shape, 2, np.int32), None, NEURON) for shape in [(3, 1), (2, 3), (6, 2)])
    mapping = map_network(Network((1,), layers), chip)
    found = [(share.chip, share.layer, share.first, share.last) for share in mapping.shares]
    names = [layer.layer for layer in mapping.layers]
    assert found == [(0, names[0], 0, 3), (1, names[1], 0, 2), (2, names[2], 0, 4), (3, names[2], 4, 6)]


@settings(max_examples=examples(40), suppress_health_check=list(HealthCheck))
@given(st.data())
def test_what_crosses_is_what_a_walk_over_all_synapses_finds(data: st.DataObject) -> None:
    network = lower_dense(data.draw(networks()))
    spikes = data.draw(spikes_for(network))
    mapping = map_network(network, TINY)
    if mapping.problems:
        return
    counts = count(network, Engine(network).run(spikes))
    shares = mapping.shares
    chip_of = {(share.layer, core): share.chip for share in shares for core in range(share.first, share.last)}
    assert len(chip_of) == mapping.cores
    home: list[int] | None = None
    neurons: dict[tuple[int, int], int] = {}
    fired: dict[tuple[int, int], float] = {}
    for k, ((layer, _, _), mapped) in enumerate(zip(network.synapses(), mapping.layers, strict=True)):
        here = [
            next(chip_of[mapped.layer, i] for i, core in enumerate(mapped.cores) if core.mask(mapped.shape).flat[n])
            for n in range(mapped.neurons)
        ]
        for source in range(layer.weight.shape[1]) if home is not None else ():
            targets = {here[n] for n in range(len(here)) if layer.weight[n, source]} - {home[source]}
            for target in targets:
                link = (home[source], target)
                neurons[link] = neurons.get(link, 0) + 1
                fired[link] = fired.get(link, 0.0) + counts.mean_entering[k][:, source].sum()
        home = here
    found = crossings(network, mapping, counts.mean_entering)
    assert {(one.source, one.target): one.neurons for one in found} == neurons
    for one in found:
        assert one.spikes is not None
        np.testing.assert_allclose(one.spikes, fired[one.source, one.target])

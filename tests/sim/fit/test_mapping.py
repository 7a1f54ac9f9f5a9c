"""Cores hold what the chip allows, every neuron has exactly one, and the figures follow from the capacities."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from depth import examples
from esvae.errors import ConfigError
from export.ir import Conv, Dense, Flatten, InputNeurons, Layer, Lif, Network
from export.passes.lower_dense import lower_dense
from paper_networks import cifar10_decoder
from sim.counts.fan_out import fan_out
from sim.counts.ops import count
from sim.fit.adviser import fit_network
from sim.fit.chips import CHIPS, LOIHI1, LOIHI2, Chip, chip_named
from sim.fit.core_load import core_load
from sim.fit.cuts import longest_runs
from sim.fit.mapping import Rule, map_network, weight_bits
from sim.twin.engine import Engine
from strategies import networks, spikes_for

NEURON = Lif(4096, 3072, 60)
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
#: So small that small networks need several cores.
TINY = dataclasses.replace(LOIHI2, neurons=7, memory_words=60, input_axons=40, usable_cores=5)


@settings(max_examples=examples(60), suppress_health_check=SLOW)
@given(st.data(), st.booleans(), st.sampled_from(["compiler", "fewest"]))
def test_every_neuron_has_one_core_within_its_limits(data: st.DataObject, unrolled: bool, rule: Rule) -> None:
    network = data.draw(networks(transposed=True))
    mapping = map_network(network, TINY, unrolled=unrolled, rule=rule)
    for (layer, before, after), mapped in zip(network.synapses(), mapping.layers, strict=True):
        if mapped.problem:
            assert mapping.chips is None
            assert not mapping.fits
            continue
        held = sum(core.mask(after).astype(int) for core in mapped.cores)
        assert (held == 1).all()
        for core in mapped.cores:
            mask = core.mask(after)
            assert core.neurons == mask.sum() <= TINY.neurons
            assert core.words <= TINY.memory_words
            assert core.axons <= TINY.input_axons
            reach = fan_out(layer, before, mask)
            if mapped.kind == "shared" or (rule == "compiler" and not unrolled):
                assert (reach > 0).sum() <= core.axons  # zeros that are stored do not spare axons
            else:
                assert (reach > 0).sum() == core.axons
                lists = [TINY.unrolled_words(int(n), mapped.weight_bits) for n in reach[reach > 0]]
                assert core.words == sum(lists)


@given(st.integers(1, 40), st.integers(1, 60), st.integers(2, 8), st.sampled_from([TINY, LOIHI2]))
def test_a_full_layer_is_cut_as_its_lists_are_filled(inputs: int, outputs: int, bits: int, chip: Chip) -> None:
    dense = Dense(np.full((outputs, inputs), 2, np.int32), None, NEURON)
    the_same = Conv(dense.weight[:, :, None, None], None, NEURON)
    for memory in (chip.memory_words, inputs - 1, inputs * 3):
        less = dataclasses.replace(chip, memory_words=memory)
        assert longest_runs(dense, (inputs,), bits, less) == longest_runs(the_same, (inputs, 1, 1), bits, less)


@settings(max_examples=examples(30), suppress_health_check=SLOW)
@given(st.data())
def test_unrolled_is_what_the_dense_lowering_takes(data: st.DataObject) -> None:
    network = data.draw(networks(transposed=True))
    left = map_network(network, TINY, unrolled=True, rule="fewest")
    right = map_network(lower_dense(network), TINY, rule="fewest")
    for one, other in zip(left.layers, right.layers, strict=True):
        assert (one.cores, one.problem) == (other.cores, other.problem)


def test_words_of_the_two_formats() -> None:
    # shared: ceil((32 * 8 + 17) / 64) = 5 words a position; unrolled: ceil((10 * (8 + 11) + 17) / 64) = 4 an axon
    assert LOIHI2.shared_words(32, 8) == 5
    assert LOIHI2.unrolled_words(10, 8) == 4
    conv = Conv(np.full((32, 16, 3, 3), 254, np.int32), None, NEURON, padding=(1, 1))
    (layer,) = map_network(Network((16, 8, 8), (conv,)), LOIHI2, bits=8).layers
    assert [(core.neurons, core.words, core.axons) for core in layer.cores] == [(32 * 64, 16 * 9 * 5, 16 * 64)]
    dense = Dense(np.full((10, 100), 254, np.int32), None, NEURON)
    (layer,) = map_network(Network((100,), (dense,)), LOIHI2, bits=8).layers
    assert [(core.neurons, core.words, core.axons) for core in layer.cores] == [(10, 400, 100)]


def test_papers_cifar10_decoder_shared_and_unrolled() -> None:
    network = cifar10_decoder()
    shared = map_network(network, LOIHI2, rule="fewest")
    unrolled = map_network(network, LOIHI2, unrolled=True, rule="fewest")
    # Memory: 128 * 4 positions * ceil((256 * 8 + 17) / 64) = 33 words / 12,000 -> 2; 256 * 9 * 20 / 12,000 -> 4.
    # Neurons: 4096, 8192 and 32,768 of 4095 a core -> 2, 3 and 9. Axons: 32 * 32 * 32 of 16,000 a core -> 3.
    assert [len(layer.cores) for layer in shared.layers] == [2, 4, 2, 3, 9, 3]
    assert shared.fits
    assert unrolled.cores > 150
    assert unrolled.chips == 2
    assert not unrolled.fits
    assert unrolled.binding == "memory"
    assert map_network(network, LOIHI1, rule="fewest").cores == 65


#: The mapping that lava-dl's tutorial netx/pilotnet_snn/benchmark printed: cores, neurons and words of the first core.
PILOTNET = [(25, 3072, 81), (13, 2160, 864), (3, 2688, 1620), (3, 2048, 2160), (2, 2048, 2880)]
PILOTNET_DENSE = [(12, 9, 7680), (1, 50, 1300), (1, 10, 150), (1, 1, 10)]


def pilotnet() -> Network:
    """PilotNet's shapes, with weights that reach as far as the published ones."""

    def weights(low: int, high: int, *shape: int) -> np.ndarray:
        return np.resize(np.array([low, 2, high], np.int32), shape)

    layers: list[Layer] = []
    channels = 3
    for outputs, low, high, stride, padding in [
        (24, -20, 18, (2, 2), (0, 0)),
        (36, -12, 10, (2, 2), (0, 0)),
        (48, -10, 8, (2, 2), (0, 0)),
        (64, -8, 8, (2, 1), (1, 0)),
        (64, -8, 8, (1, 1), (0, 0)),
    ]:
        layers.append(Conv(weights(low, high, outputs, channels, 3, 3), None, NEURON, stride=stride, padding=padding))
        channels = outputs
    layers.append(Flatten())
    for outputs, inputs, low, high in [(100, 2560, -6, 6), (50, 100, -14, 10), (10, 50, -24, 20), (1, 10, -24, 42)]:
        layers.append(Dense(weights(low, high, outputs, inputs), None, NEURON))
    return Network((3, 66, 200), tuple(layers), input_neurons=InputNeurons(NEURON))


def test_the_compilers_mapping_is_met_in_every_line() -> None:
    mapping = map_network(pilotnet(), LOIHI2)
    assert mapping.cores == 74
    assert mapping.inputs is not None
    assert [(core.neurons, core.words) for core in mapping.inputs.cores] == [(3168, 0)] * 12 + [(1584, 0)]
    found = [(len(layer.cores), layer.cores[0].neurons, layer.cores[0].words) for layer in mapping.layers]
    assert found == PILOTNET + PILOTNET_DENSE
    dense = mapping.layers[5].cores
    assert sum(core.words for core in dense) // len(dense) == 7253  # the printed mean, of 8 neurons a core
    assert sum(core.neurons for core in dense) // len(dense) == 8


def test_the_fewest_cores_are_a_bound() -> None:
    network = cifar10_decoder()
    for chip in CHIPS.values():
        assert map_network(network, chip, rule="fewest").cores <= map_network(network, chip).cores


@pytest.mark.parametrize(
    ("weights", "bits"),
    [([-254, 2], 8), ([-256, 254], 8), ([-224, 32], 4), ([-2, 2], 2), ([255], 8), ([3, 1], 2), ([0], 1), ([-64], 1)],
)
def test_bits_that_weights_take(weights: list[int], bits: int) -> None:
    assert weight_bits(np.array(weights)) == bits


def test_a_neuron_with_too_many_inputs_cannot_be_mapped() -> None:
    dense = Dense(np.full((2, 20_000), 2, np.int32), None, NEURON)
    answer = fit_network(Network((20_000,), (dense,)), LOIHI2)
    assert answer.mapping.chips is None
    assert not answer.mapping.fits
    assert answer.mapping.problems == (
        "layer 1 (dense): memory: one neuron needs 20,000, a core of Loihi 2 has 12,000",
    )
    assert answer.advice is not None
    assert answer.advice.sentences[0] == answer.mapping.problems[0]
    assert "fewer inputs" in answer.advice.sentences[1]
    assert answer.step is None
    conv = Conv(np.full((1, 512, 9, 9), 2, np.int32), None, NEURON)
    (problem,) = map_network(Network((512, 9, 9), (conv,)), LOIHI2).problems
    assert problem.startswith("layer 1 (conv): memory: one neuron needs 41,472")


@pytest.mark.parametrize(("chip", "outputs", "inputs"), [(LOIHI2, 2000, 1500), (LOIHI1, 3500, 2000)])
def test_what_would_make_it_fit(chip: Chip, outputs: int, inputs: int) -> None:
    rng = np.random.default_rng(0)
    weight = (rng.integers(-127, 128, (outputs, inputs)) * 2).astype(np.int32)
    answer = fit_network(Network((inputs,), (Dense(weight, None, NEURON),)), chip)
    assert not answer.mapping.fits
    assert answer.mapping.binding == "memory"
    assert answer.mapping.chips == 2
    assert answer.advice is not None
    assert answer.advice.remedies[0].fits
    assert answer.advice.remedies[0].what.startswith("--weight-bits")
    assert f"2 chips ({answer.mapping.cores} cores)" in answer.advice.line


def test_an_unrolled_convolution_is_told_to_stay_one() -> None:
    network = cifar10_decoder()
    small = Network((128, 4, 4), (dataclasses.replace(network.layers[2]),), time_steps=4)
    one_core = dataclasses.replace(LOIHI2, usable_cores=5)
    answer = fit_network(lower_dense(small), one_core)
    assert not answer.mapping.fits
    assert answer.advice is not None
    assert "mostly zeros" in answer.advice.line
    assert fit_network(small, one_core).mapping.fits


def test_step_bound_is_the_busiest_core_with_every_input_firing() -> None:
    conv = Conv(np.full((2, 3, 3, 3), 2, np.int32), None, NEURON, padding=(1, 1))
    answer = fit_network(Network((3, 8, 8), (conv,)), LOIHI2)
    assert answer.step is not None
    assert answer.step.synops == 2 * 3 * (3 * 8 - 2) ** 2
    assert answer.step.seconds.value == pytest.approx(answer.step.synops * 1e-9 + 0.2e-6)
    assert answer.step.label == "estimate"


@settings(max_examples=examples(40), suppress_health_check=SLOW)
@given(st.data())
def test_loads_of_cores_add_up_to_the_counts(data: st.DataObject) -> None:
    network = data.draw(networks(transposed=True))
    spikes = data.draw(spikes_for(network))
    mapping = map_network(network, TINY)
    if mapping.problems:
        return
    counts = count(network, Engine(network).run(spikes))
    load = core_load(network, counts.mean_entering, mapping)
    for k, layer in enumerate(counts.layers):
        assert load.synops[:, load.layer == k].sum() == pytest.approx(layer.synops)
        assert load.neurons[load.layer == k].sum() == layer.neurons
    packets = 0.0
    for k, ((layer, before, after), mapped) in enumerate(zip(network.synapses(), mapping.layers, strict=True)):
        cores = [fan_out(layer, before, core.mask(after)).reshape(-1) > 0 for core in mapped.cores]
        packets += float((counts.entering[k].sum(axis=0) * sum(cores)).sum()) / counts.images
    assert load.packets == pytest.approx(packets)
    longest = math.ceil(mapping.cores / 4)
    assert 0 <= load.hops <= packets * longest


def test_hops_follow_the_path_through_the_mesh() -> None:
    # One neuron a core, four cores a tile, two tiles a row: cores 0-3 and 4-7 in the first row, 8-11 below 4-7.
    chip = dataclasses.replace(LOIHI2, neurons=1, mesh_width=2)
    network = Network((1,), (Dense(np.full((12, 1), 2, np.int32), None, NEURON),), time_steps=1)
    load = core_load(network, [np.ones((1, 1))], map_network(network, chip))
    assert load.packets == 12
    assert load.hops == 4 * 0 + 4 * 1 + 4 * 2


def test_chips_are_chosen_by_name() -> None:
    assert chip_named("loihi1") is LOIHI1
    with pytest.raises(ConfigError, match="--chip loihi3: expected loihi2 or loihi1"):
        chip_named("loihi3")
    assert all(chip.source for chip in CHIPS.values())

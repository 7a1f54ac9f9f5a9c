"""Bounds hold for every network and stimulus, and are reached where that is easy to see."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depth import examples
from esvae.chip.formats import STATE_LIMIT
from export.ir import Conv, ConvTranspose, Dense, Lif, Network, Shape
from export.ir.bounds import (
    Firing,
    all_firing,
    channel_sums,
    largest_current,
    largest_sum,
    layer_firing,
    layer_range,
)
from sim import reference
from sim.trace import first_difference, named_traces
from sim.twin.engine import Engine
from strategies import map_layers, networks, spikes_for

NEURON = Lif(4096, 3072, 40)


def firing_of(network: Network) -> list[Firing | None]:
    return [layer_firing(layer, before, after, network.time_steps) for layer, before, after in network.synapses()]


def summed(layer: Conv | ConvTranspose, output: int) -> list[int]:
    """The weights that one neuron of an output channel far from any border sums over, one after the other."""
    found = []
    inputs = layer.weight.shape[0] if isinstance(layer, ConvTranspose) else layer.weight.shape[1] * layer.groups
    outputs = layer.weight.shape[1] * layer.groups if isinstance(layer, ConvTranspose) else layer.weight.shape[0]
    for entering in range(inputs):
        if entering // (inputs // layer.groups) != output // (outputs // layer.groups):
            continue
        for ky in range(layer.weight.shape[2]):
            for kx in range(layer.weight.shape[3]):
                if isinstance(layer, ConvTranspose):
                    found.append(int(layer.weight[entering, output % (outputs // layer.groups), ky, kx]))
                else:
                    found.append(int(layer.weight[output, entering % (inputs // layer.groups), ky, kx]))
    return found


@settings(max_examples=examples(100))
@given(map_layers())
def test_channels_sum_over_their_own_group(drawn: tuple[Conv | ConvTranspose, Shape]) -> None:
    layer, before = drawn
    sums = [summed(layer, output) for output in range(layer.output_shape(before)[0])]
    assert channel_sums(layer).tolist() == [sum(map(abs, each)) for each in sums]
    assert channel_sums(layer, 1).tolist() == [sum(w for w in each if w > 0) for each in sums]
    assert channel_sums(layer, -1).tolist() == [sum(-w for w in each if w < 0) for each in sums]
    assert largest_sum(layer) == channel_sums(layer).max()


def test_the_largest_sum_is_what_the_hardest_hit_neuron_can_receive() -> None:
    assert largest_sum(Dense(np.array([[3, -4], [5, 1]]), None, NEURON)) == 7
    assert largest_sum(Conv(np.full((2, 3, 2, 2), -2), None, NEURON, groups=2)) == 24
    transposed = np.stack([np.full((3, 2, 2), 2), np.full((3, 2, 2), -5)])
    assert largest_sum(ConvTranspose(transposed, None, NEURON)) == 28
    assert largest_sum(ConvTranspose(transposed, None, NEURON, groups=2)) == 20
    assert largest_sum(Dense(np.full((2, 3), -128, np.int8), None, NEURON)) == 384


def test_a_layer_is_summed_in_blocks_to_the_last_row() -> None:
    weight = np.ones((3, 1 << 20), np.int16)
    weight[-1] = -2
    assert channel_sums(Dense(weight, None, NEURON)).tolist() == [1 << 20, 1 << 20, 1 << 21]


def test_512_groups_are_bounded_one_by_one_and_run_as_the_reference_does() -> None:
    """All groups' weights together come to ten million, beyond the register; those of one neuron to 81 * 254."""
    layer = ConvTranspose(
        np.full((512, 1, 9, 9), 254, np.int32), None, Lif(4096, 3072, 900), (2, 2), (4, 4), groups=512
    )
    assert layer.weight.sum() > STATE_LIMIT
    assert largest_sum(layer) == 81 * 254
    network = Network((512, 3, 2), (layer,), time_steps=2)
    spikes = (np.random.default_rng(0).random((1, 2, 512, 3, 2)) < 0.5).astype(np.uint8)
    wanted = named_traces(list(reference.simulate(network, spikes)), network)
    assert first_difference(wanted, named_traces(Engine(network).traces(spikes), network)) is None


@settings(max_examples=examples(80))
@given(networks(transposed=True))
def test_all_firing_is_what_the_reference_sums_where_those_inputs_fire(network: Network) -> None:
    """For each neuron: the inputs over its positive (negative) weights, found by firing each input alone."""
    for layer, before, after in network.synapses():
        alone = np.eye(math.prod(before), dtype=np.uint8).reshape(-1, *before)
        sent = reference.synapse_sum(layer, alone)
        np.testing.assert_array_equal(all_firing(layer, before, sign=1), sent.clip(0, None).sum(axis=0))
        np.testing.assert_array_equal(all_firing(layer, before, sign=-1), sent.clip(None, 0).sum(axis=0))
        assert all_firing(layer, before, sign=1).shape == after


@settings(max_examples=examples(60))
@given(st.data())
def test_no_run_leaves_the_ranges(data: st.DataObject) -> None:
    network = data.draw(networks(transposed=True))
    spikes = data.draw(spikes_for(network))
    entering = spikes
    for trace, (layer, before, _) in zip(reference.simulate(network, spikes), network.synapses(), strict=True):
        bound = layer_range(layer, before, network.time_steps or 1, "layer")
        sums = reference.synapse_sum(layer, entering.reshape(-1, *before))
        assert bound.a[0] <= sums.min()
        assert sums.max() <= bound.a[1]
        assert np.abs(trace.u).max() <= bound.u_share * STATE_LIMIT
        assert np.abs(trace.v).max() <= bound.v_share * STATE_LIMIT + 1
        entering = trace.s


@pytest.mark.parametrize(
    ("arriving", "decay", "steps", "expected"),
    [
        (10, 4096, 100, 10),
        (10, 4096, None, 10),
        (10, 0, 7, 70),
        (10, 0, None, math.inf),
        (0, 0, None, 0),
        (10, 1024, None, 40),
        (10, 1024, 3, 30),
        (10, 1024, 100, 40),
    ],
)
def test_largest_current(arriving: int, decay: int, steps: int | None, expected: float) -> None:
    assert largest_current(arriving, Lif(decay, 0, 1), steps) == expected


@settings(max_examples=examples(80))
@given(st.data())
def test_no_run_leaves_the_bounds(data: st.DataObject) -> None:
    network = data.draw(networks(transposed=True))
    traces = Engine(network).traces(data.draw(spikes_for(network)))
    for bounds, trace in zip(firing_of(network), traces, strict=True):
        if bounds is not None:
            spikes = trace.s.reshape(*trace.s.shape[:2], -1)
            assert (~spikes.any(axis=(0, 1))).sum() >= bounds.never
            assert spikes.all(axis=(0, 1)).sum() >= bounds.always


@pytest.mark.parametrize(
    ("weight", "bias", "threshold", "steps", "expected"),
    [
        ([[2, -4]], None, 1, 4, Firing(1, 0, 0)),
        ([[2, -4]], None, 2, 1, Firing(1, 1, 0)),  # 2 is not above 2
        ([[-2, -4]], None, 0, None, Firing(1, 1, 0)),
        ([[2, -4], [2, -4]], [5, 4], 0, 4, Firing(2, 0, 1)),  # 5 - 4 is above 0, 4 - 4 is not
        ([[2, -4]], [-2], 0, 4, Firing(1, 1, 0)),
    ],
)
def test_known_layers(
    weight: list[list[int]], bias: list[int] | None, threshold: int, steps: int | None, expected: Firing
) -> None:
    layer = Dense(np.array(weight), None if bias is None else np.array(bias), Lif(4096, 4096, threshold))
    assert firing_of(Network((2,), (layer,), time_steps=steps)) == [expected]


def test_memory_lets_a_neuron_reach_its_threshold() -> None:
    layer = Dense(np.array([[2]]), None, Lif(4096, 1024, 5))  # 2 * (1 + 3/4 + ...) < 8
    firing = [firing_of(Network((1,), (layer,), time_steps=steps))[0] for steps in (1, 3, 4, None)]
    assert [bounds and bounds.never for bounds in firing] == [1, 1, 0, 0]


def test_borders_and_a_current_that_could_wrap() -> None:
    kernel = np.full((1, 1, 3, 3), 2)
    padded = Conv(kernel, None, Lif(4096, 4096, 12), padding=(1, 1))  # inside 18, at an edge 12, in a corner 8
    assert firing_of(Network((1, 4, 4), (padded,), time_steps=1)) == [Firing(16, 12, 0)]
    endless = Dense(np.array([[200]]), None, Lif(0, 4096, 12))
    assert firing_of(Network((1,), (endless,))) == [None]

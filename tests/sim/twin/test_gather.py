"""Gathered sums against the reference's, to the edges of 8 and of 16 bit, and where there are none."""

from __future__ import annotations

import math
from dataclasses import replace

import numba
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from depth import examples
from export.ir import Conv, ConvTranspose, Dense, Lif, Network
from export.ir.bounds import all_firing
from sim import reference
from sim.trace import first_difference, named_traces
from sim.twin.engine import Engine
from sim.twin.gather import GATHERED_REACH, GatherSums
from sim.twin.synapses import logical

NEURON = Lif(4096, 3072, 300)
PAIRS = st.tuples(st.integers(1, 2), st.integers(1, 2))
#: Bytes of both signs or of one, bytes twice, and some beyond; the second is a small weight.
WEIGHTS = st.sampled_from([(-128, 1, 127), (-256, 2, 254), (0, 1, 255), (-255, -1, 0), (-3, 1, 252)])


def _raster(inputs: int, share: float, seed: int) -> torch.Tensor:
    drawn = np.random.default_rng(seed).random((2, 3, inputs)) < share
    return torch.from_numpy(drawn.astype(np.uint8))


def _reach(layer: Conv | ConvTranspose | Dense, shape: tuple[int, ...]) -> int:
    return int(max(abs(all_firing(layer, shape, sign=sign)).max() for sign in (1, -1)))


@settings(max_examples=examples(150))
@given(data=st.data(), weights=WEIGHTS, transposed=st.booleans(), seed=st.integers(0, 999))
def test_maps_give_the_references_sums(
    data: st.DataObject, weights: tuple[int, int, int], transposed: bool, seed: int
) -> None:
    low, step, high = weights
    shape = (data.draw(st.integers(1, 100)), data.draw(st.integers(1, 6)), data.draw(st.integers(1, 8)))
    outputs = data.draw(st.sampled_from([1, 2, 3, 5, 8, 16, 24, 32, 36, 64, 128, 130]))
    kernel = (data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3)))
    stride, dilation = data.draw(PAIRS), data.draw(PAIRS)
    padding = (data.draw(st.integers(0, kernel[0] + 2)), data.draw(st.integers(0, kernel[1] + 2)))
    channels = (shape[0], outputs) if transposed else (outputs, shape[0])
    weight = np.random.default_rng(seed).choice([low, 0, step, high], (*channels, *kernel), p=[0.1, 0.5, 0.3, 0.1])
    kind = ConvTranspose if transposed else Conv
    layer = kind(weight.astype(np.int32), None, NEURON, stride, padding, dilation=dilation)
    reaches = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    if transposed:
        assume(all((n - 1) * s + r > 2 * p for n, s, r, p in zip(shape[1:], stride, reaches, padding, strict=True)))
    else:
        assume(all(n + 2 * p >= r for n, r, p in zip(shape[1:], reaches, padding, strict=True)))
    after = layer.output_shape(shape)
    found = GatherSums.of(layer, shape, after, _reach(layer, shape))
    assume(found is not None)
    assert found is not None
    raster = _raster(math.prod(shape), data.draw(st.sampled_from([0.0, 0.2, 1.0])), seed)
    sums = found(raster)
    maps = np.ascontiguousarray(logical(raster.flatten(0, 1), shape).numpy())
    assert np.array_equal(logical(sums.flatten(0, 1), after).numpy(), reference.synapse_sum(layer, maps))


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_pixels_that_lie_beyond_the_map_read_nothing(share: float) -> None:
    """Behind the last row nothing lies, not even the number of spikes before it."""
    layer = Conv(np.ones((32, 1, 1, 1), np.int32), None, NEURON, padding=(0, 40))
    found = GatherSums.of(layer, (1, 1, 1), (32, 1, 81), 1)
    assert found is not None
    sums = found(_raster(1, share, 0)).reshape(6, 81, 32)
    assert (sums[:, 40] == share).all()
    assert not sums[:, :40].any()
    assert not sums[:, 41:].any()


@settings(max_examples=examples(60))
@given(inputs=st.integers(1, 200), outputs=st.integers(1, 300), weights=WEIGHTS, share=st.sampled_from([0.0, 0.3, 1.0]))
def test_features_give_the_references_sums(
    inputs: int, outputs: int, weights: tuple[int, int, int], share: float
) -> None:
    low, step, high = weights
    drawn = np.random.default_rng(inputs * outputs).choice(
        [low, 0, step, high], (outputs, inputs), p=[0.2, 0.4, 0.2, 0.2]
    )
    layer = Dense(drawn.astype(np.int32), None, NEURON)
    reach = _reach(layer, (inputs,))
    found = GatherSums.of(layer, (inputs,), (outputs,), reach)
    assert found is not None or reach >= GATHERED_REACH
    assume(found is not None)
    assert found is not None
    raster = _raster(inputs, share, inputs)
    assert np.array_equal(
        found(raster).flatten(0, 1).numpy(), reference.synapse_sum(layer, raster.flatten(0, 1).numpy())
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_sums_are_exact_though_partial_ones_are_not(sign: int) -> None:
    """The first half of the inputs alone would sum to beyond 16 bit, were it not for the others before it."""
    weight = np.zeros((8, 259), np.int32)
    weight[:, :129] = 254 * sign
    weight[0, 129] = sign
    layer = Dense(weight, None, NEURON)
    assert _reach(layer, (259,)) == GATHERED_REACH - 1
    found = GatherSums.of(layer, (259,), (8,), _reach(layer, (259,)))
    assert found is not None
    assert found(_raster(259, 1.0, 0))[0, 0].tolist() == [32_767 * sign, *[32_766 * sign] * 7]


def test_of_even_weights_sums_may_be_twice_as_large() -> None:
    weight = np.zeros((40, 258), np.int32)
    weight[:, :257], weight[0, 257] = 254, 256 - 2
    layer = Dense(weight, None, NEURON)
    reach = _reach(layer, (258,))
    assert GATHERED_REACH < reach < 2 * GATHERED_REACH
    found = GatherSums.of(layer, (258,), (40,), reach)
    assert found is not None
    assert found(_raster(258, 1.0, 0))[0, 0].tolist() == [254.0 * 258, *[254.0 * 257] * 39]
    assert GatherSums.of(layer, (258,), (40,), 2 * GATHERED_REACH) is None


def test_there_are_none_for_larger_sums_groups_delays_and_nine_bits() -> None:
    layer = Conv(np.ones((8, 4, 3, 3), np.int32), None, NEURON, padding=(1, 1))
    assert GatherSums.of(layer, (4, 5, 5), (8, 5, 5), GATHERED_REACH - 1) is not None
    assert GatherSums.of(layer, (4, 5, 5), (8, 5, 5), GATHERED_REACH) is None
    grouped = replace(layer, groups=2)
    assert GatherSums.of(grouped, (8, 5, 5), (8, 5, 5), 36) is None
    wide = layer.weight.copy()
    wide[0, 0, 0, :2] = -1, 255
    assert GatherSums.of(replace(layer, weight=wide), (4, 5, 5), (8, 5, 5), 300) is None
    delayed = Dense(np.ones((8, 4), np.int32), None, NEURON, delay=np.ones((8, 4), np.int32))
    assert GatherSums.of(delayed, (4,), (8,), 4) is None


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_a_network_that_gathers_equals_the_reference(share: float) -> None:
    rng = np.random.default_rng(3)

    def weight(*shape: int) -> np.ndarray:
        return (rng.integers(-40, 41, shape) * 2).astype(np.int32)

    hidden = Lif(4096, 3072, 60)
    layers = (
        Conv(weight(32, 16, 4, 4), None, hidden, padding=(3, 3)),
        ConvTranspose(
            weight(32, 16, 3, 3), None, replace(hidden, current_decay=1000), (2, 2), (1, 1), output_padding=(1, 1)
        ),
        Conv(weight(2, 16, 3, 3), None, hidden, padding=(1, 1)),
    )
    network = Network((16, 1, 1), layers, time_steps=5)
    spikes = (rng.random((3, 5, 16, 1, 1)) < share).astype(np.uint8)
    expected = list(reference.simulate(network, spikes))
    assert expected[1].s.any()
    engine = Engine(network, path="gather")
    assert all(stage.sums.gather is not None for stage in engine._stages)  # type: ignore[union-attr]
    named = (named_traces(each, network) for each in (expected, engine.traces(spikes)))
    assert first_difference(*named) is None
    assert np.array_equal(engine.final_potentials(spikes), expected[-1].v[:, -1])


def test_what_is_worth_it_is_tried_once_for_layers_of_one_form() -> None:
    layer = Dense(np.ones((64, 300), np.int32), None, NEURON)
    asked: list[int] = []

    def other(raster: torch.Tensor) -> torch.Tensor:
        asked.append(len(raster))
        return raster @ raster.transpose(1, 2)

    shares, calls = [], []
    for _ in range(2):
        found = GatherSums.of(layer, (300,), (64,), 300)
        assert found is not None
        shares.append(found.worth(other))
        calls.append(len(asked))
    assert calls[0] == calls[1] >= 4
    assert shares[0] == shares[1]
    assert 0 <= shares[0] <= 1


def test_a_trial_takes_one_thread() -> None:
    layer = Conv(np.ones((8, 3, 3, 3), np.int32), None, NEURON, padding=(1, 1))
    found = GatherSums.of(layer, (3, 7, 11), (8, 7, 11), 27)
    assert found is not None
    before, seen = (numba.get_num_threads(), torch.get_num_threads()), set()

    def other(raster: torch.Tensor) -> torch.Tensor:
        seen.add((numba.get_num_threads(), torch.get_num_threads()))
        return raster

    assert 0 <= found.worth(other) <= 1
    assert seen == {(1, 1)}
    assert (numba.get_num_threads(), torch.get_num_threads()) == before

"""Images that each thread has for itself: the integers of one thread, in order, whatever the network."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from unittest.mock import patch

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from depth import examples
from esvae.machine.threads import each_in_a_thread, threads
from export.ir import Conv, ConvTranspose, Dense, Lif, Network
from sim import reference
from sim.counts.ops import Counter, count
from sim.stimulus import Stimulus, as_stimulus
from sim.trace import first_difference, named_traces
from sim.twin import engine as module
from sim.twin.engine import Engine, LayerActivity
from strategies import networks, recurrent_networks, sigma_delta_networks, stimuli_for


@pytest.fixture(scope="module", autouse=True)
def three_threads_share_any_work() -> Iterator[None]:
    with patch.object(module, "_SHARE", 0), threads(3):
        if numba.get_num_threads() < 2:
            pytest.skip("one core alone")
        yield


@st.composite
def cases(draw: st.DrawFn) -> tuple[Network, Stimulus]:
    kinds = networks(transposed=True) | recurrent_networks() | sigma_delta_networks()
    network = draw(kinds)
    return network, draw(stimuli_for(network, images=5))


@st.composite
def tallied_cases(draw: st.DrawFn) -> tuple[Network, Stimulus]:
    """Maps of channels that bytes count, before and behind layers that they do not."""
    dice = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    neuron = Lif(4096, 3072, draw(st.integers(0, 40)))
    height, width = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    layers: list[Conv | ConvTranspose] = []
    channels = draw(st.sampled_from([1, 16, 32]))
    shape = (channels, height, width)
    for _ in range(draw(st.integers(1, 3))):
        behind = draw(st.sampled_from([3, 16, 32, 64]))
        weight = dice.integers(-9, 10, (behind, channels, 3, 3)).astype(np.int32)
        if draw(st.booleans()):
            layers.append(ConvTranspose(weight.swapaxes(0, 1).copy(), None, neuron, (2, 2), (1, 1), (1, 1), (1, 1)))
        else:
            layers.append(Conv(weight, None, neuron, padding=(1, 1)))
        channels = behind
    network = Network(shape, tuple(layers))
    spikes = dice.random((draw(st.integers(2, 20)), draw(st.integers(1, 6)), *shape)) < 0.4
    return network, as_stimulus(network, spikes.astype(np.uint8))


@settings(max_examples=examples(40), deadline=None)
@given(tallied_cases())
def test_spikes_are_counted_on_their_way(case: tuple[Network, Stimulus]) -> None:
    network, stimulus = case
    taken: list[bool] = []

    def look(layers: Iterator[LayerActivity], images: range) -> None:
        for layer in layers:
            if layer.tally is not None:
                taken.append(layer.tally.taken)
                fired = layer.spikes.flatten(2).sum(2, dtype=torch.int64).numpy()
                assert np.array_equal(layer.tally.fired, fired)

    list(Engine(network).over(look, stimulus, tallies=Counter(network).tallies))
    assert all(taken)


def test_all_layers_of_a_decoder_are_counted_on_their_way() -> None:
    dice = np.random.default_rng(0)
    first = dice.integers(1, 10, (32, 64, 4, 4)).astype(np.int32)
    later = [dice.integers(1, 10, (to, 64, 3, 3)).astype(np.int32) for to in (64, 16)]
    neuron = Lif(4096, 3072, 20)
    maps = [Conv(weight, None, neuron, padding=(1, 1)) for weight in later]
    network = Network((32, 1, 1), (ConvTranspose(first, None, neuron), *maps))
    spikes = (dice.random((6, 4, 32, 1, 1)) < 0.4).astype(np.uint8)
    taken: list[bool] = []

    def look(layers: Iterator[LayerActivity], images: range) -> None:
        taken.extend(layer.tally is not None and layer.tally.taken for layer in layers)

    list(Engine(network).over(look, spikes, tallies=Counter(network).tallies))
    assert len(taken) >= 3 * 2  # three layers in each thread
    assert all(taken)


#: Bytes of which some hold all images, some a few at a time.
memories = st.sampled_from([1 << 12, 1 << 15, 1 << 29])


@settings(max_examples=examples(200))
@given(cases(), memories)
def test_every_state_is_the_references(case: tuple[Network, Stimulus], memory: int) -> None:
    network, stimulus = case
    expected = list(reference.simulate(network, stimulus))
    engine, done = Engine(network, memory=memory), []
    parts = list(engine.run(stimulus, trace=True, progress=done.append))
    assert len(parts) > 1
    assert done == np.cumsum([len(layers[-1].v_end) for layers in parts]).tolist()
    assert done[-1] == len(stimulus)
    named = (named_traces(each, network) for each in (expected, engine.traces(stimulus)))
    assert first_difference(*named) is None
    assert np.array_equal(engine.final_potentials(stimulus), expected[-1].v[:, -1])


@settings(max_examples=examples(60))
@given(cases() | tallied_cases(), st.booleans(), memories, st.sampled_from([1, 1 << 10, 1 << 28]))
def test_counts_are_those_of_one_image_after_the_other(
    case: tuple[Network, Stimulus], on_their_way: bool, memory: int, to_a_round: int
) -> None:
    network, stimulus = case
    counter, engine, seen = Counter(network), Engine(network, memory=memory), []
    tallies = counter.tallies if on_their_way else None
    add = lambda layers, images: counter.add(layers, images.start) or images  # noqa: E731
    with patch.object(module, "_ROUND", to_a_round):
        for images in engine.over(add, stimulus, tallies=tallies):
            seen.append(images)
    assert [number for images in seen for number in images] == list(range(len(stimulus)))
    got, one_by_one = counter.result(), count(network, engine.run(stimulus, chunk=1))
    assert got.layers == one_by_one.layers
    assert np.array_equal(got.per_image, one_by_one.per_image)
    for attribute in ("entering", "raster"):
        for left, right in zip(getattr(got, attribute), getattr(one_by_one, attribute), strict=True):
            assert np.array_equal(left, right)


@pytest.mark.parametrize("size", range(1, 8))
def test_parts_are_all_images_in_order_and_none_is_empty(size: int) -> None:
    network = Network((2,), (Dense(np.ones((1, 2), np.int64), None, Lif(4096, 0, 1)),))
    engine = Engine(network)
    with patch.object(Engine, "_chunk", lambda *_, **__: size):
        for images in range(1, 20):
            spikes = np.ones((images, 1, 2), np.uint8)
            parts = list(engine.over(lambda _, part: part, spikes))
            assert [number for part in parts for number in part] == list(range(images))
            assert all(1 <= len(part) <= size for part in parts)


@settings(max_examples=1)
@given(cases())
def test_an_error_in_any_of_them_is_an_error_here(case: tuple[Network, Stimulus]) -> None:
    network, stimulus = case
    for bad in range(len(stimulus)):

        def refuse(layers: Iterator[LayerActivity], images: range, bad: int = bad) -> None:
            list(layers)
            if bad in images:
                raise ValueError(f"image {bad}")

        with pytest.raises(ValueError, match=f"image {bad}"):
            list(Engine(network).over(refuse, stimulus))
    assert Engine(network).final_potentials(stimulus).shape[0] == len(stimulus)


def test_each_computes_alone_and_all_is_as_before() -> None:
    before = numba.get_num_threads(), torch.get_num_threads()
    inside = each_in_a_thread(lambda _: (numba.get_num_threads(), torch.get_num_threads()), range(3))
    assert inside == [(1, 1)] * 3
    assert (numba.get_num_threads(), torch.get_num_threads()) == before
    assert each_in_a_thread(lambda _: torch.get_num_threads(), range(1)) == [before[1]]
    assert each_in_a_thread(lambda x: x * x, range(9)) == [x * x for x in range(9)]


def test_a_thread_takes_what_none_has_begun() -> None:
    others_are_done, by = threading.Event(), dict[int, int]()

    def compute(number: int) -> int:
        if number == 0:
            assert others_are_done.wait(60)
        by[number] = threading.get_ident()
        if len(by) == 8:
            others_are_done.set()
        return number

    assert each_in_a_thread(compute, range(9)) == list(range(9))
    assert by[0] not in {by[number] for number in range(1, 9)}


def test_after_an_error_nothing_is_begun() -> None:
    begun = set[int]()

    def compute(number: int) -> None:
        begun.add(number)
        if number == 1:
            raise ValueError("image 1")
        time.sleep(0.01)

    with pytest.raises(ValueError, match="image 1"):
        each_in_a_thread(compute, range(1000))
    assert len(begun) < 1000

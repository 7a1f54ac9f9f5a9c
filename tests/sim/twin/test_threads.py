"""Images that each thread has for itself: the integers of one thread, in order, whatever the network."""

from __future__ import annotations

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
from export.ir import Network
from sim import reference
from sim.counts.ops import Counter, count
from sim.stimulus import Stimulus
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


@settings(max_examples=examples(200))
@given(cases())
def test_every_state_is_the_references(case: tuple[Network, Stimulus]) -> None:
    network, stimulus = case
    expected = list(reference.simulate(network, stimulus))
    engine, done = Engine(network), []
    parts = list(engine.run(stimulus, trace=True, progress=done.append))
    assert len(parts) > 1
    assert done == np.cumsum([len(layers[-1].v_end) for layers in parts]).tolist()
    assert done[-1] == len(stimulus)
    named = (named_traces(each, network) for each in (expected, engine.traces(stimulus)))
    assert first_difference(*named) is None
    assert np.array_equal(engine.final_potentials(stimulus), expected[-1].v[:, -1])


@settings(max_examples=examples(60))
@given(cases())
def test_counts_are_those_of_one_image_after_the_other(case: tuple[Network, Stimulus]) -> None:
    network, stimulus = case
    counter, engine, seen = Counter(network), Engine(network), []
    for images in engine.over(lambda layers, images: counter.add(layers, images.start) or images, stimulus):
        seen.append(images)
    assert [number for images in seen for number in images] == list(range(len(stimulus)))
    got, one_by_one = counter.result(), count(network, engine.run(stimulus, chunk=1))
    assert got.layers == one_by_one.layers
    assert np.array_equal(got.per_image, one_by_one.per_image)
    for attribute in ("entering", "raster"):
        for left, right in zip(getattr(got, attribute), getattr(one_by_one, attribute), strict=True):
            assert np.array_equal(left, right)


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

"""Bounds on who can fire: they hold for every network and stimulus, and are reached where that is easy to see."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export.ir import Conv, Dense, Lif, Network
from export.ir.firing import Firing, layer_firing
from sim.twin.engine import Engine
from strategies import networks, spikes_for


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_no_run_leaves_the_bounds(data: st.DataObject) -> None:
    network = data.draw(networks(transposed=True))
    traces = Engine(network).traces(data.draw(spikes_for(network)))
    for bounds, trace in zip(layer_firing(network), traces, strict=True):
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
    assert layer_firing(Network((2,), (layer,), time_steps=steps)) == [expected]


def test_memory_lets_a_neuron_reach_its_threshold() -> None:
    layer = Dense(np.array([[2]]), None, Lif(4096, 1024, 5))  # 2 * (1 + 3/4 + ...) < 8
    firing = [layer_firing(Network((1,), (layer,), time_steps=steps))[0] for steps in (1, 3, 4, None)]
    assert [bounds and bounds.never for bounds in firing] == [1, 1, 0, 0]


def test_borders_and_a_current_that_could_wrap() -> None:
    kernel = np.full((1, 1, 3, 3), 2)
    padded = Conv(kernel, None, Lif(4096, 4096, 12), padding=(1, 1))  # inside 18, at an edge 12, in a corner 8
    assert layer_firing(Network((1, 4, 4), (padded,), time_steps=1)) == [Firing(16, 12, 0)]
    endless = Dense(np.array([[200]]), None, Lif(0, 4096, 12))
    assert layer_firing(Network((1,), (endless,))) == [None]

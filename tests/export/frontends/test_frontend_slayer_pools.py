"""slayer's pools and unpools in the twin: slayer's spikes in every layer, and what is refused."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slayer_stacks import NEURON, fires_the_same, layer_spikes, network, raster, slayer, trained
from torch import nn

from esvae.errors import EsvaeError
from export.ir import Conv, ConvTranspose
from sim.twin.engine import Engine

pytestmark = [
    pytest.mark.lava,
    pytest.mark.filterwarnings("ignore:torch.nn.utils.weight_norm is deprecated:UserWarning"),
    pytest.mark.skipif(importlib.util.find_spec("lava") is None, reason="needs lava-dl in this interpreter"),
]

PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))


@settings(max_examples=40, deadline=None)
@given(
    kernel=PAIRS, stride=st.none() | PAIRS, padding=st.integers(0, 1), dilation=PAIRS,
    size=st.tuples(st.integers(2, 7), st.integers(2, 7)), seed=st.integers(0, 99),
)  # fmt: skip
def test_a_pool_is_a_convolution_or_refused(
    kernel: Any, stride: Any, padding: int, dilation: Any, size: Any, seed: int
) -> None:
    geometry = {"stride": stride, "padding": (0, padding), "dilation": dilation}
    block = slayer().block.cuba.Pool(dict(NEURON), kernel, weight_scale=1.5, **geometry)
    shape = (3, *size)
    ours, told = None, ""
    try:
        ours = network(nn.ModuleList([block]), shape)
    except EsvaeError as error:
        told = str(error)
    if ours is None:
        assert any(reason in told for reason in ("see two at once", "zeros at the far end", "empty output"))
        return
    spikes = raster(seed, *shape)
    (theirs,) = layer_spikes(nn.ModuleList([block]), spikes)
    (trace,) = Engine(ours).traces(spikes)
    assert np.array_equal(theirs[:, 1:], trace.s[:, :-1])


def test_pools_between_convolutions_with_odd_sizes() -> None:
    cuba = slayer().block.cuba
    stack = trained(
        cuba.Conv(dict(NEURON), 2, 4, 3, padding=1, weight_scale=4), cuba.Pool(dict(NEURON), 2, weight_scale=2),
        cuba.Conv(dict(NEURON), 4, 4, 2, weight_scale=4), cuba.Flatten(),
        cuba.Dense(dict(NEURON), 4 * 2 * 3, 5, weight_scale=4), shape=(2, 5, 7),
    )  # fmt: skip
    ours = network(stack, (2, 5, 7))
    pool = ours.layers[1]
    assert isinstance(pool, Conv)
    assert pool.groups == 4
    fires_the_same(stack, ours, 1)


@settings(max_examples=30, deadline=None)
@given(
    kernel=PAIRS, stride=st.none() | PAIRS, padding=st.integers(0, 1), dilation=PAIRS,
    size=st.tuples(st.integers(1, 4), st.integers(2, 4)), seed=st.integers(0, 99),
)  # fmt: skip
def test_an_unpool_is_a_transposed_convolution_or_refused(
    kernel: Any, stride: Any, padding: int, dilation: Any, size: Any, seed: int
) -> None:
    geometry = {"stride": stride, "padding": (0, padding), "dilation": dilation}
    block = slayer().block.cuba.Unpool(dict(NEURON), kernel, weight_scale=1.5, **geometry)
    shape = (3, *size)
    ours, told = None, ""
    try:
        ours = network(nn.ModuleList([block]), shape)
    except EsvaeError as error:
        told = str(error)
    if ours is None:
        assert "windows do not end with them" in told or "empty output" in told
        return
    spikes = raster(seed, *shape)
    (theirs,) = layer_spikes(nn.ModuleList([block]), spikes)
    (trace,) = Engine(ours).traces(spikes)
    assert np.array_equal(theirs[:, 1:], trace.s[:, :-1])


def test_an_unpool_between_convolutions() -> None:
    cuba = slayer().block.cuba
    stack = trained(
        cuba.Conv(dict(NEURON), 2, 4, 3, padding=1, weight_scale=4), cuba.Unpool(dict(NEURON), 2, weight_scale=2),
        cuba.Conv(dict(NEURON), 4, 3, 2, weight_scale=4), shape=(2, 3, 4),
    )  # fmt: skip
    ours = network(stack, (2, 3, 4))
    assert isinstance(ours.layers[1], ConvTranspose)
    fires_the_same(stack, ours, 1)

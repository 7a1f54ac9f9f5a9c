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

from depth import examples
from esvae.errors import EsvaeError
from export.ir import Conv, ConvTranspose
from sim.twin.engine import Engine

pytestmark = [
    pytest.mark.lava,
    pytest.mark.filterwarnings("ignore:torch.nn.utils.weight_norm is deprecated:UserWarning"),
    pytest.mark.skipif(importlib.util.find_spec("lava") is None, reason="needs lava-dl in this interpreter"),
]

PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))
GEOMETRIES = st.fixed_dictionaries(
    {
        "kernel_size": PAIRS,
        "stride": st.none() | PAIRS,
        "padding": st.tuples(st.just(0), st.integers(0, 1)),
        "dilation": PAIRS,
    }
)


def same_or_refused(
    name: str, geometry: dict[str, Any], size: tuple[int, int], seed: int, reasons: tuple[str, ...]
) -> None:
    """slayer's block of this name fires the same in the twin, or is refused with one of the reasons."""
    block = getattr(slayer().block.cuba, name)(dict(NEURON), weight_scale=1.5, **geometry)
    stack, shape = nn.ModuleList([block]), (3, *size)
    ours, told = None, ""
    try:
        ours = network(stack, shape)
    except EsvaeError as error:
        told = str(error)
    if ours is None:
        assert any(reason in told for reason in reasons)
        return
    spikes = raster(seed, *shape)
    (theirs,) = layer_spikes(stack, spikes)
    (trace,) = Engine(ours).traces(spikes)
    assert np.array_equal(theirs[:, 1:], trace.s[:, :-1])


@settings(max_examples=examples(40))
@given(GEOMETRIES, st.tuples(st.integers(2, 7), st.integers(2, 7)), st.integers(0, 99))
def test_a_pool_is_a_convolution_or_refused(geometry: dict[str, Any], size: tuple[int, int], seed: int) -> None:
    same_or_refused("Pool", geometry, size, seed, ("see two at once", "zeros at the far end", "empty output"))


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


@settings(max_examples=examples(30))
@given(GEOMETRIES, st.tuples(st.integers(1, 4), st.integers(2, 4)), st.integers(0, 99))
def test_an_unpool_is_a_transposed_convolution_or_refused(
    geometry: dict[str, Any], size: tuple[int, int], seed: int
) -> None:
    same_or_refused("Unpool", geometry, size, seed, ("windows do not end with them", "empty output"))


def test_an_unpool_between_convolutions() -> None:
    cuba = slayer().block.cuba
    stack = trained(
        cuba.Conv(dict(NEURON), 2, 4, 3, padding=1, weight_scale=4), cuba.Unpool(dict(NEURON), 2, weight_scale=2),
        cuba.Conv(dict(NEURON), 4, 3, 2, weight_scale=4), shape=(2, 3, 4),
    )  # fmt: skip
    ours = network(stack, (2, 3, 4))
    assert isinstance(ours.layers[1], ConvTranspose)
    fires_the_same(stack, ours, 1)

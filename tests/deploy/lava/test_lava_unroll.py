"""Sparse matrices of layers against the reference's sums of weights."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from export.ir import Network
from sim import reference
from strategies import networks

from deploy.lava.unroll import unrolled  # isort: skip


@given(networks(transposed=True), st.integers(0, 2**32 - 1))
def test_sums_are_those_of_the_reference(network: Network, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for layer, before, after in network.synapses():
        matrix = unrolled(layer, before)
        assert matrix.shape == (math.prod(after), math.prod(before))
        assert matrix.dtype == np.int32
        assert matrix.data.all()
        spikes = (rng.random((3, *before)) < 0.5).astype(np.uint8)
        sums = matrix @ spikes.reshape(3, -1).astype(np.int32).T
        np.testing.assert_array_equal(sums.T.reshape(3, *after), reference.synapse_sum(layer, spikes))

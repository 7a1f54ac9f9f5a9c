"""Merging components: which, and what stays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depth import examples
from esvae.errors import ConfigError
from export.circuit.merge import merged_prior
from export.circuit.tables import TableOptions, prior_tables
from export.ir import Prior


def mixture(components: int, latents: int, seed: int) -> Prior:
    draws = np.random.default_rng(seed)
    weight = draws.normal(0, 0.6, (components, latents, latents))
    share = draws.uniform(0.2, 1, components)
    bias = draws.uniform(-2, 2, (components, latents))
    return Prior(weight.astype("f4"), bias.astype("f4"), (share / share.sum()).astype("f4"))


def moments(prior: Prior) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the logits."""
    share = prior.share.astype(np.float64) / prior.share.sum(dtype=np.float64)
    bias, weight = prior.bias.astype(np.float64), prior.weight.astype(np.float64)
    mean = share @ bias
    second = np.einsum("k,kij->ij", share, weight @ weight.swapaxes(1, 2) + bias[:, :, None] * bias[:, None])
    return mean, second - np.outer(mean, mean)


@settings(max_examples=examples(20))
@given(st.integers(1, 7), st.integers(1, 8), st.integers(1, 5), st.integers(0, 99))
def test_mean_and_covariance_of_the_whole_stay(components: int, kept: int, latents: int, seed: int) -> None:
    prior = mixture(components, latents, seed)
    merged = merged_prior(prior, kept)
    assert len(merged.share) == min(components, kept)
    assert merged.share.sum() == pytest.approx(1, abs=1e-6)
    for before, after in zip(moments(prior), moments(merged), strict=True):
        np.testing.assert_allclose(after, before, atol=2e-5)


def test_the_nearest_go_first() -> None:
    """Two pairs of twins, and one that is alone."""
    means = np.array([[0, 0], [9, 9], [0.1, 0], [-9, 4], [9, 9.1]], "f4")
    prior = Prior(np.tile(np.eye(2, dtype="f4"), (5, 1, 1)), means, np.array([0.3, 0.1, 0.1, 0.2, 0.3], "f4"))
    merged = merged_prior(prior, 3)
    np.testing.assert_allclose(merged.share, [0.4, 0.4, 0.2], atol=1e-6)
    np.testing.assert_allclose(merged.bias, [[0.025, 0], [9, 9.075], [-9, 4]], atol=1e-5)
    assert merged_prior(prior, 5) is prior


def test_components_without_a_share_go_before_any() -> None:
    prior = mixture(4, 3, 0)
    prior.share[1] = 0
    merged = merged_prior(prior, 3)
    np.testing.assert_array_equal(merged.bias, prior.bias[[0, 2, 3]])


def test_tables_of_fewer_components() -> None:
    prior = mixture(6, 4, 1)
    made, same = prior_tables(prior, TableOptions(components=2)), prior_tables(merged_prior(prior, 2))
    np.testing.assert_array_equal(made.factor, same.factor)
    assert made.components == 2
    with pytest.raises(ConfigError, match="0 components: expected at least 1"):
        TableOptions(components=0)

"""The prior in whole numbers: orthogonal rows, exact laws, and logits as the float prior has them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depth import examples
from esvae.errors import ConfigError, HardwareRangeError
from export.circuit.hadamard import hadamard, next_order, two_sized_rows
from export.circuit.law import SumLaw, logistic, logistic_error
from export.circuit.tables import TableOptions, prior_tables
from export.ir import Prior


def made_up_prior(components: int, latents: int, noise: int, seed: int = 0) -> Prior:
    """A mixture of the sizes that training comes to."""
    generator = np.random.default_rng(seed)
    weight = generator.normal(0, 1.5 / np.sqrt(noise), (components, latents, noise))
    share = generator.uniform(0.5, 2, components)
    bias = generator.uniform(-2.5, 2.5, (components, latents))
    return Prior(weight.astype("f4"), bias.astype("f4"), (share / share.sum()).astype("f4"))


@pytest.mark.parametrize("order", [1, 2, 4, 8, 12, 16, 20, 24, 32, 44, 48, 64, 96, 128])
def test_hadamard_rows_are_orthogonal(order: int) -> None:
    matrix = hadamard(order)
    np.testing.assert_array_equal(matrix @ matrix.T, order * np.eye(order))
    assert set(np.unique(matrix)) <= {-1, 1}
    assert (matrix[0] == 1).all()


def test_orders_that_are_not_constructed() -> None:
    assert [next_order(n) for n in (1, 3, 5, 10, 33, 48, 93)] == [1, 4, 8, 12, 40, 48, 96]
    with pytest.raises(ConfigError, match="no Hadamard matrix of order 6 is constructed here; next is 8"):
        hadamard(6)


@given(st.integers(1, 64), st.sampled_from([4, 8, 12, 32]), st.integers(1, 30), st.integers(1, 30))
def test_rows_of_two_sizes(rows: int, half: int, small: int, large: int) -> None:
    if rows > 2 * half:
        with pytest.raises(ConfigError, match="orthogonal rows"):
            two_sized_rows(rows, half, small, large)
        return
    made = two_sized_rows(rows, half, small, large)
    np.testing.assert_array_equal(made @ made.T, half * (small**2 + large**2) * np.eye(rows))
    assert sorted(set(np.abs(made).ravel())) == sorted({small, large})


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=9))
def test_the_law_of_a_sum_against_all_signs(weights: list[int]) -> None:
    sums = np.array([np.dot(signs, weights) for signs in itertools.product((-1, 1), repeat=len(weights))])
    drive = np.arange(-60, 61)
    np.testing.assert_allclose(
        SumLaw(np.array(weights)).fires(drive), (drive[:, None] + sums > 0).mean(axis=1), atol=1e-15
    )


def test_the_noise_is_as_close_to_logistic_as_a_normal_can_be() -> None:
    """The best probit is .0095 away (Camilli 1994); what steps of the sum add is the rest."""
    tables = prior_tables(made_up_prior(32, 32, 32))
    assert logistic_error(tables.law, tables.unit) < 0.016
    coarse = SumLaw(np.full(32, 10))
    assert logistic_error(coarse, 10 * np.sqrt(32) / 1.702) > 0.05


@pytest.mark.parametrize("components", [1, 3, 32])
def test_logits_in_units_are_the_priors(components: int) -> None:
    """Over many draws mean and covariance of the logits are the prior's, component by component."""
    prior = made_up_prior(components, 16, 16)
    tables = prior_tables(prior)
    generator = np.random.default_rng(1)
    bits = generator.integers(0, 2, (20_000, tables.factor.shape[1]))
    for k in range(min(components, 3)):
        logits = tables.logits(np.full(len(bits), k), bits) / tables.unit
        weight = prior.weight[k].astype(float)
        variance = (weight**2).sum(axis=1)
        # five standard errors of a mean and of a covariance of as many draws, and what rounding moves
        np.testing.assert_allclose(logits.mean(axis=0), prior.bias[k], atol=5 * np.sqrt(variance.max() / 20_000) + 0.02)
        bound = 5 * np.sqrt(2) * variance.max() / np.sqrt(20_000) + 0.1
        np.testing.assert_allclose(np.cov(logits.T), weight @ weight.T, atol=bound)


@pytest.mark.parametrize("components", [1, 2, 7, 32])
def test_shares_of_components(components: int) -> None:
    prior = made_up_prior(components, 8, 8)
    tables = prior_tables(prior)
    chosen = tables.component(np.arange(1024))
    got = np.bincount(chosen, minlength=components) / 1024
    np.testing.assert_allclose(got, prior.share, atol=1 / 1024)


@settings(max_examples=examples(30))
@given(st.integers(1, 12), st.integers(1, 40), st.integers(1, 40), st.booleans(), st.sampled_from([None, 1, 4, 12]))
def test_no_sum_is_ever_zero(components: int, latents: int, noise: int, shared: bool, factors: int | None) -> None:
    """Odd sums never tie with the threshold, so that a logit and its negative fire in shares that add up to one."""
    tables = prior_tables(made_up_prior(components, latents, noise), TableOptions(factors, shared, noise_bits=16))
    generator = np.random.default_rng(0)
    bits = generator.integers(0, 2, (50, tables.factor.shape[1]))
    logits = tables.logits(generator.integers(0, components, 50), bits)
    signs = 2 * generator.integers(0, 2, (50, len(tables.noise))) - 1
    assert ((logits + signs @ tables.noise) % 2 == 1).all()
    law = tables.law
    odd = np.arange(-law.reach - 1 | 1, law.reach + 2, 2)
    np.testing.assert_allclose(law.fires(odd) + law.fires(-odd), 1, atol=1e-12)
    np.testing.assert_array_equal(
        tables.noise.T @ tables.noise, np.eye(latents) * (tables.noise[:, 0].astype(int) ** 2).sum()
    )


def test_fewer_factors_keep_the_largest_axes() -> None:
    prior = made_up_prior(2, 16, 16)
    full, half = (prior_tables(prior, TableOptions(factors)) for factors in (None, 8))
    assert full.factor.shape == (2, 16, 16)
    assert half.factor.shape == (2, 8, 16)
    scale = np.linalg.svd(prior.weight[0].astype(float))[1]
    kept = (half.factor[0] ** 2).sum() / half.unit**2
    assert kept == pytest.approx((scale[:8] ** 2).sum(), rel=0.01)


def test_more_factors_than_axes_come_closer_to_normal() -> None:
    """The covariance is the same; sums of more signs have less of the kurtosis that a normal has not."""
    prior = made_up_prior(1, 8, 8)
    few, many = (prior_tables(prior, TableOptions(factors)) for factors in (None, 48))
    assert many.factor.shape == (1, 48, 8)
    for tables in (few, many):
        factor = tables.factor[0] / tables.unit
        wanted = prior.weight[0].astype(float) @ prior.weight[0].T
        np.testing.assert_allclose(factor.T @ factor, wanted, atol=0.02 * np.abs(wanted).max())
    excess = [(tables.factor[0] ** 4.0).sum(0) / (tables.factor[0] ** 2.0).sum(0) ** 2 for tables in (few, many)]
    assert excess[1].max() < excess[0].min() / 2


def test_what_cannot_be_is_refused() -> None:
    prior = made_up_prior(5, 8, 8)
    with pytest.raises(ConfigError, match="5 components: at most 4 with 2 bits"):
        prior_tables(prior, TableOptions(choice_bits=2))
    for options, text in (
        ({"factors": 0}, "0 factors"),
        ({"noise_bits": 12}, "12 noise bits: expected a multiple of 8"),
        ({"choice_bits": 11}, "11 choice bits: expected 1 to 10"),
    ):
        with pytest.raises(ConfigError, match=text):
            TableOptions(**options)
    wide = Prior(prior.weight * 1000, prior.bias, prior.share)
    with pytest.raises(HardwareRangeError, match="do not fit weights of 254; train a narrower prior"):
        prior_tables(wide)


def test_the_logistic() -> None:
    assert logistic(np.array([0.0, 40.0])).tolist() == [0.5, pytest.approx(1.0)]

"""The sampler as a circuit (against plain Python, and its period) and as a random source.

Each statistical test states its false-alarm rate: how often a perfect source would fail it, were the seed drawn anew.
The seeds are fixed, so a failure is a change of the sampler, not bad luck.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.sampler_statistics import numbers, shared_stretches
from depth import examples
from esvae.errors import DataError
from export.ir import Dense, Lif, Network, Prior
from sim.sampler import (
    LFSR_TAPS,
    advance,
    codes_from_counts,
    codes_from_rates,
    draw_latents,
    initial_states,
    prior_codes,
    prior_rates,
    sample_spikes,
)

BITS = 8
IMAGES, NEURONS, STEPS = 400, 32, 32
#: Two-sided, in standard deviations of the normal distribution; each single comparison fails by chance once in 10^7.
FIVE_SIGMA = 5.33


@pytest.fixture(scope="module")
def raw() -> np.ndarray:
    """The numbers x that are compared with the codes: ``(images, steps, neurons)``, 0 to 255."""
    states = initial_states(3, np.arange(IMAGES), NEURONS)
    numbers = np.empty((IMAGES, STEPS, NEURONS), np.int64)
    for t in range(STEPS):
        states = advance(states, BITS)
        numbers[:, t] = states & 0xFF
    return numbers


def plain_advance(state: int, bits: int) -> int:
    """A Galois LFSR one bit at a time, in Python's own integers."""
    for _ in range(bits):
        lowest = state & 1
        state >>= 1
        if lowest:
            state ^= LFSR_TAPS
    return state


@given(st.integers(1, 2**32 - 1), st.integers(1, 16))
def test_advance_is_the_circuit(state: int, bits: int) -> None:
    assert int(advance(np.array([state], np.uint32), bits)[0]) == plain_advance(state, bits)


def test_the_register_runs_through_all_its_states() -> None:
    """Its period is 2^32 - 1: the step's matrix has that order, and none of the divisors that leave out one prime."""

    def times(a: list[int], b: list[int]) -> list[int]:
        return [apply(a, column) for column in b]

    def apply(a: list[int], vector: int) -> int:
        total = 0
        for bit in range(32):
            if vector >> bit & 1:
                total ^= a[bit]
        return total

    def power(a: list[int], exponent: int) -> list[int]:
        result = [1 << bit for bit in range(32)]
        while exponent:
            if exponent & 1:
                result = times(a, result)
            a, exponent = times(a, a), exponent >> 1
        return result

    one = [1 << bit for bit in range(32)]
    step = [plain_advance(1 << bit, 1) for bit in range(32)]
    full = 2**32 - 1
    assert power(step, full) == one
    assert all(power(step, full // prime) != one for prime in (3, 5, 17, 257, 65537))


@settings(max_examples=examples(25))
@given(st.integers(0, 2**64 - 1), st.integers(0, 2**40))
def test_an_image_has_the_same_spikes_alone_or_among_others(seed: int, image: int) -> None:
    alone = initial_states(seed, np.array([image]), 5)
    among = initial_states(seed, np.array([image + 1, image, 0]), 9)
    assert np.array_equal(alone[0], among[1, :5])
    assert (among != 0).all()


def test_initial_states_rarely_meet() -> None:
    """200,000 states of 32 bit: 4.7 pairs are expected to coincide; more than 20 happens once in 10^7."""
    states = initial_states(0, np.arange(2000), 100).reshape(-1)
    assert states.size - np.unique(states).size <= 20
    assert not np.isin(initial_states(1, np.arange(3), 100), initial_states(2, np.arange(3), 100)).any()


def test_numbers_are_uniform(raw: np.ndarray) -> None:
    """Chi-square over 256 values, normal approximation; false alarms: 1 in 10^7."""
    observed = np.bincount(raw.reshape(-1), minlength=256)
    expected = raw.size / 256
    chi_square = ((observed - expected) ** 2 / expected).sum()
    assert abs(chi_square - 255) < FIVE_SIGMA * np.sqrt(2 * 255)


@pytest.mark.parametrize("code", [1, 17, 64, 128, 200, 255])
def test_rate_and_fano_factor(code: int, raw: np.ndarray) -> None:
    """Mean rate, and variance of counts over mean, against Bernoulli's 1 - p; false alarms: 2 in 10^7 each."""
    spikes = raw < code
    p = code / 256
    assert abs(spikes.mean() - p) < FIVE_SIGMA * np.sqrt(p * (1 - p) / spikes.size)
    counts = spikes.sum(axis=1).reshape(-1).astype(float)
    variance = STEPS * p * (1 - p)
    # Variance of a sample variance: (fourth central moment - variance^2) / n, the moment being the binomial's.
    fourth = variance * (1 + 3 * (STEPS - 2) * p * (1 - p))
    bound = FIVE_SIGMA * np.sqrt((fourth - variance**2) / counts.size)
    assert abs(counts.var() - variance) < bound
    assert abs(counts.var() / counts.mean() - (1 - p)) < 1.5 * bound / (STEPS * p)


@pytest.mark.parametrize("lag", range(1, 9))
def test_no_autocorrelation_in_time(lag: int, raw: np.ndarray) -> None:
    """Of the numbers, at each lag; false alarms: 1 in 10^7."""
    centred = raw - 127.5
    correlation = (centred[:, lag:] * centred[:, :-lag]).mean() / centred.var()
    assert abs(correlation) < FIVE_SIGMA / np.sqrt(centred[:, lag:].size)


@pytest.mark.parametrize("axis", [0, 2])
def test_no_correlation_between_neurons_or_images(axis: int, raw: np.ndarray) -> None:
    """Between neighbours along the axis, and over all pairs of neurons; false alarms: 500 in 10^7 for the pairs."""
    centred = np.moveaxis(raw - 127.5, axis, 0)
    correlation = (centred[1:] * centred[:-1]).mean() / centred.var()
    assert abs(correlation) < FIVE_SIGMA / np.sqrt(centred[1:].size)
    pairs = np.corrcoef(np.moveaxis(raw, 2, 0).reshape(NEURONS, -1))[np.triu_indices(NEURONS, 1)]
    assert np.abs(pairs).max() < FIVE_SIGMA / np.sqrt(IMAGES * STEPS)


def test_the_extreme_codes_never_and_always_fire() -> None:
    states = initial_states(0, np.arange(5), 4)
    assert not sample_spikes(np.zeros((5, 4), np.int64), states, 50, BITS).any()
    assert sample_spikes(np.full((5, 4), 256), states, 50, BITS).all()


def test_codes() -> None:
    assert codes_from_rates(np.array([0, 1, 0.5, 1 / 512, 3 / 512]), 8).tolist() == [0, 256, 128, 0, 2]
    assert codes_from_counts(np.arange(4), 3, 8).tolist() == [0, 85, 170, 256]
    assert codes_from_counts(np.array([16]), 16, 8).tolist() == [256]


@st.composite
def rate_codes(draw: st.DrawFn) -> tuple[int, int, int]:
    """Bits of a code, the code, and a window."""
    bits = draw(st.integers(1, 6))
    return bits, draw(st.integers(0, 1 << bits)), draw(st.integers(1, 40))


def every_start(bits: int) -> np.ndarray:
    """One state for each number that a register may give first, ``(1, 2^bits)``."""
    states = np.arange(1, 1 << 16, dtype=np.uint32)
    _, at = np.unique(advance(states, bits) & np.uint32((1 << bits) - 1), return_index=True)
    return states[None, at]


@given(rate_codes())
def test_systematic_counts_are_the_rates_and_unbiased(drawn: tuple[int, int, int]) -> None:
    """The count is c T / 2^B rounded up or down, over all starts exactly that in the mean, as is each step's rate; the
    gaps between spikes differ by one at most."""
    bits, code, steps = drawn
    states = every_start(bits)
    spikes = sample_spikes(np.full(states.shape, code), states, steps, bits, "systematic")[0]
    counts = spikes.sum(axis=0, dtype=np.int64)
    assert set(counts.tolist()) <= {code * steps >> bits, -(-code * steps >> bits)}
    assert counts.sum() == code * steps
    assert (spikes.sum(axis=1) == code).all()
    for fired in spikes.T:
        gaps = np.diff(fired.nonzero()[0])
        assert gaps.size == 0 or gaps.max() - gaps.min() <= 1


@given(st.integers(0, 2**64 - 1), st.sampled_from([1, 2, 4, 8, 16, 32]))
def test_systematic_spikes_of_counted_rates_have_their_counts(seed: int, steps: int) -> None:
    counts = np.arange(steps + 1)[None]
    states = initial_states(seed, np.arange(1), steps + 1)
    spikes = sample_spikes(codes_from_counts(counts, steps, BITS), states, steps, BITS, "systematic")
    np.testing.assert_array_equal(spikes.sum(axis=1), counts)


def test_a_prior_with_levels_draws_whole_counts() -> None:
    rng = np.random.default_rng(0)
    weight, bias = (rng.normal(size=shape).astype(np.float32) for shape in ((2, 5, 5), (2, 5)))
    prior = Prior(weight, bias, np.ones(2, np.float32), BITS, "systematic", 16)
    network = Network((5,), (Dense(np.full((1, 5), 2), None, Lif(4096, 3072, 5)),), time_steps=16, prior=prior)
    images = np.arange(50)
    counts = np.rint(prior_rates(prior, 3, images) * 16)
    np.testing.assert_array_equal(prior_codes(prior, 3, images), counts * 16)
    np.testing.assert_array_equal(draw_latents(network, 3, images).sum(axis=1), counts)
    assert np.unique(counts).size > 10


def test_prior_rates_have_the_mean_of_the_sigmoid_of_a_normal() -> None:
    """One latent, logit ~ N(0.5, 1.5^2), against numerical integration; false alarms: 1 in 10^7."""
    prior = Prior(np.full((1, 1, 1), 1.5, np.float32), np.full((1, 1), 0.5, np.float32), np.ones(1, np.float32))
    rates = prior_rates(prior, 11, np.arange(20_000))[:, 0]
    grid = np.linspace(-8, 8, 4001)
    density = np.exp(-(grid**2) / 2)
    exact = 1 / (1 + np.exp(-(1.5 * grid + 0.5)))
    mean = (exact * density).sum() / density.sum()
    deviation = np.sqrt(((exact - mean) ** 2 * density).sum() / density.sum())
    assert abs(rates.mean() - mean) < FIVE_SIGMA * deviation / np.sqrt(rates.size)


def test_every_seed_up_to_64_bits_draws_its_own_rates() -> None:
    prior = Prior(np.ones((1, 3, 3), np.float32), np.zeros((1, 3), np.float32), np.ones(1, np.float32))
    drawn = [prior_rates(prior, seed, np.arange(2)) for seed in (0, 1, 2**63, 2**64 - 1)]
    assert len({rates.tobytes() for rates in drawn}) == 4


def test_drawing_needs_a_prior_and_a_sane_seed() -> None:
    network = Network((2,), (Dense(np.full((1, 2), 2), None, Lif(4096, 3072, 5)),), time_steps=4)
    with pytest.raises(DataError, match="no prior to draw latent spikes from"):
        draw_latents(network, 0, np.arange(2))
    with pytest.raises(DataError, match="seed -1: expected 0 to"):
        initial_states(-1, np.arange(2), 3)


def test_registers_that_share_a_stretch_are_found() -> None:
    """The benchmark's count, on neurons of which one was put 24 bits behind another, and 3 where none is near."""
    states = initial_states(1, np.arange(3), 6)
    states[1, 4] = advance(states[1, 2:3], 3 * BITS)[0]
    found = np.zeros(16 * BITS, np.int64)
    shared_stretches(states, BITS, np.uint32(LFSR_TAPS), found)
    assert found.nonzero()[0].tolist() == [3 * BITS]
    assert found.sum() == 1
    x = numbers(states[1:2], 16, BITS, np.uint32(LFSR_TAPS))[0]
    assert (x[2, 3:] == x[4, :-3]).all()
    spikes = sample_spikes(np.full((1, 6), 100), states[1:2], 16, BITS)[0]
    assert ((x < 100) == spikes.T).all()  # these are the numbers that the definition compares

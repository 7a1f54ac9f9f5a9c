"""What the time of a first spike tells: edges against the neuron, levels, and the choice of threshold and lift."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esvae.chip.neuron import Lif, lif_step
from esvae.errors import HardwareRangeError
from export.readout.first_spike import best_lift, first_edges, levels_of

NEURONS = st.builds(Lif, st.just(4096), st.integers(0, 4096), st.integers(1, 20_000))


def first_spike(neuron: Lif, start: np.ndarray, drive: int, steps: int) -> np.ndarray:
    """The step, from 1, at which neurons that start there fire for the first time; ``steps + 1`` for not at all."""
    found = np.full(start.shape, steps + 1)
    u, v = np.zeros_like(start), start
    for step in range(steps):
        u, v, fired = lif_step(u, v, np.full_like(start, drive), 0, neuron)
        found[fired & (found > steps)] = step + 1
    return found


@given(NEURONS, st.integers(-300, 3000), st.integers(1, 12), st.integers(0, 2**32))
def test_edges_are_the_neurons_own(neuron: Lif, drive: int, steps: int, seed: int) -> None:
    """From each edge on a neuron has fired by that step, and one below it has not: at all edges, and anywhere."""
    top = neuron.threshold << 6
    edges = first_edges(neuron, np.array([drive]), steps)[0]
    assert (np.diff(edges) <= 0).all()
    around = (edges[:, None] + [-1, 0, 1]).ravel()
    random = np.random.default_rng(seed).integers(-(1 << 22), top + 1, 50)
    start = np.concatenate([around, random])
    start = start[(start <= top) & (start > -(1 << 22))]  # it has not fired before, nor is it at the end of its range
    told = 1 + (start[:, None] < edges).sum(axis=1)
    np.testing.assert_array_equal(told, first_spike(neuron, start, drive, steps))


def test_levels_lie_in_the_middle_of_their_greys() -> None:
    unit, threshold = 6400.0, 150
    edges = np.array([[9000, 3000, -2000]])
    levels = levels_of(edges, threshold, unit)
    assert levels.shape == (1, 5)
    greys = np.tanh(levels[0] / unit)
    bounds = np.tanh(np.array([np.inf, threshold << 6, 9000, 3000, -2000, -np.inf]) / unit)
    np.testing.assert_allclose(greys, (bounds[1:] + bounds[:-1]) / 2, atol=1e-4)
    assert (np.diff(greys) < 0).all()


def test_levels_end_where_nothing_is_left_to_tell() -> None:
    levels = levels_of(np.array([[-(1 << 22)]]), 10, 64.0)
    assert np.isfinite(levels).all()
    np.testing.assert_allclose(np.tanh(levels[0, -1] / 64.0), -1 + 1 / 512, atol=1e-3)


@pytest.mark.parametrize(("decay", "biases"), [(0, [0, 0]), (819, [-7, 20])])
def test_more_steps_tell_more(decay: int, biases: list[int]) -> None:
    rng, unit, neuron, bias = np.random.default_rng(1), 64.0 * 3000, Lif(4096, decay, 131_071), np.array(biases)
    potentials = np.rint(rng.normal(-0.7, 1, (3, 20, 2, 30)) * unit).astype(np.int64)
    errors = []
    for steps in (2, 5, 12):
        lift = best_lift(potentials, bias, neuron, steps, unit)
        assert (lift.weight % 2 == 0).all()
        assert np.ptp(lift.weight + bias) <= 1
        told = Lif(4096, decay, lift.threshold)
        end, early = potentials[-1], (potentials > lift.threshold << 6).any(axis=0)
        greys = np.empty(end.shape)
        for channel, drive in enumerate(lift.weight + bias):
            levels = levels_of(first_edges(told, np.array([drive]), steps), lift.threshold, unit)[0]
            first = first_spike(told, end[:, channel], int(drive), steps)
            greys[:, channel] = np.tanh(levels[np.where(early[:, channel], 0, first)] / unit)
        errors.append(float(np.square(greys - np.tanh(end / unit)).mean()))
    assert errors[0] > errors[1] > errors[2]


def test_potentials_beyond_every_threshold() -> None:
    with pytest.raises(HardwareRangeError, match="no threshold up to 131071"):
        best_lift(np.zeros((1, 1, 1, 1), np.int64), np.zeros(1, np.int64), Lif(4096, 0, 131_071), 4, 64.0 * (1 << 20))

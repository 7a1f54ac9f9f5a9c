"""What stock netx makes of dense weights; tests/deploy/lava/test_verify_lava.py asks Lava itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esvae.errors import HardwareRangeError
from export.ir import Dense, Lif, Network
from export.netx.rules import check_loadable, loaded_dense_weight
from strategies import weights

NEURON = Lif(4096, 3072, 51)


@given(weights((3, 4), exact_dense=True))
def test_what_the_strategy_calls_exact_is_loaded_as_it_is(weight: np.ndarray) -> None:
    assert np.array_equal(loaded_dense_weight(weight), weight)


@given(st.integers(-127, 127).filter(bool), st.integers(-127, 127), st.integers(0, 7))
def test_even_weights_within_254_one_of_them_positive_are_safe(first: int, second: int, shift: int) -> None:
    weight = np.array([[2 * abs(first), 2 * second]]) >> shift << shift
    weight = weight if (weight > 0).any() else np.array([[2, 0]])
    assert np.array_equal(loaded_dense_weight(weight), weight)


@pytest.mark.parametrize(
    ("weight", "text"),
    [
        ([[0, 0]], "all weights are zero, which stock netx crashes on"),
        ([[-256, -2]], r"would load weight -256 at \(0, 0\) as -25[0-9]"),
        ([[0, -201]], r"would load weight -201 at \(0, 1\) as 0"),  # the whole matrix silently becomes zero
        ([[0, -2]], r"would load weight -2 at \(0, 1\) as -1"),  # so does the largest, where it is a power of two
        ([[255, -2]], r"would load weight 255 at \(0, 0\) as 254"),
    ],
)
def test_traps_are_refused(weight: list[list[int]], text: str) -> None:
    with pytest.raises(HardwareRangeError, match=text):
        check_loadable(Network((2,), (Dense(np.array(weight), None, NEURON),)))


@pytest.mark.parametrize(
    "weight", [[[255, 1]], [[-255, -1]], [[-128, 127]], [[-255, 254]], [[1, 0]], [[-200, 0]], [[-3, -1]]]
)
def test_harmless_weights_pass(weight: list[list[int]]) -> None:
    check_loadable(Network((2,), (Dense(np.array(weight), None, NEURON),)))

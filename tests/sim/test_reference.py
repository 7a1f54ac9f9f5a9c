"""The definition itself, held against steps worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from esvae.chip.formats import STATE_LIMIT, STATE_WRAP, THRESHOLD
from esvae.chip.neuron import decay, lif_step, wrap_signed
from esvae.errors import DataError
from export.ir import Conv, ConvTranspose, Dense, Flatten, Lif, Network
from sim.reference import simulate, synapse_sum

NO_MEMORY = Lif(current_decay=4096, voltage_decay=4096, threshold=THRESHOLD.max)


def step(u: int, v: int, a: int, bias: int, neuron: Lif) -> tuple[int, int, int]:
    """One step of one neuron, as plain numbers."""
    result = lif_step(np.array([u]), np.array([v]), np.array([a]), bias, neuron)
    return tuple(int(x[0]) for x in result)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("x", "amount", "expected"),
    [
        (5, 2048, 2),  # 2.5 toward zero
        (-5, 2048, -2),  # -2.5 toward zero, where a bare shift would give -3
        (-1, 1, 0),  # -4095/4096
        (7, 0, 7),
        (-7, 4096, 0),
        (STATE_LIMIT - 1, 819, 6710885),  # 8388607 * 3277 / 4096 = 6711295.2...
    ],
)
def test_decay_rounds_toward_zero(x: int, amount: int, expected: int) -> None:
    if amount == 819:
        expected = (STATE_LIMIT - 1) * 3277 // 4096
    assert decay(np.array([x]), amount)[0] == expected


def test_current_and_bias_are_aligned_by_six_bits() -> None:
    assert step(0, 0, 3, 5, NO_MEMORY) == (3 * 64, 3 * 64 + 5 * 64, 0)


def test_esvae_neuron_keeps_a_quarter_of_its_potential() -> None:
    neuron = Lif(4096, 3072, THRESHOLD.max)
    u, v, _ = step(0, 0, 100, 0, neuron)
    assert (u, v) == (6400, 6400)
    assert step(u, v, -1, 0, neuron) == (-64, 1600 - 64, 0)


def test_threshold_is_strict_and_firing_resets() -> None:
    neuron = Lif(4096, 4096, threshold=10)
    assert step(0, 0, 10, 0, neuron) == (640, 640, 0)
    assert step(0, 0, 10, 1, neuron) == (640, 0, 1)
    # The smallest step above the threshold comes from a decayed remainder, not from weights.
    assert step(0, 1, 10, 0, Lif(4096, 0, 10)) == (640, 0, 1)


def test_threshold_zero_fires_on_anything_positive() -> None:
    neuron = Lif(4096, 4096, threshold=0)
    assert step(0, 0, 0, 0, neuron)[2] == 0
    assert step(0, 0, 1, 0, neuron)[2] == 1
    assert step(0, 0, -1, 0, neuron)[2] == 0


@pytest.mark.parametrize(
    ("u", "a", "expected"),
    [
        (STATE_LIMIT - 64, 1, STATE_LIMIT),  # exactly 2^23 stays
        (STATE_LIMIT - 63, 1, STATE_LIMIT + 1 - STATE_WRAP),  # above it wraps
        (-STATE_LIMIT + 65, -1, -STATE_LIMIT + 1),  # the smallest that stays
        (-STATE_LIMIT + 64, -1, STATE_LIMIT),  # -2^23 wraps
        (0, 2 * STATE_LIMIT // 64 + 5, 5 * 64),
        (0, 4 * STATE_LIMIT // 64, STATE_WRAP),  # brought back once only, so it may stay above 2^23
    ],
)
def test_current_wraps_once(u: int, a: int, expected: int) -> None:
    assert step(u, 0, a, 0, Lif(0, 4096, THRESHOLD.max))[0] == expected


@pytest.mark.parametrize(
    ("v", "a", "expected"), [(STATE_LIMIT - 1, 1, STATE_LIMIT - 1), (1 - STATE_LIMIT, -1, 1 - STATE_LIMIT)]
)
def test_potential_saturates(v: int, a: int, expected: int) -> None:
    silent = Lif(4096, 0, THRESHOLD.max)
    u, potential, spiked = step(0, v, a, 0, silent)
    assert u == a * 64
    # 2^23 - 1 is above the largest threshold, 131071 * 64 = 2^23 - 64, so a neuron that saturates upwards fires.
    assert (potential, spiked) == ((0, 1) if expected > THRESHOLD.max * 64 else (expected, 0))


def test_wrap_signed_is_twos_complement() -> None:
    values = np.array([2**23 - 1, 2**23, -(2**23), -(2**23) - 1])
    assert wrap_signed(values, 24).tolist() == [2**23 - 1, -(2**23), -(2**23), 2**23 - 1]


def test_dense_sums_the_weights_of_what_spiked() -> None:
    layer = Dense(np.array([[1, 2, 4], [-8, 16, -32]]), None, NO_MEMORY)
    assert synapse_sum(layer, np.array([[1, 0, 1]])).tolist() == [[5, -40]]


def test_conv_on_a_worked_example() -> None:
    kernel = np.array([[[[1, 2], [3, 4]]]])
    spikes = np.array([[[[1, 0], [0, 1]]]])
    layer = Conv(kernel, None, NO_MEMORY, padding=(0, 1))
    # Columns -1..2 of the padded rows (0 1 0 0) and (0 0 1 0).
    assert synapse_sum(layer, spikes).tolist() == [[[[2, 1 + 4, 3]]]]


def test_transposed_conv_on_a_worked_example() -> None:
    kernel = np.array([[[[1, 2], [3, 4]]]])
    spikes = np.array([[[[1, 1]]]])
    layer = ConvTranspose(kernel, None, NO_MEMORY, stride=(1, 2), output_padding=(0, 1))
    assert synapse_sum(layer, spikes).tolist() == [[[[1, 2, 1, 2, 0], [3, 4, 3, 4, 0]]]]


def test_windows_start_from_rest_and_layers_follow_each_other() -> None:
    network = Network(
        (1, 1, 2),
        (
            Conv(np.array([[[[2]]]]), np.array([1]), Lif(4096, 0, 2)),
            Flatten(),
            Dense(np.array([[2, 4]]), None, Lif(0, 4096, THRESHOLD.max)),
        ),
    )
    spikes = np.array([[[[[1, 0]]], [[[0, 0]]]]])
    first, second = simulate(network, spikes)
    # Neuron 0: 3*64 > 2*64 fires at once, then 64. Neuron 1: 64, then 128, which is not above 128.
    assert first.v[0].tolist() == [[[[0, 64]]], [[[64, 128]]]]
    assert first.s[0].tolist() == [[[[1, 0]]], [[[0, 0]]]]
    assert second.u[0].tolist() == [[128], [128]]
    assert second.v[0].tolist() == [[128], [128]]


@pytest.mark.parametrize(
    "spikes", [np.zeros((1, 2, 3)), np.full((1, 2, 2), 2), np.zeros((0, 2, 2)), np.full((1, 2, 2), 0.5)]
)
def test_spikes_that_do_not_fit_are_refused(spikes: np.ndarray) -> None:
    network = Network((2,), (Dense(np.array([[2, 4]]), None, NO_MEMORY),))
    with pytest.raises(DataError, match="input spikes"):
        list(simulate(network, spikes))

"""One step of the sigma-delta neurons, by hand and at the edges of their registers."""

from __future__ import annotations

import numpy as np
import pytest

from esvae.chip.sigma_delta import Delta, Sigma, SigmaDelta, SigmaDeltaState, sigma_delta_step

ONE = np.array([1])
TOP = (1 << 31) - 1


def state(sigma: int = 0, act: int = 0, residue: int = 0) -> SigmaDeltaState:
    return SigmaDeltaState(*(np.array([x]) for x in (sigma, act, residue)))


@pytest.mark.parametrize(
    ("before", "a", "bias", "threshold", "after", "message"),
    [
        # sigma, act, residue
        pytest.param((0, 0, 0), 4096, 0, 1, (4096, 4096, 0), 64, id="a change of the threshold is sent"),
        pytest.param((0, 0, 0), 4095, 0, 1, (4095, 4095, 4095), 0, id="less is kept"),
        pytest.param((4095, 4095, 4095), 1, 0, 1, (4096, 4096, 0), 64, id="and adds up"),
        pytest.param((8192, 8192, 0), -4097, 0, 1, (4095, 4095, 0), -65, id="messages round down"),
        pytest.param((100, 100, 0), -1, 0, 0, (99, 99, 0), -1, id="also the smallest"),
        pytest.param((0, 0, 0), -5, 0, 0, (-5, 0, 0), 0, id="negative sums are rectified"),
        pytest.param((-4096, 0, 0), 0, 3, 1, (-4096, 8192, 0), 128, id="a bias is 4096 a unit"),
        pytest.param((TOP, TOP, 0), 1, 0, 1, (TOP - (1 << 32) + 1, 0, 0), -(1 << 25), id="sigma overflows"),
    ],
)
def test_a_step(
    before: tuple[int, ...], a: int, bias: int, threshold: int, after: tuple[int, ...], message: int
) -> None:
    found, sent = sigma_delta_step(state(*before), np.array([a]), bias, SigmaDelta(threshold))
    assert (int(found.sigma[0]), int(found.act[0]), int(found.residue[0])) == after
    assert sent.tolist() == [message]


def test_the_largest_negative_change_has_no_magnitude_and_is_kept() -> None:
    found, sent = sigma_delta_step(state(), 0 * ONE, np.array([-(1 << 19)]), Delta(0))
    assert (sent.tolist(), found.residue.tolist()) == ([0], [-(1 << 31)])


def test_an_encoder_sends_changes_of_its_frames_and_no_rectifier_is_in_the_way() -> None:
    found, first = sigma_delta_step(state(), 0 * ONE, np.array([-3]), Delta(2))
    found, second = sigma_delta_step(found, 0 * ONE, np.array([-4]), Delta(2))
    _, third = sigma_delta_step(found, 0 * ONE, np.array([-5]), Delta(2))
    assert [int(m[0]) for m in (first, second, third)] == [-192, 0, -128]


def test_a_sigma_output_sends_its_sum_whatever_it_is() -> None:
    found, sent = sigma_delta_step(state(sigma=5), np.array([-7]), 0, Sigma())
    assert (sent.tolist(), found.sigma.tolist(), found.act.tolist()) == ([-2], [-2], [-2])

"""Figures and intervals of a comparison against closed forms, torchmetrics and simulation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from deploy.compare.images import image_mse, image_psnr, image_ssim, quality_of
from deploy.compare.statistics import frechet_bias, kernel_pair, mean_pair, share_pair
from esvae.metrics.distances import frechet_distance, moments
from esvae.metrics.uncertainty import frechet_estimate, frechet_estimates_of_pairs


def pictures(shape: tuple[int, ...], noise: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    rows, columns = (np.linspace(-1, 1, n) for n in shape[2:])
    base = np.sin(3 * rows)[:, None] * np.cos(2 * columns)[None] * rng.uniform(0.3, 0.9, (*shape[:2], 1, 1))
    other = np.clip(base + noise * rng.standard_normal(shape), -1, 1)
    return base.astype(np.float32), other.astype(np.float32)


@pytest.mark.parametrize("shape", [(3, 1, 16, 20), (2, 3, 32, 32), (2, 1, 11, 13)])
def test_ssim_is_torchmetrics(shape: tuple[int, ...]) -> None:
    metrics = pytest.importorskip("torchmetrics.functional.image")
    left, right = pictures(shape, 0.2)
    tensors = [torch.from_numpy(x).double() for x in (left, right)]
    _, full = metrics.structural_similarity_index_measure(
        *tensors, data_range=2.0, reduction="none", return_full_image=True
    )
    wanted = full[..., 5:-5, 5:-5].flatten(1).mean(1)  # it also has windows that reach beyond the border, mirrored
    # Both sum 121 products of float64 in another order, and divide by constants of 4e-4 and more.
    np.testing.assert_allclose(image_ssim(left, right), wanted.numpy(), rtol=0, atol=1e-10)


def test_ssim_of_constants_is_the_closed_form() -> None:
    """Without variance only the first factor is left: ``(2 a b + c1) / (a^2 + b^2 + c1)``, c1 = (0.01 * 2)^2."""
    left, right = np.full((2, 1, 8, 8), 0.5, np.float32), np.full((2, 1, 8, 8), -0.25, np.float32)
    c1 = 4e-4
    wanted = (2 * 0.5 * -0.25 + c1) / (0.25 + 0.0625 + c1)
    np.testing.assert_allclose(image_ssim(left, right), wanted, rtol=1e-12)
    np.testing.assert_allclose(image_ssim(left, left), 1.0, rtol=1e-12)


def test_mse_and_psnr_of_a_known_shift() -> None:
    left = np.zeros((2, 1, 4, 4), np.float32)
    right = left.copy()
    right[1] += 0.5
    mse = image_mse(left, right)
    assert mse.tolist() == [0, 0.25]
    assert image_psnr(mse)[1] == pytest.approx(10 * np.log10(4 / 0.25))
    assert np.isinf(image_psnr(mse)[0])


def test_identical_images_are_counted_and_leave_no_infinity() -> None:
    mse, ssim = np.array([0.0, 0.1, 0.0, 0.3]), np.array([1.0, 0.9, 1.0, 0.7])
    quality = quality_of(mse, ssim)
    assert quality.identical == 2
    assert quality.per_image["psnr"][0] is None
    assert quality.psnr is not None
    assert (quality.psnr.worst_image, quality.mse.worst_image, quality.ssim.worst_image) == (3, 3, 3)
    assert quality_of(np.zeros(4), np.ones(4)).psnr is None


def test_pairs_narrow_the_interval_and_cover() -> None:
    """Of 400 simulated sets the paired interval must hold the true difference in 95 %, false alarms 1 in 10^6."""
    rng = np.random.default_rng(1)
    covered, narrower, runs = 0, 0, 400
    for _ in range(runs):
        left = rng.gamma(2.0, 1.0, 60)
        pair = mean_pair(left, left + 0.1 + 0.05 * rng.standard_normal(60))
        assert pair.difference.low is not None
        assert pair.difference.high is not None
        assert pair.float.low is not None
        assert pair.float.high is not None
        covered += pair.difference.low <= 0.1 <= pair.difference.high
        narrower += pair.difference.high - pair.difference.low < (pair.float.high - pair.float.low) / 5
    low, high = stats.binom.ppf([5e-7, 1 - 5e-7], runs, 0.95)
    assert low <= covered <= high
    assert narrower == runs


def test_differences_of_shares_cover() -> None:
    """As above, of hits of which a few per cent change sides; Student's interval of so few is near, not exact."""
    rng = np.random.default_rng(2)
    covered, runs = 0, 400
    for _ in range(runs):
        left = rng.random(400) < 0.6
        right = np.where(rng.random(400) < 0.1, rng.random(400) < 0.3, left)  # E = 0.1 * (0.3 - 0.6)
        difference = share_pair(left, right)[2]
        assert difference.low is not None
        assert difference.high is not None
        covered += difference.low <= -0.03 <= difference.high
    assert stats.binom.ppf(5e-7, runs, 0.93) <= covered <= stats.binom.ppf(1 - 5e-7, runs, 0.97)


def test_frechet_differences_of_known_gaussians_cover() -> None:
    """Quantized features are float's, shifted by d in one of two dimensions: the difference is ``2 g d + d^2``."""
    rng = np.random.default_rng(3)
    gap, shift = 0.5, 0.2
    wanted = 2 * gap * shift + shift**2
    covered, narrower, runs = 0, 0, 40
    for seed in range(runs):
        real = rng.standard_normal((300, 2))
        left = rng.standard_normal((300, 2)) + np.array([gap, 0])
        one, _, difference = frechet_estimates_of_pairs(left, left + np.array([shift, 0]), real, seed)
        assert difference.low is not None
        assert difference.high is not None
        assert one.low is not None
        assert one.high is not None
        covered += difference.low <= wanted <= difference.high
        narrower += difference.high - difference.low < one.high - one.low
    assert covered >= stats.binom.ppf(1e-6, runs, 0.93)
    assert narrower >= runs - 2


def test_a_figure_lies_in_its_interval_and_is_that_of_one_set() -> None:
    rng = np.random.default_rng(6)
    left, right, real = (rng.standard_normal((count, 20)) for count in (150, 150, 200))  # far too high, for so few
    three = frechet_estimates_of_pairs(left, right, real, seed=1)
    assert three[:2] == (frechet_estimate(left, real, 1), frechet_estimate(right, real, 1))
    assert three[2].value == pytest.approx(three[1].value - three[0].value)
    for each in three:
        assert each.low is not None
        assert each.high is not None
        assert each.low < each.value < each.high


def test_nothing_is_certain_of_equal_sides() -> None:
    rng = np.random.default_rng(4)
    left, real = rng.standard_normal((200, 3)), rng.standard_normal((250, 3))
    for three in (frechet_estimates_of_pairs(left, left, real), kernel_pair(left, left, real)):
        assert three[0] == three[1]
        assert (three[2].value, three[2].low, three[2].high) == (0, 0, 0)


def test_kernel_pairs_keep_their_rows() -> None:
    """A constant offset far out makes the difference of every block alike, whichever rows fell into it."""
    rng = np.random.default_rng(5)
    left, real = rng.standard_normal((400, 2)), rng.standard_normal((400, 2))
    one, other, difference = kernel_pair(left, left + 0.3, real)
    assert difference.low is not None
    assert difference.high is not None
    assert one.low is not None
    assert one.high is not None
    assert difference.value == pytest.approx(other.value - one.value)
    assert difference.low > 0
    lost = kernel_pair(left, (left + 0.3)[rng.permutation(400)], real)[2]
    assert lost.low is not None
    assert lost.high is not None
    assert difference.high - difference.low < lost.high - lost.low


def test_frechet_bias_is_what_equal_gaussians_give() -> None:
    """The mean distance of 300 pairs of samples within 5 standard errors and 3 %, the next order in 1/N."""
    rng = np.random.default_rng(6)
    root = np.array([[1.0, 0, 0], [0.5, 0.7, 0], [0.1, -0.2, 0.3]])
    count, other = 200, 300
    found = [
        frechet_distance(
            moments(rng.standard_normal((count, 3)) @ root.T), moments(rng.standard_normal((other, 3)) @ root.T)
        )
        for _ in range(300)
    ]
    wanted = frechet_bias(root @ root.T, count, other)
    assert abs(np.mean(found) - wanted) <= 5 * np.std(found) / np.sqrt(300) + 0.03 * wanted

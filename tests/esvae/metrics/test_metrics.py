"""Distances against closed forms and other implementations; intervals cover what they say they cover."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import linalg

from esvae.config import DataConfig, config_from_dict
from esvae.data import ImageSet, ImageSplits, load_images
from esvae.errors import CheckpointError, ConfigError, DataError
from esvae.metrics import (
    FeatureNet,
    Moments,
    extract,
    frechet_distance,
    frechet_estimate,
    kernel_distance,
    kernel_estimate,
    moments,
    nearest_distances,
    precision_recall,
    share_estimate,
    unbiased_frechet_estimate,
)
from esvae.metrics import inception as inception_module
from esvae.metrics.features import features_path, load_features, save_features
from esvae.metrics.generator import METRICS, measure_generator, metrics_named
from esvae.metrics.train_features import train_features
from esvae.model import ESVAE


def covariance(draws: np.random.Generator, size: int) -> np.ndarray:
    root = draws.normal(size=(size, size))
    return root @ root.T


def test_frechet_distance_of_known_gaussians() -> None:
    draws = np.random.default_rng(0)
    # Of commuting covariances: the sum of squared differences of the deviations.
    one, other = draws.uniform(0, 2, 5), draws.uniform(0, 2, 5)
    gap = draws.normal(size=5)
    left, right = Moments(np.zeros(5), np.diag(one**2)), Moments(gap, np.diag(other**2))
    assert frechet_distance(left, right) == pytest.approx(gap @ gap + ((one - other) ** 2).sum())
    # Of any: the definition, with scipy's matrix root.
    a, b = covariance(draws, 6), covariance(draws, 6)
    mean = draws.normal(size=6)
    wanted = mean @ mean + np.trace(a + b - 2 * linalg.sqrtm(a @ b).real)
    assert frechet_distance(Moments(np.zeros(6), a), Moments(mean, b)) == pytest.approx(wanted, rel=1e-6)
    assert frechet_distance(Moments(mean, a), Moments(mean, a)) == pytest.approx(0, abs=1e-9)
    # Singular ones have a distance too: a point and a line.
    line = np.zeros((6, 6))
    line[0, 0] = 4
    assert frechet_distance(Moments(mean, line), Moments(mean, np.zeros((6, 6)))) == pytest.approx(4)


def test_moments_are_numpys() -> None:
    features = np.random.default_rng(1).normal(3, 2, size=(20, 3))
    found = moments(features)
    assert np.allclose(found.mean, features.mean(axis=0))
    assert np.allclose(found.covariance, np.cov(features, rowvar=False))
    with pytest.raises(ValueError, match="at least 2 rows"):
        moments(features[:1])


def test_frechet_distance_agrees_with_torchmetrics() -> None:
    fid = pytest.importorskip("torchmetrics.image.fid")
    draws = np.random.default_rng(2)
    left, right = moments(draws.normal(size=(300, 8))), moments(draws.normal(1, 2, size=(400, 8)))
    theirs = fid._compute_fid(*(torch.from_numpy(x) for m in (left, right) for x in (m.mean, m.covariance)))
    assert frechet_distance(left, right) == pytest.approx(float(theirs), rel=1e-6)


def test_kernel_distance_is_the_definition_and_unbiased() -> None:
    draws = np.random.default_rng(3)
    x, y = draws.normal(size=(7, 4)), draws.normal(0.5, 1, size=(9, 4))

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / 4 + 1) ** 3)

    within_x = np.mean([kernel(x[i], x[j]) for i in range(7) for j in range(7) if i != j])
    within_y = np.mean([kernel(y[i], y[j]) for i in range(9) for j in range(9) if i != j])
    across = np.mean([kernel(a, b) for a in x for b in y])
    assert kernel_distance(x, y) == pytest.approx(within_x + within_y - 2 * across)
    values = [kernel_distance(draws.normal(size=(40, 4)), draws.normal(size=(40, 4))) for _ in range(400)]
    # The mean of 400 values, within four of its standard errors of zero: fails by chance once in 16,000 seeds.
    assert abs(np.mean(values)) < 4 * np.std(values) / 20


def test_precision_and_recall_by_hand() -> None:
    real = np.array([[0.0], [1.0], [2.0], [10.0]])
    generated = np.array([[0.5], [1.5], [30.0], [31.0]])
    precise, recalled = precision_recall(generated, real, neighbours=1)
    # Nearest neighbours of the real ones are 1, 1, 1 and 8 away, of the generated ones 1, 1, 1 and 1.
    assert precise.tolist() == [True, True, False, False]
    assert recalled.tolist() == [True, True, True, False]


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    draws = np.random.default_rng(4)
    size, trials = 4, 120
    truth = 4 * 0.3**2
    hits = 0
    for trial in range(trials):
        left, right = draws.normal(size=(300, size)), draws.normal(0.3, 1, size=(300, size))
        estimate = unbiased_frechet_estimate(left, right, seed=trial)
        hits += estimate.low <= truth <= estimate.high  # type: ignore[operator]
    # 95 % of 120 is 114, with a standard deviation of 2.4; the jackknife is approximate.
    assert 105 <= hits <= 120
    hits = sum(
        bool(e.low <= 0.2 <= e.high)  # type: ignore[operator]
        for e in (share_estimate(draws.random(80) < 0.2) for _ in range(300))
    )
    assert 270 <= hits <= 300


def test_the_distance_as_published_is_too_high_by_what_the_other_takes_off() -> None:
    """Twenty pairs of sets of one and the same distribution: what is left of the bias is within four standard errors
    of zero, which chance exceeds once in thousands of seeds."""
    draws = np.random.default_rng(7)
    pairs = [draws.normal(size=(2, 400, 6)) for _ in range(20)]
    plain = [frechet_estimate(left, right) for left, right in pairs]
    unbiased = [unbiased_frechet_estimate(left, right) for left, right in pairs]
    assert all(e.low <= e.value <= e.high for e in (*plain, *unbiased))  # type: ignore[operator]
    values, corrected = (np.array([e.value for e in found]) for found in (plain, unbiased))
    assert values.min() > 0
    assert corrected.min() < 0
    assert abs(corrected.mean()) < 4 * corrected.std(ddof=1) / np.sqrt(20)
    assert values.mean() > 5 * abs(corrected.mean())


def test_images_that_were_learned_by_heart_are_near() -> None:
    draws = np.random.default_rng(8)
    training, new = draws.normal(size=(2500, 5)), draws.normal(size=(1200, 5))
    expected = [np.sqrt(np.square(training - row).mean(1).min()) for row in new[:20]]
    np.testing.assert_allclose(nearest_distances(new, training)[:20], expected, rtol=1e-5)
    replayed = training[:1200] + 0.01 * draws.normal(size=(1200, 5))
    assert nearest_distances(replayed, training).mean() < 0.1 * nearest_distances(new, training).mean()


def test_the_kernel_interval_covers_zero_for_equal_distributions() -> None:
    draws = np.random.default_rng(5)
    hits = 0
    for trial in range(150):
        estimate = kernel_estimate(draws.normal(size=(100, 3)), draws.normal(size=(100, 3)), trial)
        hits += estimate.low <= 0 <= estimate.high  # type: ignore[operator]
    assert 132 <= hits <= 150


@pytest.mark.parametrize("large", [False, True])
def test_the_autoencoder_and_its_protocols(large: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = FeatureNet(3, 128, large=large).eval()
    size = 64 if large else 32
    images = torch.rand(6, 3, size, size) * 2 - 1
    assert net(images).shape == images.shape
    alone, together = extract(net, images.split(1)), extract(net, [images])
    assert together.shape == (6, 128)
    assert np.allclose(alone, together, atol=1e-5)  # each image's code is its own
    before = {name: value.clone() for name, value in net.state_dict().items()}
    published = extract(net, [images], "published")
    assert not np.allclose(published, extract(net, images.split(3), "published"), atol=1e-3)  # the batch decides
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in before.items()), "it was moved"
    assert len(extract(net, [images, images[:1]], "published")) == 6  # one image has no batch statistics
    with pytest.raises(ValueError, match="choose eval or published"):
        extract(net, [images], "train")  # type: ignore[arg-type]
    save_features(tmp_path / "a.safetensors", net)
    torch.save(net.state_dict(), tmp_path / "a.pth")  # as the published weights are
    for name in ("a.safetensors", "a.pth"):
        assert np.array_equal(extract(load_features(tmp_path / name), [images]), together)


def test_the_published_parameters_have_these_names_and_shapes() -> None:
    """As listed in the FSVAE repository's autoencoder (kamata1729/FullySpikingVAE, ann_models/ann_ae.py)."""
    shapes = {name: tuple(value.shape) for name, value in FeatureNet(1, 64).state_dict().items()}
    assert shapes["encoder.0.0.weight"] == (32, 1, 3, 3)
    assert shapes["encoder.3.1.running_var"] == (256,)
    assert shapes["latent_layer.weight"] == (64, 1024)
    assert shapes["decoder_input.weight"] == (1024, 64)
    assert shapes["decoder.2.0.weight"] == (64, 32, 3, 3)
    assert shapes["final_layer.1.bias"] == (32,)
    assert shapes["final_layer.3.weight"] == (32, 1, 3, 3)
    assert not any(name.startswith("final_layer.2") for name in shapes)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x04."])
@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_what_is_no_autoencoder(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not the weights of a FAD autoencoder"):
        load_features(path)
    with pytest.raises(CheckpointError, match="no such autoencoder; make one with: esvae fad train CONFIG"):
        load_features(tmp_path / "none.pth")


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (eval, ("1/0",))


def test_a_pickle_that_does_something_is_refused(tmp_path: Path) -> None:
    torch.save({"latent_layer.weight": Bomb()}, tmp_path / "bomb.pth")
    with pytest.raises(CheckpointError, match="not the weights of a FAD autoencoder"):
        load_features(tmp_path / "bomb.pth")


def tiny_model() -> ESVAE:
    model = {
        "latent": 6,
        "time_steps": 3,
        "encoder_channels": [4],
        "decoder": {"kind": "subpixel", "base_size": 4, "channels": [4]},
    }
    torch.manual_seed(0)
    return ESVAE(config_from_dict({"name": "tiny", "data": {"image_size": 8}, "model": model}, "test")).eval()


def test_a_model_is_judged_and_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise DataError("no weights here")

    monkeypatch.setattr("esvae.metrics.generator.inception_scores", refuse)
    data = DataConfig(image_size=8)
    images = load_images(data)
    few = ImageSplits(images.train.head(500), images.test)
    net, mse = train_features(data, few, features_path(data, tmp_path), epochs=1)
    assert 0 < mse < 1
    kept = load_features(tmp_path / "fad" / "digits_32x32x1.safetensors")
    assert all(torch.equal(value, kept.state_dict()[name]) for name, value in net.state_dict().items())
    done = measure_generator(tiny_model(), images, net, count=300)
    assert done.missing == {"inception": "no weights here"}
    assert set(done.values) == {*METRICS, "fad_unbiased", "nearest_code", "nearest_pixels"} - {"nearest", "inception"}
    assert done.values["fad"].value > 5 * done.floor["fad"].value, "an untrained model is far from real images"
    assert done.values["fad_posterior"].value > 5 * done.floor["fad"].value
    assert done.floor["precision"].value > 0.5 > done.values["precision"].value
    again = measure_generator(tiny_model(), images, net, count=300)
    assert again == done
    other = measure_generator(tiny_model(), images, CheckpointError("none made yet"), count=300, metrics=("mse", "fad"))
    assert other.missing == {"fad": "none made yet"}
    assert other.values["mse"] == done.values["mse"]
    with pytest.raises(DataError, match="at least 100 images on both sides, got 10 generated and 297"):
        measure_generator(tiny_model(), images, net, count=10)
    with pytest.raises(DataError, match="unknown metric 'is'; choose some of mse, fad"):
        measure_generator(tiny_model(), images, net, metrics=("is",))


def test_metrics_by_their_names_and_by_those_of_their_results() -> None:
    assert metrics_named("all") == METRICS
    assert metrics_named("mse, fid,inception_score") == ("mse", "inception")
    assert metrics_named("nearest_pixels,fad_unbiased,fad") == ("nearest", "fad")
    with pytest.raises(ConfigError, match=r"--metrics: unknown metric 'fida'; did you mean fid\?"):
        metrics_named("mse,fida")
    with pytest.raises(ConfigError, match=r"unknown metric 'mse'; choose some of fad, inception; or all"):
        metrics_named("mse", ("fad", "inception"))


def test_inception_without_its_weights_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    fid = pytest.importorskip("torchmetrics.image.fid")

    def refuse(*_: object, **__: object) -> None:
        raise OSError("<urlopen error no network>")

    monkeypatch.setattr(fid, "FrechetInceptionDistance", refuse)
    with pytest.raises(DataError, match=r"Inception weights \(<urlopen error no network>\); run once with a network"):
        inception_module.inception_scores([], [], torch.device("cpu"))


def test_too_few_images_for_the_autoencoder(tmp_path: Path) -> None:
    few = ImageSet(torch.zeros(100, 1, 8, 8))
    with pytest.raises(DataError, match="needs at least 250 training images, got 100"):
        train_features(DataConfig(image_size=8), ImageSplits(few, few), tmp_path / "a.safetensors")

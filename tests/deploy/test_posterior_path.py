"""Posterior latents from a run's encoder, and that saved ones give every backend the same spikes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from deploy.entering import InputOptions
from deploy.posterior import encode_counts, encode_latents
from deploy.rasters import save_latents
from deploy.simulate import OutputFiles, simulate_file
from esvae.config import config_from_dict
from esvae.errors import DataError
from esvae.model import ESVAE
from esvae.run import Run
from export.ir import Dense, Lif, Network
from export.netx.write import write_netx
from sim.sampler import posterior_latents
from sim.trace import first_difference

STEPS, LATENT = 8, 6


@pytest.fixture(scope="module")
def run() -> Run:
    torch.manual_seed(0)
    content = {
        "name": "tiny",
        "data": {"image_size": 8},
        "model": {
            "latent": LATENT,
            "time_steps": STEPS,
            "encoder_channels": [4, 8],
            "decoder": {"kind": "subpixel", "base_size": 4, "channels": [4]},
        },
    }
    model = ESVAE(config_from_dict(content, "test")).train()
    with torch.no_grad():
        for _ in range(20):  # the norms learn the images' statistics, without which an untrained encoder is silent
            model.encoder(torch.rand(32, 1, 8, 8) * 2 - 1)
    return Run(model.eval(), {}, "")


@pytest.fixture(scope="module")
def network() -> Network:
    rng = np.random.default_rng(0)
    layer = Dense(rng.integers(-60, 60, (5, LATENT)) * 2, None, Lif(4096, 3072, 50))
    return Network((LATENT,), (layer,), time_steps=STEPS)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(1).uniform(-1, 1, (300, 1, 8, 8)).astype(np.float32)


def test_counts_are_the_encoders_spikes(run: Run, images: np.ndarray) -> None:
    counts = encode_counts(run, images)
    with torch.inference_mode():
        expected = run.model.encoder(torch.from_numpy(images[:7])).sum(0).numpy()
    assert np.array_equal(counts[:7], expected)
    assert counts.shape == (300, LATENT)
    assert 0 < counts.sum() < counts.size * STEPS


def test_latents_follow_the_counts(network: Network) -> None:
    """Never and always where nothing and everything was counted; the mean within 5.3 sigma, false alarms 1 in 10^7."""
    counts = np.tile([0, STEPS, 4, 2, 6, 1], (4000, 1))
    latents = posterior_latents(network, counts, 5, np.arange(4000))
    assert not latents[..., 0].any()
    assert latents[..., 1].all()
    rate = counts[0] / STEPS
    bound = 5.33 * np.sqrt(rate * (1 - rate) / (4000 * STEPS))
    assert (np.abs(latents.mean(axis=(0, 1)) - rate) <= bound).all()


def test_an_image_has_the_same_latents_alone_and_among_others(run: Run, network: Network, images: np.ndarray) -> None:
    together = encode_latents(run, network, images[:9], seed=2)
    alone = encode_latents(run, network, images[4:5], seed=2, numbers=np.array([4]))
    assert np.array_equal(together[4:5], alone)


def test_saved_latents_give_two_backends_the_same_spikes(
    run: Run, network: Network, images: np.ndarray, tmp_path: Path
) -> None:
    path = write_netx(network, tmp_path / "d.net")
    latents = encode_latents(run, network, images[:5])
    saved = save_latents(tmp_path / "l.npy", latents)
    for backend in ("twin", "reference"):
        again = tmp_path / f"{backend}.npy"
        outputs = OutputFiles(latents=again, trace=tmp_path / f"{backend}.npz")
        simulate_file(path, InputOptions(latents=saved), outputs, backend=backend)
        assert np.array_equal(np.load(again), latents)
    twin, reference = (dict(np.load(tmp_path / f"{name}.npz")) for name in ("twin", "reference"))
    assert first_difference(reference, twin) is None


def test_counts_and_images_that_do_not_fit_are_refused(run: Run, network: Network, images: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"counts have shape \(2, 3\), expected \(2, 6\)"):
        posterior_latents(network, np.zeros((2, 3), int), 0, np.arange(2))
    with pytest.raises(DataError, match="whole numbers from 0 to 8"):
        posterior_latents(network, np.full((2, LATENT), 9), 0, np.arange(2))
    with pytest.raises(DataError, match=r"expected \(images, 1, 8, 8\)"):
        encode_counts(run, images[:, :, :4])
    with pytest.raises(DataError, match="from -1 to 1"):
        encode_counts(run, images * 2)

"""The mixture prior, the data split and the allocator's switch."""

from __future__ import annotations

import platform

import numpy as np
import torch

from esvae.config import load_config
from esvae.machine.allocator import keep_large_blocks
from esvae.model import ESVAE
from export.ir import Prior as IntegerPrior
from sim.sampler import prior_rates


def test_a_fitted_mixture_draws_rates_like_those_it_was_fitted_to() -> None:
    """Two clusters of rates: the drawn ones keep both means and shares; the bounds are five standard deviations."""
    torch.manual_seed(0)
    config = load_config("digits").model_copy(
        update={"model": load_config("digits").model.model_copy(update={"latent": 3})}
    )
    prior = ESVAE(config).prior
    low, high = torch.tensor([0.25, 0.5, 0.75]), torch.tensor([0.875, 0.125, 0.5])
    noise = torch.randn(900, 3) * 0.02
    rates = torch.cat([low + noise[:600], high + noise[600:]])
    prior.fit(rates, seed=0)
    weight, bias, share = (x.numpy() for x in prior.components())
    drawn = prior_rates(IntegerPrior(weight, bias, share), 5, np.arange(4000))
    near_low = np.abs(drawn - low.numpy()).sum(1) < np.abs(drawn - high.numpy()).sum(1)
    assert abs(near_low.mean() - 2 / 3) < 5 * np.sqrt(2 / 9 / 4000)
    # The regularization of the logits widens each cluster; its mean moves by less than a twentieth.
    np.testing.assert_allclose(drawn[near_low].mean(0), low, atol=0.05)
    np.testing.assert_allclose(drawn[~near_low].mean(0), high, atol=0.05)


def test_snapped_draws_are_as_often_silent_as_the_rates() -> None:
    """Each neuron's count is 0 in a third of the images and 8 in another: drawn ones nearly as often."""
    model = load_config("digits").model
    mixture = model.prior.model_copy(update={"snap": True, "components": 16})
    changed = model.model_copy(update={"latent": 3, "time_steps": 8, "prior": mixture})
    prior = ESVAE(load_config("digits").model_copy(update={"model": changed})).prior
    counts = np.random.default_rng(0).choice([0, 2, 5, 8], size=(3000, 3), p=[1 / 3, 1 / 6, 1 / 6, 1 / 3])
    prior.fit(torch.from_numpy(counts / 8), seed=0)
    drawn = prior.draw(4000, torch.Generator().manual_seed(0)) * 8
    for border in (0, 8):  # taken half a spike from the border they would come out half as often
        assert 0.28 < float((drawn == border).double().mean()) < 0.367


def test_the_allocator_is_told_where_there_is_glibc() -> None:
    assert keep_large_blocks() is (platform.libc_ver()[0] == "glibc")

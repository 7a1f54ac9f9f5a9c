"""The model against plain implementations of its parts."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from esvae.config import Config, NeuronConfig, config_from_dict
from esvae.model import ESVAE, mmd
from esvae.model.convolve import sums_without_bias
from esvae.model.expand import Expand
from esvae.model.layers import SpikingLayer
from esvae.model.threshold_norm import ThresholdNorm
from esvae.model.upsample import Upsample


def small(kind: str) -> Config:
    decoder = (
        {"kind": "subpixel", "base_size": 4, "channels": [6, 5]}
        if kind == "subpixel"
        else {"kind": "transposed", "base_size": 2, "channels": [6, 5, 4]}
    )
    model = {"latent": 7, "time_steps": 4, "encoder_channels": [4, 6], "decoder": decoder}
    return config_from_dict({"name": "small", "data": {"image_size": 8}, "model": model}, "test")


def make(kind: str) -> ESVAE:
    torch.manual_seed(3)
    return ESVAE(small(kind))


@pytest.mark.parametrize("kind", ["subpixel", "transposed"])
def test_shapes_and_ranges(kind: str) -> None:
    model = make(kind)
    images = torch.rand(5, 1, 8, 8) * 2 - 1
    rates = model.posterior_rates(images)
    assert rates.shape == (5, 7)
    assert ((rates >= 0) & (rates <= 1)).all()
    assert ((rates * 4) % 1 == 0).all()
    out = model(images, torch.Generator().manual_seed(0))
    assert out.shape == images.shape
    assert out.abs().max() <= 1
    losses = model.losses(images)
    losses.total.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("kind", ["subpixel", "transposed"])
def test_the_readout_commutes_with_the_last_layer(kind: str) -> None:
    """Summing once before the last layer is summing its output over time, step by step, as the paper writes it."""
    model = make(kind).eval().double()
    spikes = (torch.rand(4, 3, 7, generator=torch.Generator().manual_seed(0)) < 0.5).double()
    decoder = model.decoder
    hidden = decoder.hidden(spikes)[-1].unflatten(0, (4, 3))
    potential = torch.zeros(())
    for step in hidden:
        potential = decoder.readout_lif.keep * potential + decoder.readout(step)
    expected = functional.pixel_shuffle(potential, decoder.upscale) if decoder.upscale > 1 else potential
    torch.testing.assert_close(decoder.potentials(spikes), expected)


def test_expand_is_the_convolution_that_it_says() -> None:
    layer = Expand(5, 3, 4)
    x = torch.rand(2, 5)
    expected = functional.conv2d(x[..., None, None], layer.weight, layer.bias, padding=3)
    torch.testing.assert_close(layer(x), expected)


def test_upsample_is_the_transposed_convolution_with_its_gradients() -> None:
    layer = Upsample(5, 3).double()
    x = torch.randn(4, 5, 3, 2, dtype=torch.float64, requires_grad=True)
    wanted = layer(x) - layer.bias[:, None, None]  # type: ignore[index]
    found = sums_without_bias(layer, x)
    torch.testing.assert_close(found, wanted)
    assert found.shape == (4, 3, 6, 4)
    grad = torch.randn(wanted.shape, dtype=torch.float64)
    gradients = [torch.autograd.grad(out, (x, layer.weight), grad) for out in (found, wanted)]
    for left, right in zip(*gradients, strict=True):
        torch.testing.assert_close(left, right)


@pytest.mark.parametrize("training", [False, True])
def test_a_bias_that_is_left_to_the_norm_counts_as_before(training: bool) -> None:
    torch.manual_seed(0)
    fast = SpikingLayer(Upsample(5, 3), 3, NeuronConfig()).double().train(training)
    slow = SpikingLayer(nn.ConvTranspose2d(5, 3, 3, 2, 1, 1), 3, NeuronConfig()).double().train(training)
    with torch.no_grad():
        fast.synapse.bias.copy_(torch.tensor([0.5, -1.0, 2.0]))  # type: ignore[operator,union-attr]
        fast.norm.running_mean.fill_(0.3)
    slow.load_state_dict(fast.state_dict())
    x = (torch.rand(4 * 6, 5, 3, 3, generator=torch.Generator().manual_seed(1)) < 0.3).double()
    seen = [layer(x, 4) for layer in (fast, slow)]
    assert torch.equal(*seen)
    assert 0.02 < seen[0].mean() < 0.98
    grad = torch.randn(seen[0].shape, dtype=torch.float64)
    for spikes in seen:
        spikes.backward(grad)
    torch.testing.assert_close(fast.state_dict(), slow.state_dict())
    for (name, left), (_, right) in zip(fast.named_parameters(), slow.named_parameters(), strict=True):
        torch.testing.assert_close(left.grad, right.grad, msg=name, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("cells", ["esvae", "norse"])
def test_a_layer_needs_no_bias(cells: str) -> None:
    torch.manual_seed(0)
    x, found = (torch.rand(4 * 6, 5, 4, 4) < 0.3).float(), []
    for bias in (False, True):
        layer = SpikingLayer(nn.Conv2d(5, 3, 3, bias=bias), 3, NeuronConfig(cells=cells))
        with torch.no_grad():
            for parameter in (layer.synapse.weight, layer.synapse.bias):
                if parameter is not None:
                    parameter.copy_(
                        torch.linspace(-1, 1, parameter.numel()).view(parameter.shape) * (parameter.ndim > 1)
                    )
        found.append(layer(x, 4))
    assert torch.equal(*found)
    assert found[0].any()


def test_norm_in_evaluation_is_its_scale_and_shift() -> None:
    norm = ThresholdNorm(3, threshold=0.2)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.uniform_(-1, 1)
    for _ in range(3):
        norm(torch.randn(64, 3, 4, 4) * 3 + 1)
    norm.eval()
    x = torch.randn(2, 3, 4, 4)
    scale, shift = norm.scale_and_shift()
    expected = x.double() * scale[:, None, None] + shift[:, None, None]
    torch.testing.assert_close(norm(x).double(), expected, rtol=1e-5, atol=1e-6)


def test_norm_in_training_scales_to_the_threshold() -> None:
    y = ThresholdNorm(4, threshold=0.2)(torch.randn(500, 4) * 5 + 3)
    torch.testing.assert_close(y.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.std(0, unbiased=False), torch.full((4,), 0.2), atol=1e-4, rtol=0)


def test_mmd_against_its_definition() -> None:
    x, y = torch.randn(6, 3, dtype=torch.float64), torch.randn(6, 3, dtype=torch.float64) + 1
    both = [*x, *y]
    squared = [[float((a - b).square().sum()) for b in both] for a in both]
    bandwidth = sum(map(sum, squared)) / (12 * 11)

    def kernel(i: int, j: int) -> float:
        return sum(math.exp(-squared[i][j] / (bandwidth * f)) for f in (0.25, 0.5, 1, 2, 4))

    left, right = range(6), range(6, 12)
    expected = sum(
        sign * sum(kernel(i, j) for i in a for j in b) / 36
        for a, b, sign in ((left, left, 1), (right, right, 1), (left, right, -1), (right, left, -1))
    )
    assert float(mmd(x, y)) == pytest.approx(expected)
    assert float(mmd(x, x)) == pytest.approx(0)


def test_sampled_spikes_have_the_rates_and_pass_gradients_straight_through() -> None:
    model = make("subpixel")
    rates = torch.linspace(0, 1, 7).repeat(4000, 1).requires_grad_()
    spikes = model.sample(rates, torch.Generator().manual_seed(0))
    assert set(spikes.detach().unique().tolist()) <= {0.0, 1.0}
    # 16,000 draws a rate: five standard deviations are 0.02 at most, missed once in a million seeds.
    torch.testing.assert_close(spikes.detach().mean((0, 1)), rates[0].detach(), atol=0.02, rtol=0)
    spikes.sum().backward()
    assert rates.grad is not None
    assert (rates.grad == 4).all()


@pytest.mark.parametrize("gradient", ["straight_through", "rectangular"])
def test_systematic_spikes_are_an_integrate_and_fire_neurons(gradient: str) -> None:
    """Against the neuron one step after the other, from the starts that the generator gives."""
    base = make("subpixel").config
    changed = {"sampler": "systematic", "sampling_gradient": gradient, "time_steps": 6, "rate_bits": 5}
    model = ESVAE(base.model_copy(update={"model": base.model.model_copy(update=changed)})).eval()
    rates = torch.linspace(0, 1, 45).repeat(20, 1).requires_grad_()
    spikes = model.sample(rates, torch.Generator().manual_seed(3))
    starts = (torch.rand(1, 20, 45, generator=torch.Generator().manual_seed(3))[0] * 32).floor()
    codes, potential, inside = (rates.detach() * 32).round(), starts, []
    for step in range(6):
        inside.append((codes - (32 - potential)).abs() < 16)
        potential = potential + codes
        fired = (potential >= 32).float()
        potential = potential - 32 * fired
        torch.testing.assert_close(spikes[step].detach(), fired, atol=0, rtol=0)
    spikes.sum().backward()
    passed = torch.stack(inside).sum(0).float() if gradient == "rectangular" else torch.full_like(codes, 6)
    torch.testing.assert_close(rates.grad, passed, atol=0, rtol=0)

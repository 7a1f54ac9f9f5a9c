"""What a picture is asked for beside its mean squared error, and a readout that begins without seams."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from esvae.config import Config, TrainConfig, config_from_dict
from esvae.data import load_images
from esvae.errors import ConfigError
from esvae.metrics.features import FeatureNet, frozen
from esvae.model import ESVAE
from esvae.model.texture import texture_error


def config(kind: str = "subpixel", train: dict[str, Any] | None = None, **decoder: Any) -> Config:
    channels = [6, 5] if kind == "subpixel" else [6, 5, 4]
    content = {
        "name": "tiny",
        "data": {"image_size": 16},
        "model": {
            "latent": 6,
            "time_steps": 4,
            "encoder_channels": [4, 4],
            "decoder": {"kind": kind, "base_size": 4, "channels": channels, **decoder},
        },
        "train": train or {},
    }
    return config_from_dict(content, "test")


def test_edges_and_coarse_shapes_by_hand() -> None:
    wanted = torch.zeros(1, 1, 4, 4)
    drawn = wanted.clone()
    drawn[..., 1, 2] = 1.0  # four differences of 1 among 12 down and 12 across
    assert texture_error(drawn, wanted, TrainConfig()) == 0
    features = texture_error(drawn, wanted, TrainConfig(feature_weight=3.0), lambda x: x.mean((1, 2)))
    assert features == pytest.approx(3 * (1 / 4) ** 2 / 4)  # one of four codes, off by a quarter
    with pytest.raises(ConfigError, match=r"train\.feature_weight: no autoencoder was given; esvae fad train CONFIG"):
        texture_error(drawn, wanted, TrainConfig(feature_weight=3.0))
    edges = texture_error(drawn, wanted, TrainConfig(edge_weight=0.5))
    assert edges == pytest.approx(0.5 * (2 / 12 + 2 / 12))
    coarse = texture_error(drawn, wanted, TrainConfig(coarse_weight=2.0))
    assert coarse == pytest.approx(2 * ((1 / 4) ** 2 / 4 + (1 / 16) ** 2))


def test_a_texture_is_part_of_the_loss_and_not_of_the_reconstruction() -> None:
    images = load_images(config().data).train.head(8).tensor()
    found = {}
    for name, train in (("plain", {}), ("asked", {"edge_weight": 0.5, "coarse_weight": 0.25})):
        torch.manual_seed(0)
        found[name] = ESVAE(config(train=train)).losses(images, torch.Generator().manual_seed(0))
    plain, asked = found["plain"], found["asked"]
    assert plain.texture == 0 < asked.texture
    assert asked.reconstruction == plain.reconstruction
    assert float((asked.total - plain.total).detach()) == pytest.approx(float(asked.texture.detach()), rel=1e-5)


def test_features_move_the_model_and_never_the_autoencoder() -> None:
    images = load_images(config().data).train.head(8).tensor()
    torch.manual_seed(0)
    net, model = FeatureNet(1, 5), ESVAE(config(train={"feature_weight": 0.5}))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    names = set(model.state_dict())
    model.encode = frozen(net)
    assert set(model.state_dict()) == names
    losses = model.losses(images, torch.Generator().manual_seed(0))
    (part,) = torch.autograd.grad(losses.texture, model.decoder.readout.weight)
    assert losses.texture > 0
    assert part.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in net.parameters())
    for name, value in net.state_dict().items():  # its batch norm among them
        assert torch.equal(value, before[name]), name


def test_a_smooth_readout_begins_as_an_interpolated_picture() -> None:
    torch.manual_seed(0)
    plain = ESVAE(config()).decoder.readout
    torch.manual_seed(0)
    smooth = ESVAE(config(readout_init="smooth")).decoder.readout
    torch.testing.assert_close(smooth.weight.std(), plain.weight.std(), rtol=1e-4, atol=0)
    spikes = torch.zeros(1, 5, 4, 4)
    spikes[0, 3, 1, 1] = 1.0  # one cell alone, whose kernel is interpolated; the border of the kernel is cut off
    with torch.no_grad():
        picture = torch.pixel_shuffle(smooth(spikes) - smooth.bias.view(1, -1, 1, 1), 4)[0, 0].numpy()
    kept = plain.weight[0, 3].detach().numpy()[::-1, ::-1]  # the picture of one pixel a cell
    small = np.zeros((4, 4), np.float32)
    small[:3, :3] = kept
    at = (np.arange(16) + 0.5) / 4 - 0.5
    weights = np.clip(1 - np.abs(at[:, None] - np.arange(4)), 0, 1)
    wanted = weights @ small @ weights.T
    inside = slice(2, 10)  # where the cells' centres are within the kernel's reach
    scale = float(picture[4, 4] / wanted[4, 4])
    np.testing.assert_allclose(picture[inside, inside], scale * wanted[inside, inside], rtol=1e-4, atol=1e-6)


def test_smooth_needs_cells_of_several_pixels() -> None:
    for kind, more in (("transposed", {}), ("subpixel", {"base_size": 16})):
        with pytest.raises(ConfigError, match="readout_init smooth is of cells of several pixels"):
            config(kind, readout_init="smooth", **more)

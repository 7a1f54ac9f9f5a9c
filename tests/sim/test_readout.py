"""Potentials become pictures by tanh and torch's own pixel shuffle."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from esvae.errors import DataError
from export.ir import Dense, ImageReadout, Lif, Network
from sim.readout import images_from_potentials


@pytest.mark.parametrize("upscale", [1, 2, 3])
def test_pixels_lie_where_pixel_shuffle_puts_them(upscale: int) -> None:
    shape = (2, 2 * upscale, 3 * upscale)
    neurons = 2 * upscale**2 * 2 * 3
    layer = Dense(np.full((neurons, 1), 2), None, Lif(4096, 819, 131071))
    network = Network((1,), (layer,), readout=ImageReadout(500.0, shape, upscale))
    potentials = np.random.default_rng(0).integers(-900, 900, (4, neurons))
    maps = torch.tanh(torch.from_numpy(potentials / 500.0)).float().reshape(4, 2 * upscale**2, 2, 3)
    expected = torch.nn.functional.pixel_shuffle(maps, upscale).numpy()
    np.testing.assert_allclose(images_from_potentials(network, potentials), expected, atol=1e-7)


def test_a_network_without_readout_draws_nothing() -> None:
    network = Network((1,), (Dense(np.full((1, 1), 2), None, Lif(4096, 819, 1)),))
    with pytest.raises(DataError, match="no readout, so it draws no pictures"):
        images_from_potentials(network, np.zeros((1, 1)))

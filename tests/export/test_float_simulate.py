"""The float definition: the neuron that training has, delays as the reference has them, a run's own pictures."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from depth import examples
from esvae.config import config_from_dict
from esvae.errors import DataError
from esvae.model import ESVAE
from esvae.neurons import Cuba, run_cuba
from esvae.run import Run
from export.float_simulate import simulate_float
from export.frontends import from_run
from export.ir import Dense, FloatLif, Lif, Network
from export.ir.floats import FloatLayer, FloatNetwork
from sim import reference


def raster(seed: int, *shape: int) -> np.ndarray:
    return (np.random.default_rng(seed).random(shape) < 0.4).astype(np.uint8)


@settings(max_examples=examples(30))
@given(
    keep=st.floats(0, 1),
    current_keep=st.floats(0, 0.9),
    threshold=st.floats(0.05, 1),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_it_is_the_neuron_that_training_has(
    keep: float, current_keep: float, threshold: float, bias: bool, seed: int
) -> None:
    bias = bias and not current_keep  # training adds a bias to the current
    rng = np.random.default_rng(seed)
    weight, shift = rng.normal(size=(6, 5)), rng.normal(size=6) * 0.1 if bias else None
    spikes = raster(seed, 3, 9, 5)
    layer = FloatLayer(Dense(weight, shift, FloatLif(keep, threshold, current_keep)))
    (trace,) = simulate_float(FloatNetwork((5,), (layer,), 9), spikes)
    x = torch.from_numpy(spikes).double() @ torch.from_numpy(weight).T + (
        0 if shift is None else torch.from_numpy(shift)
    )
    wanted = run_cuba(Cuba(keep, threshold, current_keep), x.transpose(0, 1)).transpose(0, 1)
    assert np.array_equal(trace.s, wanted.numpy())
    assert np.array_equal(trace.s, trace.v > threshold)


def test_delays_hold_spikes_back_as_the_reference_does() -> None:
    rng = np.random.default_rng(0)
    weight, delay = rng.integers(-9, 10, (4, 5)), rng.integers(0, 12, (4, 5))
    spikes = raster(1, 2, 10, 5)
    floats = Dense(weight.astype(float), None, FloatLif(0.5, 7.0), delay)
    (trace,) = simulate_float(FloatNetwork((5,), (FloatLayer(floats),), 10), spikes)
    # What the reference rounds away, of 1/64 at a step and of it half at the next, stays below 2/64.
    (wanted,) = reference.simulate(Network((5,), (Dense(weight, None, Lif(4096, 2048, 7), delay),), 10), spikes)
    assert trace.s.any()
    np.testing.assert_allclose(trace.v * (1 - trace.s), wanted.v / 64, atol=2 / 64)


def test_a_runs_pictures() -> None:
    torch.manual_seed(0)
    for decoder in (
        {"kind": "transposed", "base_size": 2, "channels": [8, 6, 6]},
        {"kind": "subpixel", "base_size": 4, "channels": [8, 8]},
    ):
        content = {
            "name": "tiny",
            "data": {"image_size": 8},
            "model": {"latent": 6, "time_steps": 6, "encoder_channels": [4, 4], "decoder": decoder},
        }
        model = ESVAE(config_from_dict(content, "test")).eval()
        for layer in model.decoder.layers:  # so that all of them fire
            torch.nn.init.uniform_(layer.norm.weight, 3, 6)  # type: ignore[arg-type, union-attr]
            torch.nn.init.uniform_(layer.norm.bias, 0, 0.3)  # type: ignore[arg-type, union-attr]
        network = from_run(Run(model, {}, ""))
        spikes = raster(2, 5, 6, *network.input_shape)
        *hidden, last = simulate_float(network, spikes)
        assert all(0.02 < trace.s.mean() < 0.98 for trace in hidden)
        assert math.isinf(network.synapses[-1].synapse.neuron.threshold)
        assert not last.s.any()
        with torch.inference_mode():
            wanted = model.decoder(torch.from_numpy(spikes).float().transpose(0, 1).reshape(6, 5, -1))
        maps = torch.from_numpy(last.v[:, -1])
        assert network.readout is not None
        drawn = torch.nn.functional.pixel_shuffle(torch.tanh(maps), network.readout.upscale)
        np.testing.assert_allclose(drawn.numpy(), wanted.numpy(), atol=1e-5)  # float32 there


def test_spikes_of_another_shape() -> None:
    network = FloatNetwork((5,), (FloatLayer(Dense(np.ones((1, 5)), None, FloatLif(0.5, 1.0))),), None)
    with pytest.raises(DataError, match=r"spikes have shape \(2, 3, 4\), expected \(images, steps, 5\)"):
        simulate_float(network, np.zeros((2, 3, 4), np.uint8))

"""Our neuron fires as Norse's and Lava-DL's own do, step by step, and its parameters go both ways."""

from __future__ import annotations

import dataclasses
import importlib.util
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from esvae.config import Config, config_from_dict
from esvae.errors import ConfigError
from esvae.neurons import (
    Cuba,
    neuron_from_norse,
    neuron_from_slayer,
    run_cuba,
    run_norse,
    run_slayer,
    to_norse,
    to_slayer,
)
from esvae.neurons.lif import lif
from esvae.training import train
from export.pipeline import export_run
from sim.twin.engine import Engine

needs_lava = pytest.mark.skipif(importlib.util.find_spec("lava") is None, reason="needs lava-dl in this interpreter")

neurons = st.builds(
    Cuba,
    keep=st.integers(0, 4000).map(lambda n: n / 4096),
    threshold=st.floats(0.05, 2),
    current_keep=st.integers(0, 3500).map(lambda n: n / 4096),
    gain=st.floats(0.1, 2),
    surrogate=st.just("superspike"),
)


def drive(seed: int, steps: int = 12) -> torch.Tensor:
    return torch.randn(steps, 3, 40, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_without_a_current_it_is_the_papers_neuron() -> None:
    x = drive(0).requires_grad_()
    grad = drive(1)
    spikes = run_cuba(Cuba(0.3, 0.2, width=0.4), x)
    (wanted,) = torch.autograd.grad(spikes, x, grad)
    ours = lif(x.flatten(0, 1), 12, keep=0.3, threshold=0.2, width=0.4).view(x.shape)
    (found,) = torch.autograd.grad(ours, x, grad)
    assert torch.equal(spikes, ours)
    assert torch.allclose(found, wanted)


@given(neuron=neurons, seed=st.integers(0, 99))
def test_norse_fires_the_same_with_the_same_gradients(neuron: Cuba, seed: int) -> None:
    pytest.importorskip("norse")
    x = drive(seed).requires_grad_()
    grad = drive(seed + 1)
    ours, theirs = run_cuba(neuron, x), run_norse(neuron, x)
    assert torch.equal(ours, theirs)
    assert torch.allclose(*(torch.autograd.grad(o, x, grad)[0] for o in (ours, theirs)), rtol=1e-6, atol=1e-9)


@given(neuron=neurons)
def test_norses_parameters_go_both_ways(neuron: Cuba) -> None:
    pytest.importorskip("norse")
    cell = to_norse(neuron)
    back = neuron_from_norse(cell.parameters, cell.dt)
    gain = back.gain * cell.input_scale
    for name in ("keep", "threshold", "current_keep"):
        assert getattr(back, name) == pytest.approx(getattr(neuron, name), abs=1e-12)
    assert gain == pytest.approx(neuron.gain)


def test_norses_defaults_as_its_documentation_has_them() -> None:
    norse = pytest.importorskip("norse.torch")
    neuron = neuron_from_norse(norse.LIFParameters(), dt=0.001)
    assert (neuron.keep, neuron.current_keep, neuron.threshold, neuron.gain) == pytest.approx((0.9, 0.8, 1.0, 0.1))
    x = drive(5).float() * 4
    cell, state, seen = norse.LIFCell(norse.LIFParameters()), None, []
    for step in x:
        spikes, state = cell(step, state)
        seen.append(spikes)
    assert torch.equal(torch.stack(seen), run_cuba(neuron, x))
    assert 0 < torch.stack(seen).mean() < 0.5


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"v_reset": torch.tensor(0.1)}, "v_reset is 0.1, expected 0"),
        ({"v_leak": torch.tensor(-65.0)}, "v_leak is -65, expected 0"),
        ({"method": "logistic"}, "'logistic' fires at random"),
        ({"tau_mem_inv": torch.tensor(2000.0)}, r"dt \* tau_mem_inv is 2, expected 0 to 1"),
        ({"v_th": torch.tensor([1.0, 2.0, 1.0])}, "v_th has 3 values from 1 to 2; the chip has one for a layer"),
    ],
)
def test_norse_neurons_that_the_chip_has_not(change: dict[str, Any], text: str) -> None:
    norse = pytest.importorskip("norse.torch")
    with pytest.raises(ConfigError, match=text):
        neuron_from_norse(norse.LIFBoxParameters()._replace(**change))
    with pytest.raises(ConfigError, match="SimpleNamespace cannot be converted"):
        neuron_from_norse(SimpleNamespace())
    with pytest.raises(ConfigError, match="no counterpart in Norse"):
        to_norse(Cuba(keep=1))


def test_norses_soft_reset_is_refused() -> None:
    norse = pytest.importorskip("norse.torch")
    from norse.torch.functional.reset import reset_subtract

    with pytest.raises(ConfigError, match="reset subtracts the threshold"):
        neuron_from_norse(norse.LIFBoxParameters(reset_method=reset_subtract))


@needs_lava
@pytest.mark.parametrize("neuron", [Cuba(), Cuba(0.75, 0.5, 0.5), Cuba(0.9, 1.0, 0.0, 0.7), Cuba(0.0, 0.1, 0.25)])
def test_slayer_fires_the_same(neuron: Cuba) -> None:
    # Multiples of what slayer resolves, so that its rounding takes nothing away but in the decays.
    x = torch.round(drive(7).float() * 64) / 64
    ours, theirs = run_cuba(neuron, x), run_slayer(neuron, x)
    assert 0.05 < ours.mean() < 0.95
    assert torch.equal(ours, theirs)


@needs_lava
def test_slayers_neuron_is_the_chips(tmp_path: Path) -> None:
    """Spike for spike on slayer's own integers: the simulator's reference and slayer's cuba."""
    from lava.lib.dl import slayer

    from export.ir import Dense, Lif, Network
    from sim.reference import simulate as reference

    theirs = slayer.neuron.cuba.Neuron(1.5, 0.3, 0.1)
    ours = neuron_from_slayer(theirs)
    spikes = np.random.default_rng(0).integers(0, 2, (5, 20, 9)).astype(np.uint8)
    weight = np.random.default_rng(1).integers(-60, 60, (7, 9)).astype(np.int32) * 2
    lif_neuron = Lif(round(4096 * (1 - ours.current_keep)), round(4096 * (1 - ours.keep)), int(ours.threshold * 64))
    network = Network((9,), (Dense(weight, None, lif_neuron),), 20)
    (layer,) = reference(network, spikes)
    sums = torch.from_numpy(np.einsum("oi,nti->not", weight, spikes)).float() / 64
    assert np.array_equal(layer.s.transpose(0, 2, 1), theirs(sums).numpy())


@needs_lava
def test_slayers_parameters_go_both_ways_and_others_are_refused() -> None:
    from lava.lib.dl import slayer

    neuron = Cuba(0.75, 0.2, 0.5)
    wanted = to_slayer(neuron)
    module = slayer.neuron.cuba.Neuron(wanted.threshold, wanted.current_decay, wanted.voltage_decay)
    back = neuron_from_slayer(module)
    assert (back.keep, back.current_keep) == (0.75, 0.5)
    assert back.threshold / wanted.input_scale == pytest.approx(0.2)
    for module, text in (
        (slayer.neuron.cuba.Neuron(1, 0.5, 0.5, graded_spike=True), "graded spikes"),
        (slayer.neuron.cuba.Neuron(1, 0.5, 0.5, shared_param=False), "decays of its own"),
        (slayer.neuron.cuba.Neuron(1, 0.5, 0.5, norm=slayer.neuron.norm.MeanOnlyBatchNorm), "a norm inside"),
        (slayer.neuron.alif.Neuron(1, 0.1, 0.5, 0.5, 0.5, 0.5), "alif.Neuron cannot be converted"),
    ):
        with pytest.raises(ConfigError, match=text):
            neuron_from_slayer(module)


def test_parameters_out_of_range() -> None:
    for change, text in (
        ({"keep": 1.2}, "keep 1.2 is not a share"),
        ({"threshold": 0.0}, "threshold 0 is not above 0"),
    ):
        with pytest.raises(ConfigError, match=text):
            dataclasses.replace(Cuba(), **change)


def tiny(**neuron: Any) -> Config:
    model = {
        "latent": 6,
        "time_steps": 6,
        "encoder_channels": [4, 4],
        "decoder": {"kind": "subpixel", "base_size": 4, "channels": [8, 8]},
        "neuron": neuron,
    }
    training = {"epochs": 2, "batch_size": 125, "learning_rate": 1e-2}
    content = {"name": "tiny", "data": {"image_size": 8}, "model": model, "train": training}
    return config_from_dict(content, "test")


@pytest.mark.parametrize(
    "neuron",
    [
        {"cells": "norse"},
        pytest.param({"cells": "slayer", "keep": 0.5}, marks=needs_lava),
        {"current_keep": 0.5, "keep": 0.5},
        {"cells": "norse", "current_keep": 0.25},
        {"surrogate": "superspike"},
    ],
)
def test_other_cells_train_and_their_runs_are_exported(neuron: dict[str, Any], tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        run = train(tiny(**neuron), tmp_path / "run")
    losses = [epoch["reconstruction_mse"] for epoch in run.record["epochs"]]
    assert losses[1] < losses[0], "nothing was learned"
    network = export_run(run, tmp_path / "a.net").network
    for layer, _, _ in list(network.synapses())[:-1]:
        assert layer.neuron.current_decay == 4096 * (1 - neuron.get("current_keep", 0))
        assert layer.neuron.voltage_decay == 4096 * (1 - neuron.get("keep", 0.25))
    latents = torch.rand(20, 6, 6, generator=torch.Generator().manual_seed(0)) < 0.4  # images, steps, latent
    with torch.inference_mode():
        wanted = run.model.decoder.hidden(latents.float().transpose(0, 1))[0]
    spikes = latents.numpy().astype(np.uint8).reshape(20, 6, *network.input_shape)
    integer = torch.from_numpy(Engine(network).traces(spikes)[0].s).transpose(0, 1)
    assert wanted.mean() > 0.02
    assert (wanted.unflatten(0, (6, -1)) != integer).float().mean() < 0.03

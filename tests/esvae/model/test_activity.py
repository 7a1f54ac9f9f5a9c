"""What is counted while training: rates and synaptic operations, against what the exported network's counts say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from esvae.model.activity import model_activity
from esvae.training.monitor import flat
from export.frontends import from_run
from export.passes import fold_norm
from sim.counts.fan_out import fan_out
from small_run import LATENT, STEPS, firing_run

IMAGES = 5


@pytest.mark.parametrize("kind", ["transposed", "subpixel"])
def test_synaptic_operations_are_those_of_the_exported_network(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = firing_run(kind)
    model = run.model
    images = torch.rand(IMAGES, 1, 16, 16) * 2 - 1
    # Untrained, the encoder gives hardly a spike.
    monkeypatch.setattr(model, "posterior_rates", lambda images: torch.full((len(images), LATENT), 0.5))
    found = model_activity(model, images, torch.Generator().manual_seed(4))
    with torch.no_grad():
        latents = model.sample(model.posterior_rates(images), torch.Generator().manual_seed(4))
        spikes = [latents.flatten(0, 1), *model.decoder.hidden(latents)]
    assert spikes[0].shape == (STEPS * IMAGES, LATENT)
    network = fold_norm(from_run(run))
    shape, names = network.input_shape, list(found.synops)
    for name, layer, arriving in zip(names, network.synapses, spikes, strict=True):
        reached = fan_out(layer.synapse, shape)
        counted = (arriving.reshape(STEPS * IMAGES, *shape).sum(0).numpy() * reached).sum() / IMAGES
        assert found.synops[name] == pytest.approx(float(counted), rel=1e-6)
        assert counted > 0
        shape = layer.synapse.output_shape(shape)
    assert names == [*(f"decoder.layers.{k}" for k in range(len(names) - 1)), "decoder.readout"]
    rates = {layer.name: layer.rate for layer in found.layers}
    for k, fired in enumerate(spikes[1:]):
        assert rates[f"decoder.layers.{k}"] == pytest.approx(float(fired.mean()))


def test_the_model_is_left_as_it_was() -> None:
    model = firing_run("subpixel").model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model_activity(model, torch.zeros(2, 1, 16, 16), torch.Generator().manual_seed(0))
    assert model.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(value.grad is None for value in model.parameters())


def test_tables_and_events_have_a_column_a_layer() -> None:
    record = {"epoch": 1, "rates": {"a": 0.5}, "dead": {"a": 0.0}, "synops": {"decoder.readout": 12.0}}
    assert flat(record) == {"epoch": 1, "rate/a": 0.5, "dead/a": 0.0, "synops/decoder.readout": 12.0}
    assert np.isfinite(list(flat(record).values())).all()

"""Layers side by side: layouts, drift against plain loops, attribution, and that lowering changes none of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.compare import CompareOptions, LayerDrift, check_belongs, compare_network
from deploy.compare.attribution import attribute
from deploy.compare.float_layers import FloatDecoder
from deploy.compare.images import image_mse
from deploy.compare.layout import Layout, find_layout
from deploy.compare.noise import noise_curves, noisy_spikes
from deploy.pair import float_images
from depth import examples
from esvae.errors import DataError
from esvae.run import Run
from export.circuit.generator import CircuitOptions, with_circuit
from export.circuit.tables import TableOptions
from export.ir import Conv, Network
from export.ir.geometry import cells
from export.pipeline import integer_network
from sim import reference
from sim.readout import images_from_potentials
from sim.sampler import draw_latents
from small_run import LATENT, STEPS, firing_run

IMAGES = 12
OPTIONS = CompareOptions(IMAGES, parts=frozenset({"layers", "attribution"}), force=True)


@pytest.fixture(scope="module")
def run() -> Run:
    return firing_run("transposed")


@pytest.fixture(scope="module")
def network(run: Run) -> Network:
    return integer_network(run, weight_bits=4, lowering="none")[0]


@given(st.data())
@settings(max_examples=examples(40))
def test_layouts_move_every_neuron_back(data: st.DataObject) -> None:
    shape = (data.draw(st.integers(1, 3)), data.draw(st.integers(2, 9)), data.draw(st.integers(2, 9)))
    values = np.random.default_rng(0).integers(1, 99, (2, *shape))
    factor = data.draw(st.sampled_from([(1, 1), (2, 2), (4, 4), (2, 1)]))
    for layout in (
        Layout(shape, cells(values, factor).shape[1:], factor),
        Layout(shape, (int(np.prod(shape)),), None),
    ):
        held = layout.held_as(values)
        assert held.shape == (2, *layout.held)
        assert np.array_equal(layout.restored(held), values)


def test_layouts_are_told_by_shapes() -> None:
    assert find_layout((3, 4, 4), (3, 4, 4)).name == "same"  # type: ignore[union-attr]
    assert find_layout((3, 4, 4), (48,)).name == "flat"  # type: ignore[union-attr]
    assert find_layout((5, 7, 7), (20, 4, 4)).name == "cells 2x2"  # type: ignore[union-attr]
    assert "47 neurons, the float layer 48" in str(find_layout((3, 4, 4), (47,)))
    assert "no layout" in str(find_layout((3, 4, 4), (3, 4, 5)))


@pytest.mark.parametrize("current_keep", [0.0, 0.5])
def test_potentials_fire_where_the_decoder_does(current_keep: float) -> None:
    """Spikes are the decoder's own, potentials computed apart: above the threshold exactly where it fired."""
    run = firing_run("transposed", current_keep=current_keep)
    decoder = FloatDecoder(run)
    latents = (np.random.default_rng(0).random((IMAGES, STEPS, LATENT)) < 0.5).astype(np.uint8)
    found = decoder.membranes(latents)
    for k, layer in enumerate(found[:-1]):
        assert layer.spikes is not None
        assert 0.01 < layer.spikes.mean() < 0.99
        near = np.abs(layer.before - decoder.units[k]) < 1e-5  # float32 rounds differently along two ways
        assert near.mean() < 1e-3
        assert np.array_equal(layer.spikes[~near], (layer.before > decoder.units[k])[~near])
    drawn = np.tanh(found[-1].before[:, -1])
    np.testing.assert_allclose(drawn, float_images(run.model.decoder, latents), rtol=0, atol=1e-5)


def test_drift_is_what_plain_loops_count(run: Run, network: Network) -> None:
    found = compare_network(run, network, OPTIONS)
    latents = draw_latents(network, 0, np.arange(IMAGES))
    traces = list(reference.simulate(network, latents.reshape(IMAGES, STEPS, *network.input_shape)))
    with torch.no_grad():
        raster = torch.from_numpy(latents).float().transpose(0, 1)
        hidden = [s.unflatten(0, (STEPS, IMAGES)).transpose(0, 1).numpy() for s in run.model.decoder.hidden(raster)]
        pictures = run.model.decoder(raster).numpy()
    firsts: dict[int, tuple[int, int, tuple[int, ...]]] = {}
    for k, (floats, trace) in enumerate(zip(hidden, traces, strict=False)):
        drift = found.layers[k]
        differs = floats != trace.s
        assert drift.mismatch == pytest.approx(differs.mean())
        assert drift.missing == pytest.approx(((floats == 1) & (trace.s == 0)).mean())
        assert drift.missing is not None
        assert drift.extra == pytest.approx(differs.mean() - drift.missing)
        assert drift.rate_quantized == pytest.approx(trace.s.mean())
        rates = trace.s.mean((0, 1)) - floats.mean((0, 1))
        assert drift.rate_rms == pytest.approx(np.sqrt((rates**2).mean()))
        assert drift.mismatch_by_step == pytest.approx(differs.mean((0, 2, 3, 4)))
        for image, step, *neuron in np.argwhere(differs):
            place = (int(step), k, tuple(map(int, neuron)))
            firsts[int(image)] = min(firsts.get(int(image), place), place)
    assert found.divergence is not None
    assert found.divergence.never == IMAGES - len(firsts)
    for place in found.divergence.first:
        assert place.name == found.layers[place.layer].name
        assert (place.step, place.layer, place.neuron) == firsts[place.image]
    assert sum(found.divergence.by_step) == sum(found.divergence.by_layer) == len(firsts) > 0
    drawn = images_from_potentials(network, traces[-1].v[:, -1])
    assert found.quality.mse.mean.value == pytest.approx(image_mse(drawn, pictures).mean())
    potentials = traces[-1].v / network.readout.unit  # type: ignore[union-attr]
    gap = potentials - FloatDecoder(run).membranes(latents)[-1].before
    assert found.layers[-1].membrane_by_step == pytest.approx(np.sqrt((gap**2).mean((0, 2, 3, 4))), rel=1e-4)
    assert found.layers[-1].mismatch is None


@pytest.mark.parametrize(("lowering", "held"), [("subpixel", "cells 4x4"), ("dense", "flat")])
def test_a_lowered_file_compares_as_the_plain_one(run: Run, network: Network, lowering: str, held: str) -> None:
    other = integer_network(run, weight_bits=4, lowering=lowering)[0]  # type: ignore[arg-type]
    assert other.labels != network.labels
    plain, moved = (compare_network(run, x, OPTIONS) for x in (network, other))
    assert moved.layers[-1].layout == held
    for part, wanted in (
        ([replace(layer, layout="same") for layer in moved.layers], plain.layers),
        ([moved.divergence], [plain.divergence]),
        ([moved.attribution], [plain.attribution]),
    ):
        assert told(part, dict(zip(other.labels, network.labels, strict=True))) == told(wanted, {})
    assert moved.quality == plain.quality


def told(results: Iterable[Any], names: dict[str, str]) -> str:
    """Results in words, each layer under another name."""
    return re.sub(r"layer \d+ \(\w+\)", lambda found: names.get(found[0], found[0]), repr(list(results)))


def test_layers_are_called_as_in_the_file(run: Run, network: Network) -> None:
    dense, cut = (integer_network(run, lowering=way)[0] for way in ("dense", "subpixel"))
    circuit = with_circuit(dense, CircuitOptions(0, TableOptions(noise_bits=16)))
    for held in (network, cut, dense, circuit):
        found = compare_network(run, held, replace(OPTIONS, images=4))
        assert found.attribution is not None
        assert found.divergence is not None
        for part in (found.layers, found.attribution.layers, found.weights, found.potentials):
            assert tuple(layer.name for layer in part) == held.labels
        assert {place.name for place in found.divergence.first} <= set(held.labels)
    assert FloatDecoder(run).names[1] == network.labels[1] == "layer 2 (convT)"
    assert [held.labels[1] for held in (cut, dense, circuit)] == [
        "layer 2 (conv)",
        "layer 2 (dense)",
        "layer 4 (dense)",
    ]


def test_shares_add_up(run: Run, network: Network) -> None:
    latents = draw_latents(network, 0, np.arange(40))
    decoder = FloatDecoder(run)
    part = attribute(decoder, network, latents)
    assert part.total.value > 0
    assert sum(layer.added for layer in part.layers) == pytest.approx(1)
    assert part.remainder == pytest.approx(1 - sum(layer.share for layer in part.layers))
    assert part.layers[-1].upto == part.total
    assert part.layers[0].upto == part.layers[0].alone


def test_the_damage_is_found_where_it_was_done(run: Run) -> None:
    """At 8 bit nothing much is lost; one layer at 2 bit stands out, whichever it is."""
    fine, coarse = (integer_network(run, weight_bits=bits, lowering="none")[0] for bits in (8, 2))
    latents = draw_latents(fine, 0, np.arange(32))
    decoder = FloatDecoder(run)
    for k in range(len(fine.layers) - 1):
        layers = tuple(coarse.layers[i] if i == k else layer for i, layer in enumerate(fine.layers))
        part = attribute(decoder, replace(fine, layers=layers), latents)
        assert max(part.layers, key=lambda layer: layer.alone.value).layer == k


def test_noise_is_shared_and_grows(run: Run, network: Network) -> None:
    images = np.random.default_rng(0).uniform(-1, 1, (24, 1, 16, 16)).astype(np.float32)
    curves = noise_curves(run, network, images, levels=(0.0, 0.5))
    for curve in curves:
        assert curve.loss[0] == curves[0].loss[0]  # without noise both start from the same spikes
        assert len(curve.loss) == 2
    latents = (np.random.default_rng(1).random((200, 8, 10)) < 0.5).astype(np.uint8)
    real, spikes = noisy_spikes(latents, 0.5, np.random.default_rng(2))
    assert np.array_equal(spikes, real > 0.5)
    flipped, wanted = float((spikes != latents).mean()), 0.15865525  # 1 - Phi(1)
    assert abs(flipped - wanted) < 5.33 * np.sqrt(wanted * (1 - wanted) / latents.size)
    assert np.array_equal(noisy_spikes(latents, 0.0, np.random.default_rng(2))[1], latents)


def test_what_does_not_belong_together_is_refused(run: Run, network: Network) -> None:
    with pytest.raises(DataError, match="does not say what it was made from"):
        check_belongs(run, replace(network, provenance={}))
    with pytest.raises(DataError, match=r"made from weights bbbbbbbbbbbb, the run has weights aaaaaaaaaaaa.*--force"):
        compare_network(run, replace(network, provenance={"weights_sha256": "b" * 64}), CompareOptions(4))
    assert not check_belongs(run, replace(network, provenance={}), force=True)
    assert check_belongs(run, network)
    with pytest.raises(DataError, match="steps 9, the run has 5; --force does not help"):
        check_belongs(run, replace(network, time_steps=9), force=True)


def test_a_layer_that_cannot_be_told_is_said_so(run: Run, network: Network) -> None:
    """A foreign file of one layer more than the run, forced."""
    channels = network.shapes[-2][0]
    last = network.layers[-1]
    assert isinstance(last, Conv)
    weight = np.full((channels, channels, 3, 3), 2, np.int32)
    same = replace(last, weight=weight, bias=None, neuron=network.layers[1].neuron)  # type: ignore[union-attr]
    longer = replace(network, layers=(*network.layers[:-1], same, network.layers[-1]))
    found = compare_network(run, longer, replace(OPTIONS, images=4))
    assert all(isinstance(layer, LayerDrift) and layer.layout is None for layer in found.layers)
    assert found.divergence is None
    assert found.attribution is not None
    assert "layers with neurons" in str(found.attribution.refused)
    assert found.attribution.total.value == pytest.approx(found.quality.mse.mean.value)
    assert f"float {network.labels[0]} left out: the file has " in found.notes[0]

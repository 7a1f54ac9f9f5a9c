"""Weights and potentials of both sides: what is counted, against plain counts, and that lowering changes none of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from deploy.compare import CompareOptions, compare_network
from deploy.compare.float_layers import FloatDecoder
from deploy.compare.histograms import potential_histogram, weight_histogram
from deploy.pair import float_images
from deploy.view.histograms import draw_histograms
from deploy.view.table import plain
from esvae.run import Run
from export.ir import all_weights
from export.pipeline import integer_network
from sim import reference
from sim.sampler import draw_latents
from small_run import firing_run

IMAGES = 6
OPTIONS = CompareOptions(IMAGES, parts=frozenset({"layers"}), force=True)


@pytest.fixture(scope="module")
def run() -> Run:
    return firing_run("transposed")


@given(st.integers(2, 8), st.integers(0, 1000), st.floats(0.01, 3))
def test_rounding_alone_moves_no_weight_to_another_bin_than_its_levels(bits: int, seed: int, worth: float) -> None:
    """Bins hold whole numbers of levels, so a float weight lies in the bin of the level that it rounds to."""
    levels = np.random.default_rng(seed).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), 300) * 2
    floats = (levels + np.random.default_rng(seed + 1).uniform(-0.95, 0.95, 300)) * worth
    found = weight_histogram("layer", "thresholds", floats, levels, worth, 1)
    if found is None:
        assert not levels.any()
        return
    if np.gcd.reduce(np.abs(levels)) == 2:
        np.testing.assert_allclose(found.float, found.quantized, atol=1e-6)
    assert sum(found.float) == pytest.approx(1, abs=1e-4)
    assert sum(found.quantized) == pytest.approx(1, abs=1e-4)
    assert len(found.edges) == len(found.float) + 1 <= 50
    counted = np.histogram(levels * worth, found.edges)[0] / 300
    np.testing.assert_allclose(found.quantized, counted, atol=1e-5)


def test_weights_that_are_all_zero_have_none() -> None:
    assert weight_histogram("layer", "thresholds", np.ones(3), np.zeros(3, np.int64), 1.0, 1) is None


def test_what_lies_far_below_counts_in_the_lowest_bin() -> None:
    floats = np.concatenate((np.zeros(2000), [-1e6], np.linspace(-1, 1, 2000)))
    found = potential_histogram("layer", "thresholds", floats, floats)
    assert found.edges[0] > -2
    assert sum(found.float) == pytest.approx(1, abs=1e-4)
    assert potential_histogram("layer", "thresholds", np.zeros(4), np.zeros(4)).float[0] == 1


def test_counts_are_those_of_the_arrays(run: Run) -> None:
    network = integer_network(run, weight_bits=4, lowering="none")[0]
    found = compare_network(run, network, OPTIONS)
    latents = draw_latents(network, 0, np.arange(IMAGES))
    traces = list(reference.simulate(network, latents.reshape(IMAGES, -1, *network.input_shape)))
    decoder = FloatDecoder(run)
    assert network.readout is not None
    for k, (layer, _, _) in enumerate(network.synapses()):
        last = k == len(network.labels) - 1
        unit = network.readout.unit if last else 64 * layer.neuron.threshold  # type: ignore[union-attr]
        weights, potentials = found.weights[k], found.potentials[k]
        assert weights.name == potentials.name == network.labels[k]
        assert weights.unit == potentials.unit == ("before tanh" if last else "thresholds")
        held = all_weights(layer).ravel() * 64 / unit
        np.testing.assert_allclose(weights.quantized, np.histogram(held, weights.edges)[0] / held.size, atol=1e-6)
        floats = decoder.weights[k].ravel() / decoder.units[k]
        np.testing.assert_allclose(weights.float, np.histogram(floats, weights.edges)[0] / floats.size, atol=1e-6)
        v = np.clip(traces[k].v.ravel() / unit, potentials.edges[0], potentials.edges[-1])
        counted = np.histogram(v, potentials.edges)[0] / v.size
        np.testing.assert_allclose(potentials.quantized, counted, atol=2e-3)  # a value on an edge, in float32


@pytest.mark.parametrize("kind", ["transposed", "subpixel"])
def test_lowering_changes_neither(kind: str) -> None:
    run = firing_run(kind)
    plain_network = integer_network(run, weight_bits=4, lowering="none")[0]
    wanted = compare_network(run, plain_network, OPTIONS)
    for lowering in ("subpixel", "dense"):
        network = integer_network(run, weight_bits=4, lowering=lowering)[0]
        found = compare_network(run, network, OPTIONS)
        called = dict(zip(plain_network.labels, network.labels, strict=True))
        assert found.potentials == tuple(replace(row, name=called[row.name]) for row in wanted.potentials)
        if lowering == "subpixel":
            assert found.weights == tuple(replace(row, name=called[row.name]) for row in wanted.weights)
        assert len(found.weights) == len(wanted.weights)


def test_the_gain_of_drawn_pictures_is_on_both_sides() -> None:
    """What compares potentials of the readout sees the same unit as what draws: once with a gain, once without."""
    run = firing_run("subpixel")
    plain_run = compare_network(run, integer_network(run, lowering="none")[0], OPTIONS).layers[-1].membrane
    with torch.no_grad():
        run.model.decoder.gain.fill_(1.25)
    network = integer_network(run, lowering="none")[0]
    found = compare_network(run, network, OPTIONS).layers[-1].membrane
    assert plain_run is not None
    assert found == pytest.approx(1.25 * plain_run, rel=1e-3)
    decoder, latents = FloatDecoder(run), draw_latents(network, 0, np.arange(IMAGES))
    drawn = np.tanh(decoder.membranes(latents)[-1].before[:, -1] / decoder.units[-1])
    np.testing.assert_allclose(
        drawn.reshape(IMAGES, -1).sum(1), float_images(run.model.decoder, latents).reshape(IMAGES, -1).sum(1), rtol=1e-4
    )


def test_pictures_of_them(run: Run) -> None:
    network = integer_network(run, weight_bits=4, lowering="none")[0]
    found = compare_network(run, network, OPTIONS)
    axis = Figure().subplots()
    assert found.weights[0].plot(ax=axis) is axis
    drawn = axis.patches[1].get_data()
    np.testing.assert_allclose(drawn.values, 100 * np.array(found.weights[0].quantized))
    assert axis.get_xlabel() == "weight, thresholds"
    for width in (7.5, 3.4):
        made = draw_histograms(plain(found.potentials), width)
        assert [axis.get_title(loc="left") for axis in made.axes[:3]] == [row.name for row in found.potentials[:3]]
    assert replace(found.potentials[0], name="other").plot(ax=Figure().subplots()).get_title(loc="left") == "other"

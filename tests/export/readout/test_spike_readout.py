"""Generators whose pixels fire: the image's steps as they were, then stillness, and first spikes that tell."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from circuit_networks import LATENTS, STEPS, host_generator

from esvae.errors import ConfigError, DataError, NetFileError, UnsupportedLayerError
from export.ir import Conv, Dense, Flatten, ImageReadout, Lif, Network
from export.netx import read_netx
from export.netx.check import check_file
from export.netx.write import write_netx
from export.passes import lower_dense
from export.readout import with_spike_readout
from sim.readout import images_from_potentials, potentials_from_spikes
from sim.sampler import draw_latents
from sim.twin.engine import Engine

IMAGES, READ = 40, 12


@cache
def plain(*, chained: bool) -> Network:
    """With biases by which half of the hidden neurons fire without any input, and pictures of all greys."""
    network, rng = host_generator(chained=chained), np.random.default_rng(3)
    first, last = network.layers
    bias, weight = rng.integers(-400, 900, first.outputs), rng.integers(-60, 61, last.weight.shape) * 2  # type: ignore[union-attr]
    layers = replace(first, bias=bias), replace(last, weight=weight)  # type: ignore[type-var]
    return replace(network, layers=layers, readout=ImageReadout(64.0 * 300, (1, 2, 2)))


@cache
def spiking(*, chained: bool) -> Network:
    network = plain(chained=chained)
    return with_spike_readout(network, READ, draw_latents(network, 7, np.arange(64)))


@pytest.fixture(params=[True, False], ids=["dense", "conv"])
def both(request: pytest.FixtureRequest) -> tuple[Network, Network]:
    return plain(chained=request.param), spiking(chained=request.param)


def test_up_to_the_read_phase_nothing_changes(both: tuple[Network, Network]) -> None:
    """Every integer of every neuron that was there before, save of pixels that fire early, in their own layer."""
    network, made = both
    latents = draw_latents(network, 0, np.arange(IMAGES))
    np.testing.assert_array_equal(latents, draw_latents(made, 0, np.arange(IMAGES)))
    before, after = Engine(network).traces(latents), Engine(made).traces(latents)
    for old, new in zip(before, after, strict=True):
        neurons = old.s.shape[2]
        last = old is before[-1]
        early = (new.s[:, :STEPS, :neurons].cumsum(axis=1) > 0) if last else np.zeros(old.s.shape, bool)
        assert early.mean() < 0.5
        for name in "uv":
            was, now = getattr(old, name), getattr(new, name)[:, :STEPS, :neurons]
            np.testing.assert_array_equal(now[~early], was[~early])


def test_relays_fire_and_all_others_are_still(both: tuple[Network, Network]) -> None:
    network, made = both
    hidden, pixels = Engine(made).traces(draw_latents(made, 0, np.arange(IMAGES)))
    neurons = network.shapes[0][0]
    assert hidden.s.shape[2] > neurons
    assert not hidden.s[:, STEPS:, :neurons].any()
    assert hidden.s[:, STEPS:, neurons:].all()
    assert not hidden.s[:, :STEPS, neurons:].any()
    assert hidden.s[:, STEPS - 1, :neurons].any()  # they would go on by their biases
    assert len(np.unique(pixels.u[:, STEPS:])) <= 2  # the same lift for all; of another parity where the bias is odd


def test_first_spikes_tell_the_potentials(both: tuple[Network, Network]) -> None:
    network, made = both
    latents = draw_latents(network, 0, np.arange(200))
    wanted = images_from_potentials(network, Engine(network).final_potentials(latents))
    spikes = Engine(made).traces(latents)[-1].s
    told = images_from_potentials(made, potentials_from_spikes(made, spikes))
    coarse = images_from_potentials(made, np.full_like(spikes[:, 0], 0, np.int32))
    error = float(np.square(told - wanted).mean())
    assert error < 0.006
    assert error < 0.02 * float(np.square(coarse - wanted).mean())


def test_the_file_holds_it(both: tuple[Network, Network], tmp_path: Path) -> None:
    network, made = both
    again = read_netx(write_netx(made, tmp_path / "a.net"))
    assert again.content_hash() == made.content_hash()
    assert made.content_hash() != network.content_hash()
    assert again.spike_readout is not None
    assert made.spike_readout is not None
    np.testing.assert_array_equal(again.spike_readout.levels, made.spike_readout.levels)
    assert (again.image_steps, again.time_steps, again.latents) == (STEPS, STEPS + READ, LATENTS)
    assert not [found for found in check_file(tmp_path / "a.net") if "readout" in str(found)]


def test_unrolling_keeps_what_is_told() -> None:
    made = spiking(chained=False)
    latents = draw_latents(made, 0, np.arange(IMAGES))
    left, right = (
        potentials_from_spikes(network, Engine(network).traces(latents)[-1].s) for network in (made, lower_dense(made))
    )
    np.testing.assert_array_equal(left.reshape(IMAGES, -1), right.reshape(IMAGES, -1))


def test_spikes_of_the_whole_window_are_taken_too(both: tuple[Network, Network]) -> None:
    _, made = both
    assert made.spike_readout is not None
    latents = draw_latents(made, 0, np.arange(3))
    whole = np.zeros((3, STEPS + READ, LATENTS + made.spike_readout.drives), np.uint8)
    whole[:, :STEPS, :LATENTS], whole[:, STEPS:, LATENTS:] = latents, 1
    left, right = (Engine(made).traces(each)[-1].s for each in (latents, whole))
    np.testing.assert_array_equal(left, right)


def test_what_cannot_be_read() -> None:
    network = plain(chained=False)
    latents = draw_latents(network, 0, np.arange(8))
    first, last = network.layers
    assert isinstance(first, Conv)
    assert isinstance(last, Conv)
    with pytest.raises(ConfigError, match="--read-steps 0"):
        with_spike_readout(network, 0, latents)
    with pytest.raises(DataError, match="made of a generator with a window"):
        with_spike_readout(spiking(chained=False), 4, latents)
    with pytest.raises(UnsupportedLayerError, match=r"layer 1 \(conv\): .* without memory of the current"):
        with_spike_readout(replace(network, layers=(replace(first, neuron=Lif(4000, 3072, 200)), last)), 4, latents)
    odd = replace(last, weight=np.full((1, 3, 3, 3), 2), padding=(2, 2), stride=(2, 2))  # reads one place, or two
    with pytest.raises(UnsupportedLayerError, match=r"layer 2 \(conv\): no tap of its kernel"):
        with_spike_readout(replace(network, layers=(first, odd)), 4, latents)
    flat = (first, Flatten(), Dense(np.full((4, 12), 2), None, Lif(4096, 819, 131_071)))
    with pytest.raises(UnsupportedLayerError, match="no flatten layer"):
        with_spike_readout(replace(network, layers=flat), 4, latents)


def test_what_is_no_spike_readout() -> None:
    made = spiking(chained=True)
    told = made.spike_readout
    assert told is not None
    for changed, message in (
        (replace(told, drives=LATENTS + told.drives), "drives of"),
        (replace(told, levels=told.levels[:3]), "expected whole numbers for 4"),
        (replace(told, levels=told.levels[:, :2]), "0 read steps"),
    ):
        with pytest.raises(NetFileError, match=message):
            replace(made, spike_readout=changed)
    with pytest.raises(NetFileError, match="no readout"):
        replace(made, readout=None)
    with pytest.raises(DataError, match="read in a window of 16"):
        potentials_from_spikes(made, np.zeros((1, 3, 4), np.uint8))
    with pytest.raises(DataError, match="its pictures are potentials"):
        potentials_from_spikes(plain(chained=True), np.zeros((1, 4, 4), np.uint8))

"""Spikes of maps, counted in groups of pixels that reach alike, equal plain sums, whatever the groups and bytes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from depth import examples
from export.ir import Conv, Lif
from sim.counts.alike import Alike, counting_alike
from sim.counts.fan_out import fan_out
from sim.counts.kernel import Reach, SpikeCounter

STEPS = 3


@st.composite
def reaches(draw: st.DrawFn) -> np.ndarray:
    """Synapses of the neurons of a map ``(C, H, W)``, alike in a few kinds of pixels, in int32 or beyond."""
    channels = draw(st.sampled_from([16, 32, 48, 64, 128]))
    shape = draw(st.tuples(st.integers(1, 20), st.integers(1, 20)))
    dice = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    kinds = dice.integers(0, draw(st.sampled_from([1, 600, 1 << 40])), (draw(st.integers(1, 4)), channels))
    return np.ascontiguousarray(kinds[dice.integers(0, len(kinds), shape)].transpose(2, 0, 1))


def raster_of(reach: np.ndarray, images: int, rate: float, dice: np.random.Generator) -> torch.Tensor:
    """Spikes ``(steps, images, C, H, W)`` as the twin has them: channels innermost, a byte each."""
    fired = dice.random((STEPS, images, *reach.shape[1:], len(reach))) < rate
    return torch.from_numpy(fired.astype(np.uint8)).permute(0, 1, 4, 2, 3)


@settings(max_examples=examples(60), deadline=None)
@given(reaches(), st.lists(st.integers(1, 9), min_size=1, max_size=3), st.sampled_from([0.0, 0.1, 0.9, 1.0]))
def test_counts_equal_plain_sums(reach: np.ndarray, chunks: list[int], rate: float) -> None:
    dice = np.random.default_rng(0)
    counter, seen = SpikeCounter(Reach(reach), STEPS), np.zeros((STEPS, reach.size), np.int64)
    for images in chunks:
        raster = raster_of(reach, images, rate, dice)
        plain = raster.numpy().astype(np.int64)
        fired, operations = counter.add(raster)
        np.testing.assert_array_equal(fired, plain.sum(axis=(2, 3, 4)))
        np.testing.assert_array_equal(operations, (plain * reach).sum(axis=(2, 3, 4)))
        seen += plain.sum(axis=1).reshape(STEPS, -1)
    np.testing.assert_array_equal(counter.by_neuron, seen)


def test_every_pixel_is_in_one_group_of_its_own_kind() -> None:
    reach = fan_out(Conv(np.ones((5, 32, 3, 3), np.int32), None, Lif(4096, 0, 1), padding=(1, 1)), (32, 40, 30))
    alike = Alike.of(reach.transpose(1, 2, 0).reshape(-1, 32))
    assert alike is not None
    assert sorted(alike.places.tolist()) == list(range(0, reach.size, 32))
    lengths = np.diff(alike.groups)
    assert lengths.min() > 0
    assert lengths.max() == 255  # of which a byte holds the spikes
    for places, of_group in zip(np.split(alike.places, alike.groups[1:-1]), alike.reach, strict=True):
        for place in places:
            y, x = divmod(place // 32, 30)
            np.testing.assert_array_equal(reach[:, y, x], of_group)


@pytest.mark.parametrize(
    "reach",
    [
        np.arange(64 * 16).reshape(64, 16),  # no two pixels alike
        np.arange(9).repeat(4).reshape(4, 9),  # no width fits
        np.arange(64).reshape(1, 64),  # a single pixel, as of a dense layer
        np.full((7, 3), 5),  # all alike, and still no width
    ],
    ids=["other", "odd", "single", "few"],
)
def test_what_is_not_alike_is_counted_one_by_one(reach: np.ndarray) -> None:
    assert Alike.of(reach) is None


def test_neurons_that_all_reach_alike_are_cut_anyhow() -> None:
    alike = Alike.of(np.zeros((32 * 32, 3), np.int32))
    assert alike is not None
    assert (alike.width, len(alike.places)) == (64, 48)


@pytest.mark.parametrize("number", [2, 127, 128, 255])
def test_whatever_is_not_zero_is_one_spike(number: int) -> None:
    reach = np.full((16, 4, 4), 7)
    raster = raster_of(reach, 5, 0.5, np.random.default_rng(0))
    counters = SpikeCounter(Reach(reach), STEPS), SpikeCounter(Reach(reach), STEPS)
    for left, right in zip(counters[0].add(raster), counters[1].add(raster * number), strict=True):
        np.testing.assert_array_equal(left, right)
    np.testing.assert_array_equal(counters[0].by_neuron, counters[1].by_neuron)


def test_it_counts_what_the_twin_has(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[Alike] = []

    def noting(alike: Alike) -> object:
        used.append(alike)
        return counting_alike(alike)

    monkeypatch.setattr("sim.counts.kernel.counting_alike", noting)
    reach = np.full((64, 8, 8), 3)
    SpikeCounter(Reach(reach), STEPS).add(raster_of(reach, 2, 0.5, np.random.default_rng(0)))
    assert len(used) == 1

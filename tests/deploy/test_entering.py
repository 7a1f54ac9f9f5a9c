"""What enters a network: the same images whether together or in parts, from every source; and one line for mistakes."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.entering import (
    Entering,
    InputOptions,
    at_hand,
    at_rate,
    drawable,
    enter,
    made_up,
)
from deploy.rasters import load_raster, save_latents
from depth import examples
from esvae.errors import ConfigError, DataError
from export.ir import Dense, InputNeurons, Lif, Network, Prior
from sim.sampler import draw_latents
from sim.stimulus import Timing
from sim.twin.engine import Engine

NEURON = Lif(4096, 3072, 60)
IMAGES = 11


def network(*, prior: bool = True, steps: int | None = 4, driven: bool = False) -> Network:
    rng = np.random.default_rng(0)
    layer = Dense((rng.integers(-50, 50, (5, 6)) * 2).astype(np.int32), None, NEURON)
    weight = rng.standard_normal((1, 6, 3)).astype(np.float32)
    given = Prior(weight, np.zeros((1, 6), np.float32), np.ones(1, np.float32)) if prior else None
    neurons = InputNeurons(NEURON, 64, 3) if driven else None
    return Network((6,), (layer,), time_steps=steps, prior=given, input_neurons=neurons)


def values(entering: Entering) -> np.ndarray:
    return entering.stimulus.values


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, rng = tmp_path_factory.mktemp("entering"), np.random.default_rng(1)
    found = {name: folder / f"{name}.npy" for name in ("spikes", "images")}
    np.save(found["spikes"], (rng.random((IMAGES, 4, 6)) < 0.5).astype(np.uint8))
    np.save(found["images"], rng.integers(-60, 100, (IMAGES, 6)))
    return found


def sources(files: dict[str, Path]) -> dict[str, Entering]:
    count, seed = IMAGES, 3
    return {
        "prior": enter(network(), InputOptions(count, seed)),
        "prior, longer": enter(network(), InputOptions(count, seed, steps=7)),
        "latents": enter(network(), InputOptions(latents=files["spikes"])),
        "spikes, shorter": enter(network(), InputOptions(spikes=files["spikes"], steps=3)),
        "rate": enter(network(prior=False), InputOptions(count, seed, rate=0.3)),
        "made up": made_up(network(prior=False), InputOptions(count, seed)),
        "pixels": made_up(network(prior=False, driven=True), InputOptions(count, seed)),
        "images": enter(network(prior=False, driven=True), InputOptions(image=files["images"])),
        "zeros": enter(network(prior=False, driven=True), InputOptions(count, image="zeros")),
        "given": at_hand(network(), np.load(files["spikes"])),
    }


@settings(max_examples=examples(40))
@given(st.data())
def test_parts_are_what_the_whole_is(files: dict[str, Path], data: st.DataObject) -> None:
    for name, entering in sources(files).items():
        whole = values(entering)
        assert len(whole) == entering.images == IMAGES, name
        assert entering.stimulus.steps == entering.steps, name
        start = data.draw(st.integers(0, IMAGES - 1))
        stop = data.draw(st.integers(start + 1, IMAGES + 3))
        assert np.array_equal(values(entering.part(start, stop)), whole[start:stop]), name
        size = data.draw(st.integers(1, IMAGES + 1))
        chunks = [values(chunk) for chunk in entering.chunks(size)]
        assert max(map(len, chunks)) == min(size, IMAGES)
        assert np.array_equal(np.concatenate(chunks), whole), name
        inner = entering.part(2, 9).part(1, 4)
        assert np.array_equal(values(inner), whole[3:6]), name


def test_rates_are_those_behind_the_spikes(files: dict[str, Path]) -> None:
    found = sources(files)
    for name in ("prior", "made up"):
        part = found[name].part(2, 7)
        assert part.rates is not None
        assert np.array_equal(part.rates.spikes(), values(part).reshape(5, 4, 6)), name
    for name in ("prior, longer", "latents", "rate", "images", "given"):
        assert found[name].rates is None, name


def test_the_prior_is_the_samplers(files: dict[str, Path]) -> None:
    drawn = draw_latents(network(), 3, np.arange(IMAGES))
    found = sources(files)
    assert np.array_equal(values(found["prior"]), drawn)
    longer = values(found["prior, longer"])
    assert np.array_equal(longer[:, :4], drawn)
    assert not longer[:, 4:].any()
    assert np.array_equal(values(found["spikes, shorter"]), np.load(files["spikes"])[:, :3])


def test_a_file_gives_at_most_so_many(files: dict[str, Path]) -> None:
    few = enter(network(), InputOptions(3, latents=files["spikes"]))
    assert few.images == 3
    assert np.array_equal(values(few), np.load(files["spikes"])[:3])
    assert enter(network(), InputOptions(99, spikes=files["spikes"])).images == IMAGES


@pytest.mark.parametrize("images", [1, 2, None])
def test_a_file_left_on_disk_runs_as_one_in_memory(files: dict[str, Path], images: int | None) -> None:
    """Also a single image, whose spikes reach torch as they are in the file: no warning, and the file is as before."""
    before = files["spikes"].read_bytes()
    found = Engine(network()).final_potentials(enter(network(), InputOptions(images, latents=files["spikes"])).stimulus)
    assert np.array_equal(found, Engine(network()).final_potentials(np.load(files["spikes"])[:images]))
    assert files["spikes"].read_bytes() == before


def test_made_up_input_makes_neurons_fire_and_says_what_it_is() -> None:
    spikes = made_up(network(prior=False), InputOptions(50, 1))
    assert 0.4 < values(spikes).mean() < 0.6
    assert spikes.about == "random spikes at half of the steps, seed 1"
    pixels = made_up(network(prior=False, driven=True), InputOptions(50, 1))
    assert -128 <= values(pixels).min() < -100
    assert 350 < values(pixels).max() <= 383
    assert pixels.about == "random pixels, -128 to 383, seed 1"
    assert not np.array_equal(values(pixels), values(made_up(pixels.network, InputOptions(50, 2))))


def test_timing_reaches_the_stimulus(files: dict[str, Path]) -> None:
    timing = Timing(3, 1, True)
    for options in (InputOptions(2, timing=timing), InputOptions(latents=files["spikes"], timing=timing)):
        assert enter(network(), options).stimulus.timing == timing
    assert at_rate(network(), 0.5, InputOptions(2, timing=timing)).stimulus.timing == timing


def test_who_can_draw() -> None:
    assert drawable(network())
    assert not drawable(network(prior=False))


def test_saved_latents_come_back(files: dict[str, Path], tmp_path: Path) -> None:
    drawn = enter(network(), InputOptions(5)).stimulus.spikes
    assert drawn is not None
    saved = save_latents(tmp_path / "l.npy", drawn)
    assert np.array_equal(values(enter(network(), InputOptions(latents=saved))), drawn)
    assert np.array_equal(load_raster(saved, (6,)), drawn)
    assert load_raster(saved, (6, 1, 1)).shape == (5, 4, 6, 1, 1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"images": 0}, DataError, "0 images: expected at least 1"),
        ({"seed": -1}, DataError, r"seed -1: expected 0 to 2\^64 - 1"),
        ({"seed": 1 << 64}, DataError, "expected 0 to"),
        ({"steps": 0}, ConfigError, "--steps 0: expected at least 1"),
        ({"rate": 1.5}, ConfigError, "--rate 1.5: expected 0 to 1"),
        ({"rate": float("nan")}, ConfigError, "--rate nan: expected 0 to 1"),
        ({"latents": "a", "spikes": "b"}, ConfigError, "--latents and --spikes: give one of them"),
        ({"image": "zeros", "rate": 0.1}, ConfigError, "--image and --rate: give one of them"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        InputOptions(**options)


def test_what_cannot_enter(files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no prior to draw latent spikes from; give them to esvae simulate"):
        enter(network(prior=False), InputOptions())
    with pytest.raises(DataError, match="give esvae simulate what they see with --image"):
        enter(network(prior=False, driven=True), InputOptions())
    with pytest.raises(DataError, match="says no number of steps; give it with --steps"):
        enter(network(prior=False, steps=None, driven=True), InputOptions(image="zeros"))
    with pytest.raises(DataError, match="for how many steps to run it with --steps"):
        made_up(network(prior=False, steps=None), InputOptions())
    with pytest.raises(DataError, match="images and no spikes; give --image"):
        values(enter(network(prior=False, driven=True), InputOptions(spikes=files["spikes"])))
    with pytest.raises(DataError, match="no neurons to take images; give spikes with --spikes"):
        values(enter(network(), InputOptions(image="zeros")))
    with pytest.raises(DataError, match=r"none.npy: "):
        enter(network(), InputOptions(latents=tmp_path / "none.npy"))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((2, 4, 7), np.uint8), r"has shape \(2, 4, 7\), expected \(images, steps, 6\)"),
        (np.ones((2, 24), np.uint8), r"has shape \(2, 24\), expected \(images, steps, 6\)"),
        (np.ones((2, 5, 6), np.uint8), "has 5 steps, the network's window is 4"),
        (np.full((2, 4, 6), 2, np.uint8), r"l\.npy: input spikes must be 0 or 1: image 0, step 0, input 0 is 2; bin"),
        (np.eye(1, 2400, 1703).reshape(100, 4, 6) / 2, r"l\.npy: .*: image 70, step 3, input 5 is 0\.5; binarize"),
    ],
)
def test_files_that_do_not_fit(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "l.npy", array)
    with pytest.raises(DataError, match=message):
        values(enter(network(), InputOptions(latents=tmp_path / "l.npy")))
    with pytest.raises(DataError, match=message):  # numbers of images are those in the file, whichever part is read
        deque(map(values, enter(network(), InputOptions(latents=tmp_path / "l.npy")).chunks(32)), maxlen=0)

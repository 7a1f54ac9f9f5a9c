"""How pictures emerge over the steps: as GIF, as a slider, and the last step's being the pictures themselves."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from circuit_networks import host_generator
from PIL import Image, ImageSequence

import esvae
from command import call
from deploy.emerging import emergence
from deploy.traces import Traces
from esvae.errors import DataError
from esvae.pictures import image_grid, save_animation
from every_command import write_inputs
from export.ir import ImageReadout
from export.netx.write import write_netx
from export.readout import with_spike_readout
from sim.sampler import draw_latents


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inputs(tmp_path_factory.mktemp("emerging"))["NET"]


def frames_of(file: Path) -> list[np.ndarray]:
    """What a viewer shows, and never for less than it takes to see."""
    with Image.open(file) as image:
        assert image.info["loop"] == 0
        shown = [(np.asarray(frame.convert("RGB")), frame.info["duration"]) for frame in ImageSequence.Iterator(image)]
    assert shown[-1][1] > 1000
    assert all(time >= 40 for _, time in shown)
    return [pixels for pixels, _ in shown]


def small(grid: np.ndarray) -> np.ndarray:
    """A grid as it was before it was magnified: its gaps are two pixels wide."""
    factor = int((grid[:, 0] == 255).all(1).argmin() or (grid == 255).all((1, 2)).argmin()) // 2
    return grid[::factor, ::factor]


def test_the_last_step_is_what_was_drawn(file: Path) -> None:
    loaded = esvae.load(file)
    found = loaded.trace(3, 5).emergence()
    assert found.images.shape == (3, 2, 1, 8, 8)
    assert repr(found) == "Emergence(3 images, 2 steps)"
    np.testing.assert_array_equal(found.images[:, -1], loaded.generate(3, 5).images)


def test_command_writes_what_the_method_does(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, own = tmp_path / "i.GIF", tmp_path / "own.gif"
    code, told, _ = call(capsys, "simulate", file, "-n", 3, "--seed", 5, "-o", out, "--backend", "reference")
    assert code == 0
    assert str(out) in told
    found = esvae.load(file).trace(3, 5).emergence()
    found.save(own)
    assert out.read_bytes() == own.read_bytes()
    for step, frame in enumerate(frames_of(out)):
        np.testing.assert_array_equal(small(frame), small(image_grid(found.images[:, step])))


def test_a_gif_is_not_written_over_another_file(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "i.gif"
    other.write_text("mine")
    code, _, told = call(capsys, "simulate", file, "-n", 1, "-o", other)
    assert code != 0
    assert "is there, and no .gif file" in told
    assert other.read_text() == "mine"
    code, _, told = call(capsys, "simulate", file, "-n", 1, "-o", tmp_path / "i.mp4")
    assert code != 0
    assert "expected a name that ends in .png or .gif" in told


def test_colours_are_near(tmp_path: Path) -> None:
    ramp = np.linspace(-1, 1, 8, dtype=np.float32)
    images = np.zeros((1, 4, 3, 8, 8), np.float32)
    images[0, :, 0], images[0, :, 1] = ramp[:, None], ramp[None]
    images[0, :, 2] = np.linspace(-1, 1, 4)[:, None, None]
    save_animation(images, tmp_path / "c.gif")
    frames = frames_of(tmp_path / "c.gif")
    assert len(frames) == 4
    for step, frame in enumerate(frames):
        gap = np.abs(small(frame).astype(int) - small(image_grid(images[:, step])))
        assert gap.max() <= 24  # 257 colours into 256


def test_slider_shows_every_step(file: Path) -> None:
    found = esvae.load(file).trace(2, 1).emergence()
    page = found._repr_html_()
    pictures = re.findall(r'<img src="data:image/png;base64,([^"]+)"[^>]*?( hidden)?>', page)
    assert [bool(hidden) for _, hidden in pictures] == [True, False]
    for step, (data, _) in enumerate(pictures):
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
        np.testing.assert_array_equal(pixels, image_grid(found.images[:, step]))
    assert 'type="range" min="1" max="2" value="2"' in page
    assert "http" not in page


def test_a_network_without_readout_draws_nothing(file: Path) -> None:
    traces = esvae.load(file).trace(1)
    bare = replace(traces, network=replace(traces.network, readout=None, prior=None))
    assert isinstance(bare, Traces)
    with pytest.raises(DataError, match="has no readout"):
        bare.emergence()


def test_pictures_that_spikes_tell_are_not_there_at_every_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = host_generator()
    network = replace(network, readout=ImageReadout(64.0 * 300, (1, 2, 2)))
    told = with_spike_readout(network, 12, draw_latents(network, 7, np.arange(64)))
    with pytest.raises(DataError, match="tell them by spikes after the image's last step"):
        emergence(told, {})
    write_netx(told, tmp_path / "told.net")
    code, _, error = call(capsys, "simulate", tmp_path / "told.net", "-n", 1, "-o", tmp_path / "i.gif")
    assert code != 0
    assert "write a .png" in error
    assert not (tmp_path / "i.gif").exists()

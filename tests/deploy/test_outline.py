"""The drawing of a network: its numbers are those of inspection and fit, its texts stay apart, its file opens."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from circuit_networks import circuit_generator
from matplotlib.figure import Figure
from PIL import Image

import esvae
from command import call
from deploy.inspection import inspect_file
from deploy.outline import OutlineLayer, outline
from deploy.view.outline import draw_outline
from deploy.view.table import plain
from every_command import write_inputs
from export.ir import Conv, ConvTranspose, Lif, Network
from sim.fit.adviser import fit_network
from sim.fit.chips import chip_named

LOIHI2 = chip_named("loihi2")
matplotlib.use("Agg")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inputs(tmp_path_factory.mktemp("outline"))["NET"]


def test_stages_say_what_inspection_and_fit_say(file: Path) -> None:
    network = esvae.load(file).network
    stages = outline(network, LOIHI2)
    assert stages[0] == OutlineLayer("input", network.input_shape)
    assert stages[-1] == OutlineLayer("picture", (1, 8, 8))
    mapped = fit_network(network, LOIHI2).mapping.layers
    for stage, view, layer in zip(stages[1:-1], inspect_file(file).layers, mapped, strict=True):
        assert (stage.layer, stage.shape, stage.neurons) == (view.layer, view.output_shape, view.neurons)
        assert (stage.synapses, stage.cores) == (view.synapses, len(layer.cores))
    assert stages[1].kernel == "4 × 4"


@pytest.mark.parametrize("kind", [Conv, ConvTranspose])
@pytest.mark.parametrize(
    ("stride", "said"), [((1, 1), ""), ((2, 2), ", stride 2"), ((1, 2), ", stride 1×2"), ((3, 1), ", stride 3×1")]
)
def test_both_sides_of_a_stride_are_shown(kind: type, stride: tuple[int, int], said: str) -> None:
    layer = kind(np.full((1, 1, 3, 2), 2), None, Lif(4096, 2048, 51), stride=stride)
    assert outline(Network((1, 9, 9), (layer,)), LOIHI2)[1].kernel == f"3 × 2{said}"


def stages_of(count: int) -> list[dict[str, object]]:
    rng = np.random.default_rng(count)
    stages = [OutlineLayer("layer 0 (input)", (3, 300, 700), 630_000, cores=78)]
    for k in range(1, count):
        shape = (int(rng.integers(1, 2000)),) if k % 2 else tuple(int(n) for n in rng.integers(1, 300, 3))
        stages.append(OutlineLayer(f"layer {k} (convT)", shape, 1_000_000, "11 × 11, stride 2×3", 1_234_567_890, 128))
    return plain(stages)  # type: ignore[no-any-return]


@pytest.mark.parametrize("width", [7.5, 3.4])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 7, 13])
def test_nothing_overlaps_and_nothing_is_cut(count: int, width: float) -> None:
    made = draw_outline(stages_of(count), width)
    made.draw_without_rendering()
    renderer = made.canvas.get_renderer()  # type: ignore[attr-defined]
    boxes = [text.get_window_extent(renderer) for text in made.axes[0].texts]
    assert len(boxes) >= count
    whole = made.bbox
    for k, box in enumerate(boxes):
        assert whole.x0 <= box.x0
        assert box.x1 <= whole.x1
        assert whole.y0 - 1 <= box.y0
        assert not any(box.shrunk(0.98, 0.8).overlaps(other) for other in boxes[k + 1 :])


def test_axes_of_ones_own(file: Path) -> None:
    loaded = esvae.load(file)
    axis = Figure().subplots()
    assert loaded.draw(ax=axis) is axis
    said = [text.get_text() for text in axis.texts]
    assert said[0] == "input"
    assert said[-2:] == ["picture", "1 × 8 × 8"]
    assert "2 cores" not in said
    assert {text.get_text() for text in loaded.draw("loihi1").texts} >= {"layer 1 (conv)", "64 neurons"}


def test_command_writes_svg_and_png(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    svg, png = tmp_path / "n.svg", tmp_path / "n.PNG"
    for target in (svg, png):
        code, told, _ = call(capsys, "inspect", file, "-o", target)
        assert code == 0
        assert f"written: {target}" in told
    assert ElementTree.parse(svg).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    with Image.open(png) as image:
        assert image.format == "PNG"
    before = svg.read_bytes()
    assert call(capsys, "inspect", file, "-o", svg)[0] == 0
    assert svg.read_bytes() == before
    code, _, told = call(capsys, "inspect", file, "-o", tmp_path / "n.pdf")
    assert code != 0
    assert "expected a name that ends in .svg or .png" in told


def test_what_is_no_network_is_not_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import h5py

    with h5py.File(tmp_path / "x.net", "w") as other:
        other["a"] = 1
    code, told, _ = call(capsys, "inspect", tmp_path / "x.net", "-o", tmp_path / "x.svg")
    assert code == 1
    assert "not read as a network" in told
    assert not (tmp_path / "x.svg").exists()


def test_a_generator_on_the_chip_begins_with_its_source() -> None:
    network: Network = circuit_generator()
    stages = outline(network, LOIHI2)
    assert len(stages) == len(network.labels) + 4  # what enters, source, latents, and the picture

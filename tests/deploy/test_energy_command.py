"""The verbs energy and fit: counts first, labelled estimates, exit codes, pictures, errors in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from deploy.cli import main
from deploy.cost import cost_of, counted_input
from deploy.entering import InputOptions, made_up
from deploy.report import sections
from deploy.view.numbers import si, si_range
from deploy.view.plots import draw_cores, save_energy_plots
from deploy.view.style import save_png
from export.ir import Conv, Dense, Flatten, InputNeurons, Lif, Network, Prior
from export.netx.write import GROUP, write_netx
from paper_networks import cifar10_decoder
from sim.counts.ops import count
from sim.energy.profile import profile_names
from sim.fit.chips import LOIHI2
from sim.fit.mapping import map_network
from sim.stimulus import Stimulus
from sim.twin.engine import Engine

NEURON = Lif(4096, 3072, 60)


def decoder(prior: bool = True) -> Network:
    rng = np.random.default_rng(0)
    conv = Conv((rng.integers(-100, 100, (4, 6, 3, 3)) * 2).astype(np.int32), None, NEURON, padding=(2, 2))
    dense = Dense((rng.integers(-50, 50, (5, 4 * 9)) * 2).astype(np.int32), None, NEURON)
    weight = rng.standard_normal((1, 6, 3)).astype(np.float32)
    return Network(
        (6, 1, 1),
        (conv, Flatten(), dense),
        time_steps=4,
        prior=Prior(weight, np.zeros((1, 6), np.float32), np.ones(1, np.float32)) if prior else None,
    )


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return write_netx(decoder(), tmp_path / "decoder.net")


@pytest.fixture
def foreign(net: Path) -> Path:
    with h5py.File(net, "r+") as file:
        del file[GROUP]
    return net


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    out = capsys.readouterr()
    return int(caught.value.code or 0), out.out, out.err


def grey(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"))


def result(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, Any]:
    code, out, _ = run(capsys, *arguments, "--json")
    assert code == 0
    return json.loads(out)


def test_counts_come_first_and_nothing_is_called_measured(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "energy", net, "-n", "5", "--seed", "0")
    assert code == 0
    assert out.index("Counts an image, exact") < out.index("Energy and time by profile: estimates")
    assert "measured" not in out
    for name in profile_names():
        assert f"{name} (estimate, basis: " in out


def test_json_has_counts_per_layer_and_step(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = result(capsys, "energy", net, "-n", "5")
    assert (found["images"], found["steps"], found["input"]["kind"]) == (5, 4, "prior")
    layers = found["counts"]["layers"]
    assert sum(layer["synops"] for layer in layers) * 5 == pytest.approx(found["counts"]["totals"]["synops"])
    steps = layers[1]["over_steps"]["synops"]
    assert len(steps) == 4
    assert sum(step["mean"] for step in steps) == pytest.approx(layers[1]["synops"])
    assert [one["profile"] for one in found["estimates"]] == profile_names()
    assert all(one["label"] == "estimate" and one["basis"] for one in found["estimates"])
    assert "measured" not in json.dumps(found)


def test_the_number_of_images_in_a_chunk_changes_nothing(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = decoder()
    many = cost_of(counted_input(network, InputOptions(70, 3)), ["cmos45"]).counts
    few = cost_of(counted_input(network, InputOptions(5, 3)), ["cmos45"]).counts
    np.testing.assert_array_equal(many.per_image[:, :5], few.per_image)


def test_chosen_profiles_in_order(net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        "name: own\ntitle: Own\nenergy:\n  synaptic_operation: {value: 1, unit: pJ, source: bench, basis: assumed}\n"
    )
    found = result(capsys, "energy", net, "-n", "2", "--profile", own, "--profile", "cmos45")
    assert [one["profile"] for one in found["estimates"]] == ["own", "cmos45"]
    assert found["estimates"][0]["energy"]["value"] == pytest.approx(found["counts"]["totals"]["synops"] / 2 * 1e-12)
    own.write_text(own.read_text().replace("unit: pJ, ", ""))
    code, out, err = run(capsys, "energy", net, "--profile", own)
    assert (code, out) == (1, "")
    assert f"error: {own}:4: energy.synaptic_operation.unit: is missing\n" in err


def test_a_file_without_metadata_gets_its_counts(
    foreign: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = result(capsys, "energy", foreign, "-n", "3")
    assert (found["input"]["kind"], found["input"]["rate"], found["steps"]) == ("rate", 0.1, 16)
    assert "assumed" in found["input"]["about"]
    full = result(capsys, "energy", foreign, "-n", "2", "--rate", "1", "--steps", "2")
    assert full["counts"]["layers"][0]["spikes_in"] == 6 * 2
    spikes = tmp_path / "s.npy"
    np.save(spikes, np.ones((4, 2, 6, 1, 1), np.uint8))
    given = result(capsys, "energy", foreign, "-n", "2", "--spikes", spikes)
    assert (given["images"], given["steps"], given["input"]["kind"]) == (2, 2, "file")
    assert given["counts"] == full["counts"]
    np.save(spikes, np.ones((4, 2, 6), np.uint8))
    assert result(capsys, "energy", foreign, "-n", "2", "--latents", spikes)["counts"] == full["counts"]


def test_images_drive_a_network_with_input_neurons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = Network((6, 1, 1), decoder().layers, input_neurons=InputNeurons(NEURON, 64, 0))
    path = write_netx(network, tmp_path / "driven.net")
    pixels = np.random.default_rng(0).integers(-60, 200, (5, 6, 1, 1))
    np.save(tmp_path / "i.npy", pixels)
    found = result(capsys, "energy", path, "--image", tmp_path / "i.npy", "--steps", 7, "-n", 3)
    assert (found["images"], found["steps"], found["input"]["kind"]) == (3, 7, "image")
    counted = count(network, Engine(network).run(Stimulus(None, pixels[:3], 7))).totals
    assert found["counts"]["totals"] == counted
    dark = result(capsys, "energy", path, "--image", "zeros", "--steps", 7, "-n", 2)
    assert (dark["images"], dark["counts"]["totals"]["synops"]) == (2, 0)
    code, out, err = run(capsys, "energy", path, "--spikes", tmp_path / "i.npy")
    assert (code, out) == (1, "")
    assert "take images and no spikes; give --image FILE.npy" in err
    code, out, err = run(capsys, "energy", path, "--image", "zeros")
    assert "the file says no number of steps; give it with --steps" in err


def test_what_nobody_gave_is_made_up_as_verify_does_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = Network((6, 1, 1), decoder().layers, input_neurons=InputNeurons(NEURON, 64, 0))
    path = write_netx(network, tmp_path / "driven.net")
    found = result(capsys, "energy", path, "-n", 3, "--seed", 5)
    assert (found["images"], found["steps"], found["input"]["kind"]) == (3, 16, "pixels")
    same = made_up(network, InputOptions(3, 5, steps=16))
    assert found["counts"]["totals"] == count(network, Engine(network).run(same.stimulus)).totals
    assert found["counts"]["totals"]["synops"] > 0
    _, out, _ = run(capsys, "energy", path, "-n", 3)
    told = " ".join(out.split())
    assert "random pixels, -128 to 383, seed 0 (the file does not say what it sees, so this is assumed" in told


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--image", "zeros"], "no neurons to take images; give spikes with --spikes FILE.npy"),
        (["--rate", "2"], "--rate 2.0: expected 0 to 1"),
        (["--steps", "3"], "--steps 3: the network's window is 4"),
        (["-n", "0"], "0 images: expected at least 1"),
        (["--seed", "-1"], "seed -1: expected 0 to 2^64 - 1"),
        (["--spikes", "none.npy"], "none.npy: cannot be read: No such file"),
        (["--spikes", "a.npy", "--latents", "b.npy"], "give one"),
        (["--spikes", "a.npy", "--rate", "0.5"], "--spikes and --rate: give one of them"),
        (["--spikes", "a.npy", "--steps", "4"], "leave out --steps"),
        (["--profile", "nothing"], "shipped are cmos45"),
    ],
)
def test_mistakes_are_one_line(net: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str) -> None:
    code, out, err = run(capsys, "energy", net, *options)
    assert (code, out) == (1, "")
    line = [text for text in err.splitlines() if text.startswith("error: ")]
    assert len(line) == 1
    assert message in line[0]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((2, 4, 7), np.uint8), "expected (images, steps, 6, 1, 1)"),
        (np.ones((2, 4), np.uint8), "expected (images, steps, 6, 1, 1)"),
        (np.ones((2, 5, 6), np.uint8), "has 5 steps, the network's window is 4"),
        (np.full((2, 4, 6), 3, np.uint8), "must be 0 or 1"),
        (np.ones((0, 4, 6), np.uint8), "expected (images, steps, 6, 1, 1)"),
    ],
)
def test_spikes_that_do_not_fit(
    net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], array: np.ndarray, message: str
) -> None:
    np.save(tmp_path / "s.npy", array)
    code, _, err = run(capsys, "energy", net, "--spikes", tmp_path / "s.npy")
    assert code == 1
    assert message in err


def test_fit_says_whether_by_its_exit_code(net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = result(capsys, "fit", net, "--plot", tmp_path / "plots")
    assert (found["fits"], found["cores"], found["chips"]) == (True, 2, 1)
    assert [layer["kind"] for layer in found["layers"]] == ["shared", "unrolled"]
    assert [option["what"] for option in found["lowerings"]] == ["shared kernels", "unrolled"]
    assert grey(tmp_path / "plots" / "cores.png").shape[1] > 500
    rng = np.random.default_rng(0)
    large = Network((2000,), (Dense((rng.integers(-50, 50, (4000, 2000)) * 2).astype(np.int32), None, NEURON),))
    path = write_netx(large, tmp_path / "large.net")
    code, out, _ = run(capsys, "fit", path, "--chip", "loihi1")
    assert code == 1
    assert "does not fit" in out
    assert "memory binds" in out
    assert "--weight-bits" in " ".join(out.split())
    code, out, err = run(capsys, "fit", net, "--chip", "tpu")
    assert (code, out) == (1, "")
    assert "--chip tpu: expected loihi2 or loihi1" in err


def test_pictures_are_written(net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = result(capsys, "energy", net, "-n", "3", "--plot", tmp_path / "p")
    names = ["raster.png", "activity.png", "synops.png", "energy.png"]
    assert [Path(path).name for path in found["plots"]] == names
    for name in names:
        pixels = grey(tmp_path / "p" / name)
        assert pixels.min() < 50
        assert pixels.max() == 255


def test_pictures_of_extremes(tmp_path: Path) -> None:
    network = decoder(prior=False)
    entering = counted_input(network, InputOptions(1, rate=0.0))
    silent = cost_of(entering, ["cmos45"])
    operations = sections.operations(silent, entering)
    save_energy_plots(operations, silent.counts.raster, sections.energy(silent), tmp_path)
    many = map_network(cifar10_decoder(), LOIHI2, unrolled=True)
    save_png(draw_cores(sections.cores(many)), tmp_path / "many.png")
    empty = Network((20_000,), (Dense(np.full((1, 20_000), 2, np.int32), None, NEURON),))
    save_png(draw_cores(sections.cores(map_network(empty, LOIHI2))), tmp_path / "none.png")


def test_units() -> None:
    assert si(0, "J") == "0.00 J"
    assert si(999.9e-6, "s") == "1000 µs"
    assert si(1e-3, "s") == "1.00 ms"
    assert si(2.5e-20, "J") == "0.00 fJ"
    assert si_range(1e-6, 2e-3, "J") == "0.00 to 2.00 mJ"


def test_a_network_on_the_chips_of_a_board(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide = Dense(np.full((4095, 16), 2, np.int32), None, Lif(4096, 3072, 60))
    back = Dense(np.full((16, 4095), 2, np.int32), None, Lif(4096, 3072, 60))
    file = write_netx(Network((16,), (wide, back) * 70, time_steps=4), tmp_path / "a.net")
    assert run(capsys, "fit", file)[0] == 1
    code, out, _ = run(capsys, "fit", file, "--chips", "8", "--json")
    answer = json.loads(out)
    assert (code, answer["fits"], answer["board"]["chips"]) == (0, True, 8)
    assert answer["least_cores"] <= answer["cores"]
    assert {share["chip"] for share in answer["board"]["shares"]} == set(range(answer["chips"]))
    assert [(link["source"], link["target"]) for link in answer["board"]["links"]] == [
        (chip, chip + 1) for chip in range(answer["chips"] - 1)
    ]
    code, out, _ = run(capsys, "fit", file, "--chips", "8")
    assert code == 0
    assert "chip 0 to chip 1: " in out
    assert f"of {8 * 120} usable cores of 8 chips (as the compiler cuts it; " in " ".join(out.split())

"""The commands on a network whose neurons send messages."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from command import call
from export.ir import Conv, Delta, Dense, Flatten, InputNeurons, Network, Sigma, SigmaDelta
from export.netx import read_netx, write_netx
from sim.stimulus import Stimulus
from sim.trace import first_difference, named_traces
from sim.twin.engine import Engine


@pytest.fixture
def net(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    layers = (
        Conv(2 * rng.integers(-30, 31, (3, 2, 2, 3)), rng.integers(0, 20, 3), SigmaDelta(4)),
        Flatten(),
        Dense(2 * rng.integers(-30, 31, (2, 27)), None, Sigma()),
    )
    network = Network((2, 4, 5), layers, input_neurons=InputNeurons(Delta(2)))
    return write_netx(network, tmp_path / "a.net")


def frames(tmp_path: Path, *shape: int) -> Path:
    path = tmp_path / "frames.npy"
    np.save(path, np.random.default_rng(4).integers(-64, 65, shape))
    return path


def test_frames_say_how_many_steps_there_are(net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given, trace = frames(tmp_path, 2, 6, 2, 4, 5), tmp_path / "t.npz"
    assert call(capsys, "simulate", net, "--image", given, "--trace", trace)[0] == 0
    network = read_netx(net)
    expected = named_traces(Engine(network).traces(Stimulus(None, np.load(given), 6)), network)
    with np.load(trace) as found:
        assert first_difference(expected, dict(found)) is None
        assert found["layer0.s"].dtype == np.int32
        assert np.abs(found["layer0.s"]).max() > 255


def test_one_frame_needs_a_number_of_steps(net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = frames(tmp_path, 2, 2, 4, 5)
    code, _, errors = call(capsys, "simulate", net, "--image", given)
    assert code != 0
    assert "give it with --steps" in errors
    assert call(capsys, "simulate", net, "--image", given, "--steps", 3)[0] == 0


def test_what_is_made_up_changes_in_some_places(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "verify", net, "-n", 2, "--steps", 4, "--against", "reference,onnx", "--json")
    assert code == 0
    assert json.loads(out)["equal"]
    code, out, _ = call(capsys, "energy", net, "-n", 2, "--json")
    assert code == 0
    layers = json.loads(out)["counts"]["layers"]
    assert [layer["message_bits"] > 8 for layer in layers] == [True, True]


def test_what_cannot_be_done_says_why(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, errors = call(capsys, "simulate", net, "--image", "zeros", "--steps", 4, "--reset-interval", 2)
    assert code != 0
    assert "sigma-delta neurons are not reset" in errors
    code, _, errors = call(capsys, "export", net, "-o", net.with_name("b.net"), "--weight-bits", 4)
    assert code != 0
    assert "quantiz" in errors


def test_layers_are_lowered_as_others_are(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lowered = net.with_name("b.net")
    assert call(capsys, "export", net, "-o", lowered, "--lowering", "dense")[0] == 0
    image = np.random.default_rng(5).integers(-64, 65, (2, 2, 4, 5))
    ends = []
    for path in (net, lowered):
        network = read_netx(path)
        ends.append(Engine(network).final_potentials(Stimulus(None, image.reshape(2, *network.input_shape), 3)))
    assert np.array_equal(*ends)

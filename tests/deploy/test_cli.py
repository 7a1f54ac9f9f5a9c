"""The command line as a user meets it: results, ``--json`` alone on standard output, one-line errors, exit codes."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from command import call
from deploy.cli import main
from esvae.config import load_config
from export.netx import read_netx
from small_config import write_small_config
from warm import ONE_THREAD, Warm

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small config, a short run of it and its exported network."""
    folder = tmp_path_factory.mktemp("cli")
    content = load_config("digits").model_dump()
    content["model"].update(latent=8, time_steps=4, encoder_channels=[4, 8], prior={"kind": "mixture", "components": 3})
    content["model"]["decoder"].update(base_size=4, channels=[6, 6])
    (folder / "small.yaml").write_text(yaml.safe_dump(content))
    for arguments in (
        ["train", str(folder / "small.yaml"), "--out", str(folder / "run"), "--max-steps", "8"],
        ["export", str(folder / "run"), "-o", str(folder / "d.net")],
    ):
        with pytest.raises(SystemExit) as done:
            main(arguments)
        assert done.value.code == 0
    return folder


def test_export_reports_each_layer(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(
        capsys, "export", work / "run", "-o", tmp_path / "x.net", "--weight-bits", 4, "--calibration", "max", "--json"
    )
    result: dict[str, Any] = json.loads(out)
    assert code == 0
    assert [layer["bits"] for layer in result["quantization"]] == [4, 4, 4]
    assert all(layer["clipped"] == 0 for layer in result["quantization"])
    network = read_netx(tmp_path / "x.net")
    assert result["content_hash"] == network.content_hash()
    assert all((layer.weight % 32 == 0).all() for layer, _, _ in network.synapses())
    assert yaml.safe_load(network.provenance["config"])["name"] == "digits"


def test_exporting_twice_gives_the_same_bytes(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.net", "b.net"):
        assert call(capsys, "export", work / "run", "-o", tmp_path / name)[0] == 0
    assert (tmp_path / "a.net").read_bytes() == (tmp_path / "b.net").read_bytes()


def test_unrolled_and_plain_exports_draw_the_same_pictures(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(capsys, "export", work / "run", "-o", tmp_path / "dense.net", "--lowering", "dense")[0] == 0
    for name, net in (("a", work / "d.net"), ("b", tmp_path / "dense.net")):
        assert call(capsys, "simulate", net, "-n", 9, "-o", tmp_path / f"{name}.png")[0] == 0
    first, second = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in "ab")
    assert first.ndim == 3
    assert first.std() > 1
    assert np.array_equal(first, second)


@pytest.mark.parametrize("backend", ["twin", "reference"])
def test_simulate_writes_what_it_is_asked_for(
    backend: str, work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"-o": tmp_path / "i.png", "--trace": tmp_path / "t.npz", "--save-latents": tmp_path / "z.npy"}
    options = [part for pair in files.items() for part in pair]
    code, out, _ = call(capsys, "simulate", work / "d.net", "-n", 3, "--backend", backend, "--json", *options)
    assert code == 0
    assert json.loads(out)["images"] == 3
    with np.load(tmp_path / "t.npz") as file:
        trace = dict(file)
    shapes = {1: (3, 4, 6, 4, 4), 2: (3, 4, 6, 4, 4), 3: (3, 4, 16, 4, 4)}
    assert {name: trace[name].shape for name in trace} == {f"layer{k}.{x}": s for k, s in shapes.items() for x in "uvs"}
    assert np.load(tmp_path / "z.npy").shape == (3, 4, 8)
    again = tmp_path / "again.npz"
    assert call(capsys, "simulate", work / "d.net", "--latents", tmp_path / "z.npy", "--trace", again)[0] == 0
    with np.load(again) as file:
        assert all(np.array_equal(trace[name], file[name]) for name in trace)


def test_any_image_can_be_drawn_alone(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for count in (2, 5):
        call(capsys, "simulate", work / "d.net", "-n", count, "--seed", 7, "--save-latents", tmp_path / f"{count}.npy")
    assert np.array_equal(np.load(tmp_path / "2.npy"), np.load(tmp_path / "5.npy")[:2])


def test_verify_against_the_reference(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "verify", work / "d.net", "-n", 2, "--against", "reference", "--json")
    assert code == 0
    assert json.loads(out)["equal"] is True


def test_verify_names_what_differs(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reference whose threshold is not strict must be caught, with layer, step, neuron and both values."""
    from sim import reference

    exact = reference.lif_step

    def loose(u: Any, v: Any, a: Any, bias: Any, neuron: Any) -> Any:
        u, v, s = exact(u, v, a, bias, neuron)
        return u, v + (v != 0), s

    monkeypatch.setattr(reference, "lif_step", loose)
    code, out, _ = call(capsys, "verify", work / "d.net", "-n", 1, "--against", "reference")
    assert code == 1
    assert "twin ≠ reference: first at v of layer 1 (conv), image 0, step 0, neuron (" in out
    assert "step 0, neuron (" in out


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["simulate", "none.net"], 1, "none.net: no such file"),
        (["export", "none", "-o", "x.net"], 1, "none: no such run directory"),
        (["export", "{work}/run", "-o", "x.net", "--weight-bits", "9"], 1, "--weight-bits 9: expected 2 to 8"),
        (["export", "{work}/run", "-o", "x.net", "--read-steps", "4"], 1, "--read-steps needs --readout spikes"),
        (["simulate", "{work}/d.net", "--reset-offset", "1"], 1, "--reset-offset goes with --reset-interval"),
        (["simulate", "{work}/d.net", "--stall-timeout", "9"], 1, "--stall-timeout are Lava's; add --backend lava"),
        (["verify", "{work}/d.net", "--against", "onnx", "--loader", "native"], 1, "Lava's; add --against lava"),
        (["verify", "{work}/d.net", "--layers", "9"], 1, "d.net: 9 layers wanted, expected 1 to 4"),
        (["plan", "{work}/d.net", "-n", "x"], 2, "Invalid value for '-n' / '--images': 'x' is no whole number"),
        (["simulate", "{work}/d.net", "--steps", "0"], 2, "for '--steps': 0, expected at least 1. See: "),
        (["simulate", "{work}/d.net", "more"], 2, "Unexpected argument: more. See: "),
        (["export", "{work}/run", "-o", "/proc/x.net"], 1, "cannot write /proc/x.net"),
        (["export", "{work}/run", "-o", "x.net", "--lowering", "magic"], 1, "--lowering magic: expected auto"),
        (["simulate", "{work}/d.net", "--backend", "loihi9"], 1, "--backend loihi9: expected twin, reference, lava"),
        (["simulate", "{work}/d.net", "--latents", "{work}/small.yaml"], 1, "cannot be read as .npy"),
        (["simulate", "{work}/d.net", "-n", "0"], 1, "0 images: expected at least 1"),
        (["verify", "{work}/d.net", "--against", "gpu"], 1, "--against gpu: expected some of reference, lava"),
        (["train", "nonsense", "--out", "x"], 1, "nonsense: no such file or shipped config"),
        (["simulate"], 2, "Missing argument"),
        (["nonsense"], 2, "No such command 'nonsense'"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], code: int, text: str, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [a.format(work=work) for a in arguments]
    got, out, err = call(capsys, *filled)
    last = err.strip().splitlines()[-1]
    assert (got, out) == (code, "")
    assert last.startswith("error: ")
    assert text in last
    assert "Traceback" not in err
    if code == 1:
        got, out, _ = call(capsys, *filled, "--json")
        assert got == 1
        assert text in json.loads(out)["error"]


def test_help_has_an_example_for_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    from deploy.app import PANELS

    for verb in (name.replace("_", "-") for names in PANELS.values() for name in names):
        code, out, _ = call(capsys, verb, "--help")
        assert code == 0
        assert f"Example: esvae {verb}" in out


def test_interrupting_the_training_leaves_with_130(ready: Warm, tmp_path: Path) -> None:
    endless = write_small_config(tmp_path, epochs=100_000)
    words = ["train", str(endless), "--out", str(tmp_path / "run")]
    with (tmp_path / "errors").open("wb") as errors:
        end = errors.fileno()
        child = ready.start(words, folder=ROOT, environment={**os.environ, **ONE_THREAD}, out=end, errors=end)
    while not (tmp_path / "run" / "weights.safetensors").exists():
        assert child.runs, (tmp_path / "errors").read_text("utf-8")
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGINT)
    code, said = child.wait(), (tmp_path / "errors").read_text("utf-8")
    assert code == 130, said
    assert "Traceback" not in said
    assert not list((tmp_path / "run").glob(".*"))


def test_output_without_a_terminal_has_no_control_characters(ready: Warm, work: Path) -> None:
    words = ["verify", str(work / "d.net"), "-n", "1", "--against", "reference"]
    done = ready.run(words, folder=ROOT, environment={**os.environ, **ONE_THREAD})
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert done.stdout.startswith("twin = reference: all ")

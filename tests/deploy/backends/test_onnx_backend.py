"""ONNX Runtime as a backend: verify, simulate, export, and what they say where it cannot be used."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from command import call
from deploy.backends import BackendJob, run_backend
from deploy.backends.onnx import OnnxRuntime
from deploy.entering import at_hand
from deploy.verify import verify
from depth import examples
from esvae.errors import ConfigError
from export.ir import Conv, ConvTranspose, Dense, ImageReadout, Lif, Network, Prior
from export.netx.write import write_netx
from sim.stimulus import Timing, as_stimulus
from sim.trace import first_difference, named_traces
from sim.twin.engine import Engine
from strategies import foreign_networks, stimuli_for

pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
PAGE = Path(__file__).resolve().parents[3] / "docs" / "onnx.md"


def generator(seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)
    layers = (
        Conv(rng.integers(-60, 60, (6, 4, 4, 4)) * 2, rng.integers(-50, 50, 6), Lif(4096, 3072, 100), padding=(3, 3)),
        Conv(rng.integers(-60, 60, (4, 6, 3, 3)) * 2, None, Lif(4096, 819, 131_071), padding=(1, 1)),
    )
    prior = Prior(rng.normal(size=(1, 4, 3)).astype(np.float32), np.zeros((1, 4), np.float32), np.ones(1, np.float32))
    return Network((4, 1, 1), layers, 6, prior, ImageReadout(9000.0, (1, 8, 8), 2))


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return write_netx(generator(), tmp_path / "small.net")


def test_verify_covers_it(net: Path) -> None:
    verdict = verify(net, 3, against=["reference", "onnx"])
    assert verdict.equal
    assert set(verdict.differences) == {"reference", "onnx"}
    assert verdict.about["onnx"]["onnxruntime"] == runtime.__version__
    assert verdict.about["reference"] == {}


def test_verify_says_where_they_part(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With decays that lose a bit less, the graph is another network's: verify must see it."""
    import export.onnx.lif

    plain = export.onnx.lif._decayed
    monkeypatch.setattr(export.onnx.lif, "_decayed", lambda b, x, decay, *rest: plain(b, x, decay - 1, *rest))
    verdict = verify(net, 2, against=["onnx"])
    assert not verdict.equal
    found = verdict.differences["onnx"]
    assert found is not None
    assert re.fullmatch(r"layer\d\.[uvs]", found.quantity)


def test_the_command_line_prints_the_version(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, told, _ = call(capsys, "verify", str(net), "-n", "2", "--against", "reference,onnx")
    assert status == 0
    line = rf"twin = onnx: all [\d,]+ integers equal .* with onnxruntime {re.escape(runtime.__version__)}"
    assert re.search(line, " ".join(told.split()))  # a line is wrapped where the terminal ends
    status, told, _ = call(capsys, "verify", str(net), "-n", "2", "--against", "onnx", "--json")
    assert status == 0
    assert json.loads(told)["about"]["onnx"]["onnxruntime"] == runtime.__version__


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_simulate_gives_the_twins_pictures_and_traces(
    net: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for backend in ("twin", "onnx"):
        target = tmp_path / backend
        status, told, _ = call(
            capsys,
            "simulate",
            str(net),
            "-n",
            "5",
            "--backend",
            backend,
            "-o",
            f"{target}.png",
            "--trace",
            f"{target}{suffix}",
            "--json",
        )
        assert status == 0, told
        assert json.loads(told)["backend"] == backend
    assert (tmp_path / "twin.png").read_bytes() == (tmp_path / "onnx.png").read_bytes()
    traces = [_traces(tmp_path / f"{backend}{suffix}") for backend in ("twin", "onnx")]
    assert first_difference(*traces) is None
    assert all(traces[0][name].dtype == traces[1][name].dtype for name in traces[0])


def _traces(path: Path) -> dict[str, np.ndarray]:
    if path.suffix == ".npz":
        with np.load(path) as file:
            return {name: file[name] for name in file.files}
    with h5py.File(path) as file:
        return {name: file[name][()] for name in file}


@settings(max_examples=examples(25))
@given(st.data())
def test_any_file_and_stimulus_has_the_twins_integers_or_is_refused(data: st.DataObject) -> None:
    network = data.draw(foreign_networks(transposed=True, loadable=False))
    stimulus = as_stimulus(network, data.draw(stimuli_for(network)))
    job = BackendJob(Path("not read"), at_hand(network, stimulus), trace=True)
    if stimulus.timing != Timing():
        with pytest.raises(ConfigError, match="--backend onnx runs each image from rest"):
            run_backend("onnx", job)
        return
    run = run_backend("onnx", job)
    expected = named_traces(Engine(network).traces(stimulus), network)
    assert run.traces is not None
    assert first_difference(expected, run.traces) is None
    assert np.array_equal(run.potentials, Engine(network).final_potentials(stimulus))


def test_neither_chunks_nor_memory_change_a_result() -> None:
    network = generator()
    spikes = (np.random.default_rng(0).random((9, 6, 4, 1, 1)) < 0.5).astype(np.uint8)
    job, done = BackendJob(Path("not read"), at_hand(network, spikes)), []
    expected = OnnxRuntime().run(job).potentials
    assert np.array_equal(expected, Engine(network).final_potentials(spikes))
    for memory in (1, 40_000, 100_000):
        shares: list[float] = []
        told = replace(job, progress=lambda share, text, s=shares: s.append(share))
        found = OnnxRuntime(memory).run(told).potentials
        assert np.array_equal(found, expected)
        assert shares[-1] == 1
        done.append(len(shares))
    assert done[0] == 9
    assert 1 < done[1] < 9


def test_a_run_may_last_longer_than_the_window() -> None:
    network = generator()
    spikes = (np.random.default_rng(0).random((2, 11, 4, 1, 1)) < 0.5).astype(np.uint8)
    found = run_backend("onnx", BackendJob(Path("not read"), at_hand(network, spikes))).potentials
    assert np.array_equal(found, Engine(network).final_potentials(spikes))


@pytest.mark.parametrize("option", [["--reset-interval", "3"], ["--stagger"]])
def test_timing_that_it_does_not_model_is_refused(
    net: Path, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, told = call(capsys, "simulate", net, "-n", 1, "--backend", "onnx", *option)
    assert status == 1
    assert "runs each image from rest" in " ".join(told.split())


@pytest.mark.parametrize("package", ["onnxruntime", "onnx"])
def test_a_missing_package_names_the_line_to_run(net: Path, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=r"not installed.*pip install 'esvae-loihi\[onnx\]'"):
        verify(net, 1, against=["onnx"])


def test_transposed_and_dense_layers_of_native_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    layers = (
        ConvTranspose(rng.integers(-127, 127, (3, 8, 2, 2)) * 2, rng.integers(-9, 9, 8), Lif(4096, 3072, 60)),
        ConvTranspose(rng.integers(-127, 127, (8, 5, 3, 3)), None, Lif(4096, 3072, 90), (2, 2), (1, 1), (1, 1), (1, 1)),
    )
    path = write_netx(Network((3, 1, 1), layers, 7), tmp_path / "native.net", stock=False)
    assert verify(path, 4, against=["onnx"]).equal
    flat = write_netx(Network((4,), (Dense(np.array([[2, 4, 6, -8]]), None, Lif(9, 9, 9)),), 7), tmp_path / "flat.net")
    assert verify(flat, 4, against=["onnx"]).equal


def test_export_writes_both_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, target = tmp_path / "f.net", tmp_path / "decoder.onnx"
    status, told, _ = call(
        capsys, "export", "pretrained:fashion_mnist_fast", "-o", str(out), "--onnx", str(target), "--json"
    )
    assert status == 0, told
    said = json.loads(told)
    assert said["onnx"]["integer"] == str(target)
    assert said["onnx"]["float"] == str(tmp_path / "decoder.float.onnx")
    assert said["onnx"]["content_hash"] == said["content_hash"]  # nothing was lowered
    latents = tmp_path / "latents.npy"
    status, told, _ = call(capsys, "simulate", str(out), "-n", "3", "--save-latents", str(latents), "--json")
    assert status == 0, told

    example = re.search(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    assert example is not None
    names: dict[str, Any] = {}
    code = example[1].replace('"decoder.onnx"', repr(str(target))).replace('"latents.npy"', repr(str(latents)))
    exec(compile(code, str(PAGE), "exec"), names)  # the page's own example
    from export.netx import read_netx

    network = read_netx(out)
    expected = Engine(network).final_potentials(np.load(latents).reshape(3, -1, *network.input_shape))
    assert np.array_equal(names["potentials"], expected)

    session = runtime.InferenceSession(str(tmp_path / "decoder.float.onnx"), providers=["CPUExecutionProvider"])
    (drawn,) = session.run(["image"], {"spikes": names["spikes"]})
    assert drawn.shape == names["image"].shape
    assert np.corrcoef(drawn.ravel(), names["image"].ravel())[0, 1] > 0.95


def test_export_refuses_a_name_before_it_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ["-o", tmp_path / "f.net", "--onnx", tmp_path / "f.bin"]
    status, _, told = call(capsys, "export", "pretrained:fashion_mnist_fast", *files)
    assert status == 1
    assert "expected a name that ends in .onnx" in " ".join(told.split())
    assert not list(tmp_path.iterdir())

"""The library as a notebook uses it: one object with the commands' work as methods, results that show themselves."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

import esvae
from deploy.notebook import SHOWN, html_of
from deploy.opening import CACHE
from deploy.traces import Traces
from deploy.verify import verify
from esvae.errors import ConfigError, DataError, EsvaeError
from every_command import write_inputs
from export.ir import FloatNetwork, Network
from export.netx import read_netx
from sim.reference import simulate as reference

ROOT = Path(__file__).resolve().parents[2]
matplotlib.use("Agg")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_inputs(tmp_path_factory.mktemp("loaded"))


@pytest.fixture(scope="module")
def loaded(inputs: dict[str, Path]) -> esvae.LoadedNetwork:
    return esvae.load(inputs["NET"])


@pytest.fixture(scope="module")
def traces(loaded: esvae.LoadedNetwork) -> Traces:
    return loaded.trace(3, 1)


def test_traces_are_those_of_the_reference(loaded: esvae.LoadedNetwork, traces: Traces) -> None:
    spikes = np.random.default_rng(0).integers(0, 2, (2, 5, *loaded.network.input_shape), np.uint8)
    found = loaded.trace(2, spikes=spikes)
    for k, expected in enumerate(reference(loaded.network, spikes), start=1):
        for name in ("u", "v", "s"):
            np.testing.assert_array_equal(getattr(found.layer(k), name), getattr(expected, name))
    assert repr(traces) == "Traces(2 layers, images=3, steps=2, latent spikes drawn from the prior, seed 1)"
    np.testing.assert_array_equal(traces.layer("layer 1 (conv)").s, traces.layer(-2).s)


def test_traces_refuse_what_there_is_not(traces: Traces) -> None:
    with pytest.raises(DataError, match=r"layer 0: there is none; there are layer 1 \(conv\), layer 2 \(conv\)"):
        traces.layer(0)
    with pytest.raises(DataError, match="image 3: there are 3, from 0 on"):
        traces.plot_raster(1, 3)
    with pytest.raises(DataError, match=r"neuron 64: .* has 64, from 0 on"):
        traces.plot_membrane(1, neurons=[64])


def test_plots_draw_what_is_in_the_arrays(traces: Traces) -> None:
    axis = Figure().subplots()
    assert traces.plot_raster(1, 1, ax=axis) is axis
    steps, neurons = np.nonzero(traces.layer(1).s[1].reshape(2, -1))
    drawn = np.asarray(axis.collections[0].get_offsets())
    np.testing.assert_array_equal(drawn, np.stack([steps + 1, neurons], 1))
    axis = traces.plot_membrane(2, 2, neurons=[0, 5], ax=Figure().subplots())
    potentials = traces.layer(2).v[2].reshape(2, -1)
    np.testing.assert_array_equal(axis.lines[1].get_ydata(), potentials[:, 5])
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["neuron 0", "neuron 5"]


def test_labelled_arrays(traces: Traces) -> None:
    xarray = pytest.importorskip("xarray")
    array = traces.labelled(1, "v")
    assert isinstance(array, xarray.DataArray)
    assert array.dims == ("image", "step", "channel", "y", "x")
    np.testing.assert_array_equal(array.sel(step=1).values, traces.layer(1).v[:, 0])
    assert array.attrs == {"layer": "layer 1 (conv)", "long_name": "membrane potential"}
    assert array.name == "v"
    np.testing.assert_array_equal(traces.labelled(-1).mean("image").values, traces.layer(-1).s.mean(0))
    flat = replace(traces, arrays={name: x.reshape(*x.shape[:2], -1) for name, x in traces.arrays.items()})
    assert flat.labelled("layer 1 (conv)", "u").dims == ("image", "step", "feature")


def test_labelled_arrays_without_xarray(traces: Traces, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(EsvaeError, match=r"pip install 'esvae-loihi\[xarray\]'"):
        traces.labelled(1)


def test_methods_do_what_commands_do(loaded: esvae.LoadedNetwork, inputs: dict[str, Path]) -> None:
    assert (
        loaded.verify(2, 3, against=["reference"]).differences
        == verify(inputs["NET"], 2, seed=3, against=["reference"]).differences
    )
    assert loaded.energy(2, 1).counts.totals == esvae.energy(inputs["NET"], 2, 1).counts.totals
    assert loaded.fit().mapping.fits
    assert {finding.severity for finding in loaded.check()} == {"note"}
    assert loaded.inspect().content_hash == loaded.network.content_hash()
    assert esvae.simulate(inputs["NET"], 1, 5).layer(1).s.shape == (1, 2, 4, 4, 4)


def test_a_run_knows_itself(inputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path))
    only_layers: dict[str, Any] = {"metrics": (), "parts": frozenset({"layers"})}
    own = esvae.load(inputs["RUN"]).compare(2, **only_layers)
    given = esvae.load(inputs["NET"]).compare(2, run=inputs["RUN"], **only_layers)
    assert own.quality == given.quality
    with pytest.raises(DataError, match="say which run it was made of, run=DIRECTORY"):
        esvae.load(inputs["NET"]).compare(2)


def test_export_takes_what_a_frontend_gives(inputs: dict[str, Path], tmp_path: Path) -> None:
    done = esvae.export(inputs["RUN"], tmp_path / "run.net", weight_bits=8)
    assert read_netx(done.path).content_hash() == read_netx(inputs["NET"]).content_hash()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net: net.trace(5.0), "^n 5.0: expected a whole number, got float$"),
        (lambda net: net.generate(seed="a"), "^seed 'a': expected a whole number, got str$"),
        (lambda net: net.trace(1, rate=3.0), "^rate 3.0: expected 0 to 1$"),
        (lambda net: net.trace(1, backend="other"), "^backend other: expected twin"),
        (lambda net: net.fit("loihi9"), "^chip loihi9: expected"),
        (lambda net: net.energy(1, steps=5), "^steps 5: the network's window is 2"),
    ],
)
def test_errors_are_in_the_words_of_the_caller(call: Any, message: str, loaded: esvae.LoadedNetwork) -> None:
    with pytest.raises((ConfigError, DataError), match=message):
        call(loaded)


def test_numpys_integers_are_whole_numbers(loaded: esvae.LoadedNetwork, traces: Traces) -> None:
    found = loaded.trace(np.int64(3), np.uint8(1))  # type: ignore[arg-type]
    np.testing.assert_array_equal(found.layer(1).s, traces.layer(1).s)


def test_results_show_themselves(loaded: esvae.LoadedNetwork, inputs: dict[str, Path]) -> None:
    results = [
        loaded.plan(2),
        loaded.verify(1, against=["reference"]),
        loaded.energy(1),
        loaded.fit(),
        loaded.inspect(),
        loaded.network,
        loaded.compare(2, run=inputs["RUN"], metrics=(), parts=frozenset()),
    ]
    assert {type(result) for result in results} == set(SHOWN)
    for result in results:
        text = html_of(result)
        assert text.startswith("<table>")
        assert text.count("<tr>") == text.count("</tr>") > 1
    assert "&lt;" not in loaded._repr_html_() or "<table>" in loaded._repr_html_()


def test_reprs_are_short(loaded: esvae.LoadedNetwork) -> None:
    assert repr(loaded.network) == "Network(8x1x1 -> 4x4x4 -> 4x4x4, 2 steps)"
    assert len(repr(loaded)) < 300
    assert repr(loaded.plan(3)) == "Plan(3 images of 2 steps: 8 time steps, latency 2)"
    assert repr(loaded.fit()) == "Fit(fits Loihi 2: 2 of 120 cores)"
    verdict = loaded.verify(2, against="reference")
    assert repr(verdict) == "Verdict(reference equal; 1,664 integers of 2 images)"
    assert re.fullmatch(r"Inspection\('.*net': [\d,]+ bytes, 2 layers with neurons\)", repr(loaded.inspect()))
    assert re.fullmatch(
        r"Cost\(\d+ synaptic operations an image, mean of 1; cmos45 \d+ pJ\)", repr(loaded.energy(1, profiles="cmos45"))
    )
    assert repr(loaded.trace(1).layer(1)) == "Trace(u, v, s: images=1, steps=2, 4x4x4)"
    assert isinstance(loaded.network, Network)


def test_a_float_networks_repr_is_short(inputs: dict[str, Path]) -> None:
    from export.frontends import load_source

    found = load_source(inputs["RUN"])
    assert isinstance(found, FloatNetwork)
    assert repr(found) == "FloatNetwork(8x1x1 -> 4x4x4 -> 4x4x4, 2 steps)"


USER = """
from pathlib import Path
import esvae

network: esvae.LoadedNetwork = esvae.load(Path("decoder.net"))
shown: int = len(network.generate(n=4, seed=1))
total: int = network.plan(2).total
equal: bool = esvae.verify("decoder.net", 2, seed=1).equal
fits: bool = network.fit().mapping.fits
joules: list[float] = [one.energy.value for one in esvae.energy("decoder.net", 4).estimates]
file: Path = esvae.export("runs/digits", "made.net", weight_bits=4).path
spikes: int = int(network.trace(1).layer(1).s.sum())
"""
#: What is none of the script's types is not looked into: torch alone takes most of the time.
MYPY = """
[mypy]
strict = true
follow_imports = silent
[mypy-torch.*,lightning.*,scipy.*,matplotlib.*,sklearn.*,h5py.*,numba.*,PIL.*,rich.*,typer.*,onnx.*,jinja2.*]
follow_imports = skip
"""


@pytest.mark.slow
def test_a_users_script_is_typed(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "script.py").write_text(USER)
    (tmp_path / "mypy.ini").write_text(MYPY)
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "script.py"]
    done = subprocess.run(
        [*command, "--cache-dir", str(tmp_path / "cache")],
        cwd=tmp_path,
        env={"MYPYPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout

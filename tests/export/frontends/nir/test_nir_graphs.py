"""NIR files and graphs: what is read and how, what is refused and in which words, damaged files, and the commands."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from command import call
from depth import examples
from esvae.errors import EsvaeError, NetFileError, UnsupportedLayerError
from export.float_simulate import simulate_float
from export.frontends import load_source
from export.frontends.nir import NirMeaning, from_nir, is_nir, read_nir
from export.frontends.source import is_netx
from export.ir import Conv, Dense, Flatten, FloatLif, ImageReadout, RecurrentDense
from export.ir.floats import FloatLayer, FloatNetwork
from export.netx import read_netx
from export.nir.read import NirGraph, NirNode, read_graph
from export.nir.write import write_nir
from nir_graphs import chained, node

FILES = Path(__file__).parent / "files"
SOUND = FILES / "snntorch_leaky_zero.nir"


def weight(name: str, count: int = 2) -> NirNode:
    return node(name, "Linear", weight=np.arange(count * count).reshape(count, count) + 1.0)


LIF = {"tau": [1.0], "r": [4.0], "v_leak": [0.0], "v_threshold": [1.0]}
W, V, NEURONS, OTHERS = weight("w"), weight("v"), node("lif", "LIF", **LIF), node("other", "LIF", **LIF)


def graph(path: str, *nodes: NirNode) -> NirGraph:
    """Nodes, and edges as in ``w>lif>output lif>v``; the first comes behind the input."""
    ends = chained(edges=f"input>{path}", more=nodes)
    return NirGraph(ends.nodes, tuple(edge for edge in ends.edges if edge != ("input", "output")))


def test_a_graph_within_the_graph_is_its_nodes() -> None:
    edges = (("input", "lif"), ("lif", "v"), ("v", "lif"), ("lif", "output"))
    inner = NirGraph({n.name: n for n in (node("input", "Input"), NEURONS, V, node("output", "Output"))}, edges)
    nested = NirGraph({**graph("w", W).nodes, "r": inner}, (("input", "w"), ("w", "r"), ("r", "output")))
    one, other = (
        from_nir(each).synapses[0].synapse for each in (nested, graph("w>lif>output lif>v>lif", W, V, NEURONS))
    )
    assert isinstance(one, RecurrentDense)
    assert isinstance(other, RecurrentDense)
    assert (one.recurrent == other.recurrent).all()
    assert (one.recurrent == V.array("weight")).all()


def test_an_edge_from_neurons_to_themselves_is_a_synapse_of_one() -> None:
    layer = from_nir(graph("w>lif>output lif>lif", W, NEURONS)).synapses[0].synapse
    assert isinstance(layer, RecurrentDense)
    assert (layer.recurrent == np.eye(2)).all()


LI = node("li", "LI", tau=[1.0], r=[4.0], v_leak=[0.0])
AFFINE = node("w", "Affine", weight=np.eye(2), bias=[1.0, 1.0])


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (
            graph("w>lif>output input>v>lif", W, V, NEURONS),
            "node 'input' leads to 'v', 'w'; branches are not supported",
        ),
        (
            graph("w>lif>v>other>output other>x>lif", W, V, NEURONS, OTHERS, weight("x")),
            "node 'other' leads to 'output', 'x'; branches",
        ),
        (graph("w>lif>output v>lif", W, V, NEURONS), "'v': beside the path"),
        (graph("w>v>lif>output", W, V, NEURONS), r"node 'v' \(Linear\): follows node 'w' \(Linear\) with no neurons"),
        (
            graph("w>lif>output", W, node("lif", "Izhikevich")),
            r"node 'lif' \(Izhikevich\): not supported; supported are Input, Output, Linear",
        ),
        (
            graph("w>li>v>lif>output", W, LI, V, NEURONS),
            r"node 'v' \(Linear\): follows node 'li' \(LI\), whose potentials are no spikes",
        ),
        (
            graph("w>d>lif>output", W, node("d", "Delay", delay=[0.3]), NEURONS),
            r"node 'd' \(Delay\): delays of 1.2 to 1.2 steps, expected whole ones",
        ),
        (
            graph("w>d>lif>output", AFFINE, node("d", "Delay", delay=[0.5]), NEURONS),
            r"node 'd' \(Delay\): delays a bias",
        ),
        (
            graph("d>w>lif>output lif>v>lif", W, node("d", "Delay", delay=[0.5, 0.75]), NEURONS, V),
            r"node 'lif' \(LIF\): delays that differ, 2 to 3 steps, at a convolution or a recurrent layer",
        ),
    ],
)
def test_what_no_file_for_the_chip_holds_is_refused(found: NirGraph, text: str) -> None:
    with pytest.raises(UnsupportedLayerError, match=text):
        from_nir(found)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (graph("w", W), "node 'w' leads nowhere; expected a path to the output"),
        (graph("x", W), "graph: an edge names 'x', which is no node"),
        (graph("w>lif>output", weight("w", 3), NEURONS), r"node 'w' \(Linear\): takes 3 inputs, got \(2,\)"),
        (
            graph("w>lif>output", W, node("lif", "LIF", **(LIF | {"r": [4.0, 4.0, 3.0]}))),
            r"node 'lif' \(LIF\): r and thresholds have shape \(3,\), expected \(2,\)",
        ),
        (graph("w>lif>output", W, node("lif", "LIF", tau=[1.0])), r"node 'lif' \(LIF\): 'r' is missing"),
    ],
)
def test_what_does_not_fit_together_is_said(found: NirGraph, text: str) -> None:
    with pytest.raises(NetFileError, match=text):
        from_nir(found, dt=0.25)


def test_a_line_is_a_map_one_pixel_high() -> None:
    kernel = np.random.default_rng(3).normal(size=(2, 1, 3))
    more = {"bias": [0.5, 0.0], "stride": 2, "padding": "valid", "dilation": 1, "groups": 1}
    network = from_nir(chained(node("c", "Conv1d", weight=kernel, **more), NEURONS, shape=(1, 9)))
    layer = network.synapses[0].synapse
    assert network.input_shape == (1, 1, 9)
    assert isinstance(layer, Conv)
    assert layer.weight.shape == (2, 1, 1, 3)
    assert (layer.stride, layer.padding) == ((1, 2), (0, 0))


def test_synapses_at_the_end_without_neurons_are_their_sums() -> None:
    source = read_nir(graph("w>output", W))
    x = np.array([[[1, 1], [0, 1]]], np.uint8)
    assert (simulate_float(source.network, x)[0].v[0] == x[0] @ W.array("weight").T).all()
    assert any("no neurons behind it" in text for text in source.notes)


def test_nirs_own_objects_are_taken() -> None:
    nir = pytest.importorskip("nir")
    one, other = from_nir(nir.read(SOUND), reset="zero"), from_nir(SOUND, reset="zero")
    for a, b in zip(one.synapses, other.synapses, strict=True):
        assert (a.synapse.weight == b.synapse.weight).all()
        assert a.synapse.neuron == b.synapse.neuron
    with pytest.raises(NetFileError, match=r"int: expected a .nir file or a nir.NIRGraph"):
        from_nir(3)


@pytest.mark.parametrize("readout", ["lif", "li"])
def test_what_this_project_writes_comes_back(readout: Any, tmp_path: Path) -> None:
    pytest.importorskip("nir")
    rng = np.random.default_rng(5)
    kernel, bias = rng.normal(size=(4, 1, 3, 3)), rng.normal(size=4)
    network = FloatNetwork(
        (1, 8, 8),
        (
            FloatLayer(Conv(kernel, bias, FloatLif(0.25, 0.5), stride=(2, 2), padding=(1, 1))),
            Flatten(),
            FloatLayer(Dense(rng.normal(size=(10, 64)), None, FloatLif(0.5, 1.0, 0.75))),
            FloatLayer(Dense(rng.normal(size=(3, 10)), rng.normal(size=3), FloatLif(0.8, np.inf))),
        ),
        12,
    )
    write_nir(network, tmp_path / "a.nir", readout=readout)
    back = read_nir(tmp_path / "a.nir")
    assert back.network.time_steps == 12
    assert (back.step.dt, back.step.reason) == (0.001, "as its metadata says")
    spikes = rng.integers(0, 2, (3, 12, 1, 8, 8)).astype(np.uint8)
    for one, other in zip(simulate_float(network, spikes), simulate_float(back.network, spikes), strict=True):
        assert (one.s.reshape(3, 12, -1) == other.s.reshape(3, 12, -1)).all()
        assert np.allclose(one.v.reshape(3, 12, -1), other.v.reshape(3, 12, -1), atol=1e-5)


def test_a_picture_that_this_project_writes_comes_back(tmp_path: Path) -> None:
    pytest.importorskip("nir")
    rng = np.random.default_rng(6)
    network = FloatNetwork(
        (3, 1, 1),
        (
            FloatLayer(Conv(rng.normal(size=(4, 3, 4, 4)), None, FloatLif(0.25, 0.5), padding=(3, 3))),
            FloatLayer(Conv(rng.normal(size=(4, 4, 3, 3)), None, FloatLif(0.8, np.inf), padding=(1, 1))),
        ),
        6,
        readout=ImageReadout(0.5, (1, 8, 8), 2),
    )
    write_nir(network, tmp_path / "a.nir")
    back = read_nir(tmp_path / "a.nir").network
    assert back.readout == network.readout
    spikes = rng.integers(0, 2, (3, 6, 3, 1, 1)).astype(np.uint8)
    ours, theirs = (simulate_float(each, spikes)[-1].v[:, -1] for each in (network, back))
    np.testing.assert_allclose(theirs.reshape(ours.shape), ours, atol=1e-5)


@pytest.mark.parametrize(
    ("key", "value"),
    [("unit", np.array([0.0])), ("unit", np.array([np.nan])), ("upscale", "two"), ("image_shape", np.array([1, 9, 9]))],
)
def test_a_picture_that_does_not_fit_is_left_out_with_a_warning(key: str, value: Any) -> None:
    held = {"image_shape": np.array([2, 1, 1]), "unit": np.array([0.5]), "upscale": np.array([1])}
    graph = chained(node("w", "Linear", weight=np.eye(2)), node("li", "LI", tau=[2.0], r=[1.0], v_leak=[0.0]))
    graph = replace(graph, metadata={**graph.metadata, **held, key: value})
    source = read_nir(graph, NirMeaning(1.0))
    assert source.network.readout is None
    assert any("the picture is left out" in said for said in source.warnings)


def test_files_are_told_apart_by_what_is_in_them(tmp_path: Path) -> None:
    renamed = tmp_path / "a.net"
    renamed.write_bytes(SOUND.read_bytes())
    assert is_nir(renamed)
    assert not is_netx(renamed)
    assert load_source(renamed).synapses
    with pytest.raises(NetFileError, match=r"a NIR graph, no netx file; make one with: esvae export .*a.net -o a.net"):
        read_netx(renamed)
    assert is_nir(tmp_path / "nothing.nir")
    assert not is_nir(tmp_path)


def link(group: h5py.Group) -> None:
    del group["nodes/0/weight"]
    group["nodes/0/weight"] = h5py.ExternalLink("elsewhere.h5", "x")


def text(group: h5py.Group) -> None:
    del group["nodes/0/weight"]
    group["nodes/0/weight"] = "large"


def not_a_number(group: h5py.Group) -> None:
    group["nodes/0/weight"][0, 0] = np.nan


def huge(group: h5py.Group) -> None:
    del group["nodes/0/weight"]
    group.create_dataset("nodes/0/weight", (1 << 20, 1 << 20), "f4", chunks=(1 << 10, 1 << 10))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (link, "node '0' (Affine): 'weight' is no data set of its own"),
        (text, "node '0' (Affine)/weight: expected numbers"),
        (not_a_number, "node '0' (Affine)/weight: holds values that are not finite"),
        (huge, "elements declared; of a whole file at most"),
        (lambda group: group.pop("nodes"), "'nodes' is missing"),
        (lambda group: group.pop("edges"), "'edges' is missing"),
    ],
)
def test_a_file_is_not_trusted(change: Any, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.nir"
    path.write_bytes(SOUND.read_bytes())
    with h5py.File(path, "r+") as file:
        change(file["node"])
    with pytest.raises(NetFileError) as error:
        read_graph(path)
    assert said in str(error.value)


@settings(max_examples=examples(30))
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_file_is_a_network_or_an_error_in_one_line(changes: list[tuple[float, int]]) -> None:
    content = bytearray(SOUND.read_bytes())
    for place, value in changes:
        content[int(place * len(content))] = value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.nir"
        path.write_bytes(content)
        said = ""
        try:
            assert from_nir(path).synapses
        except EsvaeError as error:
            said = str(error)
        assert "\n" not in said


def test_export_and_check_say_what_was_assumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "export", SOUND, "-o", tmp_path / "a.net")
    assert code == 0
    assert "spikes reset the potential, as the file says" in err
    assert "dt 0.0001: with it r dt / tau and w_in dt / tau_syn are 1" in " ".join(out.split())
    assert read_netx(tmp_path / "a.net").provenance["nir dt"].startswith("0.0001")
    code, out, _ = call(capsys, "check", SOUND, "--json")
    assert code == 0
    assert [entry["severity"] for entry in json.loads(out)["findings"]] == ["warning", "note", "note"]
    code, out, _ = call(capsys, "check", SOUND, "--reset", "zero", "--dt", "1", "--json")
    assert code == 1
    assert "tau is shorter than the time step" in json.loads(out)["findings"][-1]["what"]
    assert call(capsys, "check", SOUND, "--reset", "zero", "--chip", "loihi2")[0] == 0
    _, out, _ = call(capsys, "check", SOUND, "--reset", "subtract", "--json")
    assert "snnTorch takes the threshold a step later" in json.loads(out)["findings"][0]["what"]


def test_what_the_file_does_not_say_is_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = FILES / "snntorch_leaky_subtract.nir"
    given = ("--reset", "subtract", "--written-by", "snntorch", "--time-steps", 40)
    code, out, err = call(capsys, "export", file, "-o", tmp_path / "a.net", *given, "--json")
    assert (code, err) == (0, "")
    assert any("one that always fires" in text for text in json.loads(out)["notes"])
    network = read_netx(tmp_path / "a.net")
    assert network.time_steps == 40
    assert [layer.kind for layer in network.layers] == ["dense", "dense_rec", "dense_rec"]


@pytest.mark.parametrize("verb", ["simulate", "verify", "plan", "energy", "generate"])
def test_other_commands_say_in_a_line_what_to_do(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--out", tmp_path / "images"] if verb == "generate" else []
    code, _, err = call(capsys, verb, SOUND, *more)
    assert code == 1
    assert "a NIR graph, no netx file; make one with: esvae export" in err.strip().splitlines()[-1]


def test_options_of_nir_are_for_nir_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capsys, "export", "pretrained:fashion_mnist_fast", "-o", tmp_path / "a.net", "--dt", "1")
    assert code == 1
    assert "--dt, --reset, --written-by and --time-steps are for NIR graphs" in err

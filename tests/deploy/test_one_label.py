"""One number names one layer, and one layer has one number: in every command, trace, ONNX file and message of Lava."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from circuit_networks import circuit_generator

from command import call
from deploy.api import load
from deploy.backends import BACKENDS, BackendJob, BackendRun, run_backend
from deploy.entering import InputOptions, from_power_on, made_up
from deploy.lava.graph import generator_graph, image_graph
from deploy.lava.inside import netx
from deploy.lava.inside.messages import LayerNode
from deploy.lava.jobs import GraphJob, LavaJob, SamplesJob, WindowsJob
from deploy.lava.results import LavaRun
from deploy.lava.run import run_lava_jobs
from deploy.report.data import Wanted, gather
from deploy.verify import verify
from esvae.errors import DataError, HardwareRangeError
from esvae.run import load_run, save_run
from export.circuit.generator import CircuitOptions
from export.circuit.tables import TableOptions
from export.frontends import from_run
from export.ir import Conv, Dense, Flatten, InputNeurons, Lif, Network
from export.ir.circuit import circuit_of, source_network, whole_network
from export.ir.floats import FloatLayer, FloatNetwork
from export.ir.labels import array_name
from export.ir.nodes import FloatLif
from export.netx import read_netx
from export.netx.write import write_netx
from export.pipeline import Lowering, Options, compiled, export_run
from sim import reference
from sim.stimulus import Stimulus
from sim.trace import named_traces
from small_run import firing_run

HIDDEN, LAST = Lif(4096, 3072, 60), Lif(4096, 819, 131071)
STEPS = 4


def flattened(**more: Any) -> Network:
    """A convolution, one that pools, a flatten layer, and a dense layer: groups 1, 2 and 4 of its file."""
    rng = np.random.default_rng(0)
    pool = np.zeros((3, 3, 2, 2), int)
    pool[range(3), range(3)] = 40
    layers = (
        Conv(rng.integers(-60, 90, (3, 2, 2, 2)) * 2, None, HIDDEN, padding=(1, 1)),
        Conv(pool, None, HIDDEN, stride=(2, 2)),
        Flatten(),
        Dense(rng.integers(-60, 90, (5, 12)) * 2, None, LAST),
    )
    return Network((2, 3, 3), layers, STEPS, **more)


LABELS = ("layer 1 (conv)", "layer 2 (conv)", "layer 4 (dense)")
#: By name: a network, and the labels of all of it that has neurons, in order.
NETWORKS: dict[str, tuple[Callable[[], Network], tuple[str, ...]]] = {
    "flatten": (flattened, LABELS),
    "input neurons": (lambda: flattened(input_neurons=InputNeurons(HIDDEN)), ("layer 0 (input)", *LABELS)),
    "one chain": (
        circuit_generator,
        ("layer 1 (dense_rec)", "layer 2 (dense)", "layer 3 (dense)", "layer 4 (dense)"),
    ),
    "two files": (
        lambda: circuit_generator(chained=False),
        ("circuit 1 (dense_rec)", "circuit 2 (dense)", "layer 1 (conv)", "layer 2 (conv)"),
    ),
}
every_network = pytest.mark.parametrize("name", NETWORKS)


@pytest.fixture
def net(name: str, tmp_path: Path) -> Path:
    return write_netx(NETWORKS[name][0](), tmp_path / "a.net")


def layers_in(found: object) -> list[str]:
    """All labels in a JSON document, each once."""
    return sorted(set(re.findall(r"(?:layer|circuit) \d+ \(\w+\)", json.dumps(found))))


@every_network
def test_every_command_tells_the_same_labels(
    name: str, net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, labels = NETWORKS[name]
    pixels = tmp_path / "pixels.npy"
    np.save(pixels, np.full((1, 2, 3, 3), 100))
    given = {"input neurons": ("--image", pixels, "--steps", STEPS), "flatten": ("--rate", 0.5)}.get(name, ())
    told = {}
    for command in (("inspect",), ("plan",), ("fit",), ("energy", "-n", 1, *given)):
        code, out, err = call(capsys, command[0], net, *command[1:], "--json")
        assert code == 0, err
        told[command[0]] = layers_in(json.loads(out))
    expected = {command: sorted(labels) for command in told}
    expected["energy"] = [label for label in sorted(labels) if label != "layer 0 (input)"]  # it has no synapses
    assert told == expected
    with h5py.File(net) as file:
        groups = [file["layer"], *([file["esvae/circuit/layer"]] if name == "two files" else [])]
        held = {f"{'circuit' if group.name.startswith('/esvae') else 'layer'} {k}" for group in groups for k in group}
    assert {label.partition(" (")[0] for label in labels} <= held


@every_network
def test_check_calls_layers_so_too(name: str, net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, labels = NETWORKS[name]
    with h5py.File(net, "r+") as file:
        for group in file["layer"].values():
            if "weight" in group and group["weight"].shape:
                group["extra"] = np.int64(1)
        del file["esvae"]
    found = layers_in(json.loads(call(capsys, "check", net, "--json")[1]))
    assert found == [label for label in labels if not label.startswith("circuit") and "input" not in label]


@every_network
def test_names_in_traces_have_the_number_of_the_label(name: str) -> None:
    network, labels = NETWORKS[name][0](), NETWORKS[name][1]
    whole = whole_network(network)
    assert whole.neuron_labels == labels
    assert whole.array_names == tuple(re.sub(r" (\d+) .*", r"\1", label) for label in labels)
    assert len(set(whole.array_names)) == len(labels)
    assert set(network.array_names) <= set(whole.array_names)


@pytest.mark.parametrize("backend", ["twin", "reference", "onnx"])
@pytest.mark.parametrize("name", ["flatten", "input neurons"])
def test_every_backend_gives_traces_of_these_names(name: str, net: Path, backend: str) -> None:
    if (missing := BACKENDS[backend].missing()) is not None:
        pytest.skip(missing)
    run = run_backend(backend, BackendJob(net, made_up(read_netx(net), InputOptions(1)), trace=True))
    names = [array_name(label) for label in NETWORKS[name][1]]
    assert sorted(run.traces or {}) == sorted(f"{layer}.{state}" for layer in names for state in "uvs")


def told_by_export(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, list[str]]:
    """The labels in each report of ``export --json``, and in each table that it prints, where there are any."""
    code, out, err = call(capsys, "export", *words, "--json")
    assert code == 0, err
    document = json.loads(out)
    told = {name: [one["layer"] for one in document[name]] for name in ("quantization", "ranges", "fidelity")}
    code, out, err = call(capsys, "export", *words)
    assert code == 0, err
    for number, table in enumerate(re.split(r"^layer .*", out, flags=re.MULTILINE)[1:]):
        told[f"table {number}"] = [f"layer {row}" for row in re.findall(r"^(\d+ \(\w+\))", table, re.MULTILINE)]
    return {name: labels for name, labels in told.items() if labels}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose decoder has transposed convolutions."""
    return save_run(tmp_path_factory.mktemp("trained") / "run", firing_run("transposed").model, {"finished": True})


@pytest.mark.parametrize(
    ("options", "kinds", "first"),
    [
        (("--lowering", "native"), ("conv", "convT", "convT", "conv"), 1),
        (("--lowering", "subpixel"), ("conv",) * 4, 1),
        (("--lowering", "dense"), ("dense",) * 4, 1),
        (("--lowering", "dense", "--readout", "spikes"), ("dense",) * 4, 1),
        (("--lowering", "subpixel", "--generator", "chip"), ("conv",) * 4, 1),
        (("--lowering", "dense", "--generator", "chip"), ("dense",) * 4, 3),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else str(value),
)
def test_an_export_tells_the_labels_of_its_file(
    options: tuple[str, ...],
    kinds: tuple[str, ...],
    first: int,
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "a.net"
    labels = [f"layer {number} ({kind})" for number, kind in enumerate(kinds, first)]
    told = told_by_export(capsys, trained, "-o", out, *options)
    assert told == dict.fromkeys(("quantization", "ranges", "fidelity", "table 0", "table 1"), labels)
    assert list(read_netx(out).labels) == labels


@pytest.mark.parametrize("lowering", ["subpixel", "dense"])
def test_a_report_tells_them_too(lowering: Lowering, trained: Path, tmp_path: Path) -> None:
    done = export_run(load_run(trained), tmp_path / "a.net", lowering=lowering)
    found = gather(Wanted(trained, done.path, tmp_path / "made.net", images=2, against=("reference",)))["layers"]
    assert found["quantization_known"]
    for rows in (found["rows"], found["fidelity"]):
        assert [row["layer"] for row in rows] == list(done.network.labels)


@pytest.mark.parametrize("bits", [(), ("--weight-bits", 8)], ids=["kept", "quantized anew"])
def test_an_export_of_a_file_tells_the_labels_of_the_new_one(
    bits: tuple[object, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net, spikes = write_netx(flattened(), tmp_path / "a.net"), tmp_path / "spikes.npy"
    np.save(spikes, np.random.default_rng(0).integers(0, 2, (8, STEPS, 2, 3, 3), np.uint8))
    for lowering, expected in (("none", LABELS), ("dense", tuple(f"layer {k} (dense)" for k in (1, 2, 3)))):
        given = ("--calibration-latents", spikes) if bits else ()
        told = told_by_export(capsys, net, "-o", tmp_path / "b.net", "--lowering", lowering, *bits, *given)
        assert len(told) == (5 if bits else 1)
        assert all(labels == list(expected) for labels in told.values())


def test_an_error_of_a_network_that_is_lowered_tells_the_labels_of_its_file() -> None:
    source = from_run(firing_run("transposed"))
    weight = source.synapses[1].synapse.weight.copy()
    weight.flat[0] = 1e6
    broken = replace(source.synapses[1], synapse=replace(source.synapses[1].synapse, weight=weight))
    network = replace(source, layers=(source.layers[0], broken, *source.layers[2:]))
    circuit = CircuitOptions(0, TableOptions(noise_bits=16))
    for options, label in (
        (Options(lowering="native"), "layer 2 (convT)"),
        (Options(lowering="subpixel"), "layer 2 (conv)"),
        (Options(lowering="subpixel", circuit=circuit), "layer 2 (conv)"),
        (Options(lowering="dense", circuit=circuit), "layer 4 (dense)"),
    ):
        with pytest.raises(HardwareRangeError, match=rf"^check_rates: {re.escape(label)}: is silent"):
            compiled(network, options)


class Stub:
    """The reference with one number changed, in the layer whose arrays are called so, where a job has it."""

    heeds: frozenset[str] = frozenset({"lava"})

    def __init__(self, wrong: str) -> None:
        self.wrong = wrong

    def missing(self) -> str | None:
        return None

    def check(self, job: BackendJob) -> None:
        pass

    def run(self, job: BackendJob) -> BackendRun:
        traces = named_traces(list(reference.simulate(job.network, job.stimulus)), job.network)
        ends = traces[f"{job.network.array_names[-1]}.v"][:, -1].copy()
        if f"{self.wrong}.v" in traces:
            traces[f"{self.wrong}.v"].reshape(-1)[-1] += 1
        return BackendRun(ends, traces)


@every_network
def test_verify_names_the_layer_that_differs(
    name: str, net: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for label in NETWORKS[name][1]:
        monkeypatch.setitem(BACKENDS, "stub", Stub(array_name(label)))
        found = verify(net, 1, against=["stub"]).differences["stub"]
        assert found is not None
        assert (found.layer, found.quantity) == (label, f"{array_name(label)}.v")
        assert call(capsys, "verify", net, "-n", 1, "--against", "stub")[1].startswith(
            f"twin ≠ stub: first at v of {label}, image 0, step "
        )


def test_a_layers_traces_are_found_by_its_label_and_its_number(tmp_path: Path) -> None:
    traces = load(write_netx(flattened(), tmp_path / "a.net")).trace(1, rate=0.5)
    assert traces.labels == LABELS
    for number, label in zip((1, 2, 4), LABELS, strict=True):
        assert traces.layer(number).v is traces.layer(label).v is traces.arrays[f"layer{number}.v"]
    assert traces.layer(-1).v is traces.layer(4).v
    for absent in (0, 3, 5, -4, "layer4"):
        with pytest.raises(DataError, match=r"there is none; there are layer 1 \(conv\), layer 2 \(conv\), layer 4 \("):
            traces.layer(absent)
    driven = flattened(input_neurons=InputNeurons(HIDDEN))
    entered = load(write_netx(driven, tmp_path / "b.net")).trace(1, image=np.full((1, 2, 3, 3), 90))
    assert entered.layer(0).v is entered.layer("layer 0 (input)").v
    traces.save(tmp_path / "t.npz")
    with np.load(tmp_path / "t.npz") as saved:
        assert sorted(saved) == sorted(traces.arrays)


def test_the_names_of_onnx_graphs_have_it_too() -> None:
    pytest.importorskip("onnx")
    from export.onnx.float import float_model
    from export.onnx.integer import integer_model

    rng = np.random.default_rng(0)
    floats = FloatNetwork(
        (2, 3, 3),
        (
            FloatLayer(Conv(rng.normal(size=(3, 2, 2, 2)), None, FloatLif(0.25, 0.2))),
            Flatten(),
            FloatLayer(Dense(rng.normal(size=(4, 12)), None, FloatLif(0.8, 1.0))),
        ),
        STEPS,
    )
    models = {(1, 2, 4): integer_model(flattened(), traces=True), (1, 3): float_model(floats, hidden=True)}
    for numbers, model in models.items():
        outputs = [output.name for output in model.graph.output if output.name.startswith("layer")]
        assert list(dict.fromkeys(map(layer_of, outputs))) == [f"layer{number}" for number in numbers]
        scopes = {node.name.partition("/")[0].partition(".")[0] for node in model.graph.node}
        groups = range(1, numbers[-1] + 1)  # the flatten layer too
        assert {f"layer{number}" for number in groups} == {scope for scope in scopes if scope.startswith("layer")}


def layer_of(array: str) -> str:
    return array.partition(".")[0]


def titles(job: GraphJob) -> dict[str, str]:
    """The titles of the layers in a graph, by their names."""
    return {node.name: node.title for node in job.graph.nodes if isinstance(node, LayerNode)}


def test_a_graph_for_lava_calls_its_nodes_so() -> None:
    spikes, pixels = np.ones((1, STEPS, 2, 3, 3), np.uint8), np.ones((1, 2, 3, 3), np.int32)
    plain = GraphJob(generator_graph(flattened(), spikes))
    assert titles(plain) == dict(zip(("layer1", "layer2", "layer4"), LABELS, strict=True))
    driven = GraphJob(image_graph(flattened(input_neurons=InputNeurons(HIDDEN)), pixels, STEPS))
    assert titles(driven) == {"layer0": "layer 0 (input)"} | titles(plain)


def jobs_of(net: Path, network: Network) -> list[LavaJob]:
    spikes = np.ones((1, STEPS, 2, 3, 3), np.uint8)
    if network.input_neurons is not None:
        return [SamplesJob(net, Stimulus(None, np.full((1, 2, 3, 3), 90), STEPS), trace=True)]
    return [WindowsJob(net, spikes, trace=True), SamplesJob(net, Stimulus(spikes, None, STEPS), 4, trace=True)]


@pytest.mark.parametrize("name", ["flatten", "input neurons"])
def test_inside_lava_a_file_gives_the_same_labels(name: str, net: Path, tmp_path: Path) -> None:
    network, labels = read_netx(net), NETWORKS[name][1]
    for job in jobs_of(net, network):
        work = job.write(tmp_path)
        assert not isinstance(job, GraphJob)
        known = netx.look_at(work, getattr(work, "layers", None))  # type: ignore[arg-type]
        whole = getattr(work, "layers", None) is None
        assert known.labels == (labels if whole else labels[:2])
        assert known.names == tuple(map(array_name, known.labels))


def test_a_circuits_own_file_keeps_its_labels(tmp_path: Path) -> None:
    circuit = circuit_of(circuit_generator(chained=False))
    assert circuit is not None
    network = source_network(circuit, beside=True)
    net = write_netx(network, tmp_path / "source.net")
    job = WindowsJob(net, np.ones((1, STEPS, *network.input_shape), np.uint8), within="circuit")
    assert netx.look_at(job.write(tmp_path)).labels == network.labels == ("circuit 1 (dense_rec)", "circuit 2 (dense)")
    assert from_power_on(circuit_generator(chained=False), 1, decoder=False).network.labels == network.labels


@pytest.mark.lava
def test_lavas_processes_and_traces_are_called_so(tmp_path: Path) -> None:
    jobs: list[LavaJob] = []
    for number, name in enumerate(("flatten", "input neurons")):
        network = NETWORKS[name][0]()
        jobs += jobs_of(write_netx(network, tmp_path / f"{number}.net"), network)
    jobs.append(GraphJob(generator_graph(flattened(), np.ones((1, STEPS, 2, 3, 3), np.uint8)), trace=True))
    expected = [LABELS, LABELS[:2], NETWORKS["input neurons"][1], LABELS]
    for labels, run in zip(expected, run_lava_jobs(jobs), strict=True):
        assert isinstance(run, LavaRun), run
        assert list(dict.fromkeys(map(layer_of, run.trace or {}))) == [array_name(label) for label in labels]

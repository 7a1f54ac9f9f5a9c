"""The ONNX graph of an integer network against the reference: every current, potential and spike, in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import export.ir.network
import export.onnx.integer as writer
from depth import examples
from esvae.chip.formats import BIAS, STATE_LIMIT, THRESHOLD
from esvae.errors import ConfigError, NetFileError
from export.ir import (
    INTEGRATOR,
    NEVER_FIRES,
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    ImageReadout,
    InputNeurons,
    Lif,
    Network,
)
from export.onnx.sums import byte_kernels
from sim import reference
from sim.readout import images_from_potentials
from sim.stimulus import Stimulus
from sim.trace import first_difference, named_traces
from strategies import foreign_networks, networks, spikes_for

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
ReferenceEvaluator = pytest.importorskip("onnx.reference").ReferenceEvaluator


def run(
    network: Network, entering: np.ndarray, *, traces: bool = True, steps: int | None = None
) -> dict[str, np.ndarray]:
    """Outputs of the network's graph by name; ``entering`` is spikes, or the pixels of input neurons."""
    model = writer.integer_model(network, traces=traces, steps=steps)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    name = "spikes" if network.input_neurons is None else "pixels"
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {name: entering}), strict=True))


def assert_equal(network: Network, entering: np.ndarray) -> dict[str, np.ndarray]:
    """Holds the graph, with traces and without, against the reference; gives the reference's traces."""
    given: np.ndarray | Stimulus = entering
    if network.input_neurons is not None:
        given = Stimulus(None, entering, network.time_steps or 1)
    expected = named_traces(list(reference.simulate(network, given)), network)
    got = run(network, entering)
    assert first_difference(expected, got) is None
    last = expected[f"{network.array_names[-1]}.v"][:, -1]
    assert np.array_equal(got["potentials"], last)
    assert np.array_equal(run(network, entering, traces=False)["potentials"], last)
    assert got["potentials"].dtype == np.int32
    assert {x.dtype.name for name, x in got.items() if name.endswith(".s")} == {"uint8"}
    return expected


@settings(max_examples=examples(60))
@given(st.data())
def test_random_networks_have_the_references_integers(data: st.DataObject) -> None:
    network = data.draw(networks(transposed=True))
    assert_equal(network, data.draw(spikes_for(network)))


@settings(max_examples=examples(20))
@given(st.data())
def test_delays_integrators_and_input_neurons_too(data: st.DataObject) -> None:
    network = data.draw(foreign_networks(transposed=True, loadable=False))
    if network.input_neurons is None:
        assert_equal(network, data.draw(spikes_for(network)))
    else:
        rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
        assert_equal(network, rng.integers(BIAS.min, BIAS.max + 1, (2, *network.input_shape)).astype(np.int32))


@settings(max_examples=examples(15))
@given(st.data())
def test_onnxs_own_evaluator_and_a_graph_that_is_not_optimized_agree(data: st.DataObject) -> None:
    """What the operators' definitions say, in numpy; and ONNX Runtime without any rewriting of the graph."""
    network = data.draw(networks(transposed=True))
    spikes = data.draw(spikes_for(network, images=2))
    model = writer.integer_model(network, traces=True)
    expected = named_traces(list(reference.simulate(network, spikes)), network)
    evaluator = ReferenceEvaluator(model)
    plain = dict(zip(evaluator.output_names, evaluator.run(None, {"spikes": spikes}), strict=True))
    assert first_difference(expected, plain) is None
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    got = dict(zip(names, session.run(names, {"spikes": spikes}), strict=True))
    assert first_difference(expected, got) is None


def dense(weight: object, bias: object, neuron: Lif, steps: int) -> Network:
    matrix = np.asarray(weight, np.int32)
    return Network((matrix.shape[1],), (Dense(matrix, np.asarray(bias, np.int32), neuron),), time_steps=steps)


@pytest.mark.parametrize("decay", [0, 1, 7])
def test_currents_wrap_at_24_and_at_32_bit(decay: int) -> None:
    weight = np.stack([np.full(2500, 255), np.full(2500, -256), np.full(2500, 1)])
    network = dense(weight, [BIAS.max, BIAS.min, 0], Lif(decay, 0, THRESHOLD.max), 150)
    seen = assert_equal(network, np.ones((1, 150, 2500), np.uint8))
    assert np.abs(seen["layer1.u"]).max() > 1 << 29
    assert (np.diff(np.sign(seen["layer1.u"][0, :, 0].astype(np.int64))) != 0).any()


def test_the_widest_sums_without_current_memory_wrap() -> None:
    """32,767 weights of 255 sum to 8,355,585, below 2^23; 64 times that is beyond the current's 24 bit."""
    network = dense(np.full((1, 32_767), 255), [1], Lif(4096, 3000, THRESHOLD.max), 3)
    seen = assert_equal(network, np.ones((1, 3, 32_767), np.uint8))
    assert seen["layer1.u"].max() > STATE_LIMIT


@pytest.mark.parametrize("sign", [1, -1])
def test_potentials_saturate(sign: int) -> None:
    weight = np.full((2, 500), 255 * sign)
    seen = assert_equal(dense(weight, [4095, -4096], Lif(4096, 0, NEVER_FIRES), 9), np.ones((1, 9, 500), np.uint8))
    assert (seen["layer1.v"][0, -1] == sign * (STATE_LIMIT - 1)).all()
    assert not seen["layer1.s"].any()


def test_the_bound_up_to_which_neurons_are_32_bit() -> None:
    """One below the bound the current stays below 2^23; the bound itself is ``export.ir.bounds.largest_current``."""
    top = (STATE_LIMIT >> 6) - 1  # 131,071 = 514 * 255 + 1
    network = dense([[255] * 514 + [1], [-255] * 514 + [-1]], [4095, -4096], Lif(4096, 0, THRESHOLD.max), 4)
    seen = assert_equal(network, np.ones((1, 4, 515), np.uint8))
    assert np.abs(seen["layer1.u"]).max() == top << 6


@pytest.mark.parametrize("keep", [1, 2, 3, 255, 256, 257, 1024, 3277, 4095])
def test_decays_round_toward_zero(keep: int) -> None:
    """Both 32 bit products and 64 bit ones, at potentials of both signs up to saturation, then left to decay."""
    weight = np.array([[1], [-1], [255], [-256], [77], [-77]])
    spikes = (np.arange(60) < 20).astype(np.uint8).reshape(1, 60, 1)
    for current in (4096, 4096 - keep):
        assert_equal(dense(weight, [0, 0, 4095, -4096, 3, -3], Lif(current, 4096 - keep, NEVER_FIRES), 60), spikes)


@pytest.mark.parametrize(
    ("low", "high", "step", "kernels"),
    [
        (-256, -1, 1, 2),
        (0, 255, 1, 1),
        (-255, 0, 1, 1),
        (-128, 127, 1, 1),
        (-56, 199, 1, 1),
        (-256, 254, 2, 1),
        (-1, 255, 1, 2),
    ],
)
def test_nine_bit_weights_as_eight_bit_kernels(low: int, high: int, step: int, kernels: int) -> None:
    weight = np.arange(low, high + 1, step)[:, None]
    parts = byte_kernels(weight)
    assert len(parts) == kernels
    assert all(kernel.min() >= 0 and kernel.max() <= 255 and 0 <= zero <= 255 for kernel, zero, _ in parts)
    assert np.array_equal(sum(factor * (kernel - zero) for kernel, zero, factor in parts), weight)
    assert_equal(dense(weight, np.zeros(len(weight)), Lif(4096, 100, NEVER_FIRES), 2), np.ones((1, 2, 1), np.uint8))


def test_thresholds_are_strict_and_odd_weights_of_both_signs_exact() -> None:
    network = dense([[255], [-255], [254]], [0, 0, 0], Lif(4096, 4096, 254), 1)
    seen = assert_equal(network, np.ones((1, 1, 1), np.uint8))
    assert seen["layer1.s"].tolist() == [[[1, 0, 0]]]


def test_transposed_convolution_of_which_padding_leaves_nothing() -> None:
    """One input, padding 1: row 0 is cut away, and output padding adds rows that nothing reaches."""
    layer = ConvTranspose(np.full((1, 1, 1, 1), 9), np.array([5]), Lif(4096, 0, 20), (3, 3), (1, 1), (1, 1), (2, 2))
    seen = assert_equal(Network((1, 1, 1), (layer,), 3), np.ones((1, 3, 1, 1, 1), np.uint8))
    assert not seen["layer1.u"].any()
    wider = ConvTranspose(np.full((1, 1, 1, 1), 9), None, Lif(4096, 0, 20), (3, 3), (1, 0), (1, 1), (2, 0))
    assert_equal(Network((1, 1, 2), (wider,), 3), np.ones((1, 3, 1, 1, 2), np.uint8))


def test_a_sum_beyond_24_bit_wraps(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network holds one, so the bound is lifted; convolutions wrap their sums, dense layers do not."""
    monkeypatch.setattr(export.ir.network, "STATE_LIMIT", 1 << 40)
    weight = np.full((1, 33_000, 1, 2), 255)
    layer = Conv(weight, None, Lif(4096, 0, 131_071))
    expected = reference.synapse_sum(layer, np.ones((1, 33_000, 1, 2), np.uint8))
    assert 2 * 33_000 * 255 > 1 << 23 > abs(int(expected[0, 0, 0, 0]))
    assert_equal(Network((33_000, 1, 2), (layer,), 2), np.ones((1, 2, 33_000, 1, 2), np.uint8))
    assert_equal(dense(np.full((1, 33_000), 255), [0], Lif(4096, 0, 131_071), 2), np.ones((1, 2, 33_000), np.uint8))


def decoder(upscale: int = 2, seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)
    layers = (
        Conv(
            rng.integers(-60, 60, (4, 3, 4, 4)) * 2,
            rng.integers(-50, 50, (4, 4, 4)),
            Lif(4096, 3072, 100),
            padding=(3, 3),
        ),
        Conv(rng.integers(-60, 60, (upscale**2, 4, 3, 3)) * 2, None, Lif(4096, 819, 131_071), padding=(1, 1)),
    )
    readout = ImageReadout(9000.0, (1, 4 * upscale, 4 * upscale), upscale)
    return Network((3, 1, 1), layers, 5, readout=readout, provenance={"name": "small"})


@pytest.mark.parametrize("upscale", [1, 2])
def test_the_image_is_the_readouts(upscale: int) -> None:
    network = decoder(upscale)
    spikes = (np.random.default_rng(1).random((7, 5, 3, 1, 1)) < 0.5).astype(np.uint8)
    got = run(network, spikes, traces=False)
    assert set(got) == {"potentials", "image"}
    expected = images_from_potentials(network, got["potentials"])
    # Two float64 tanh, each within a few 2^-53, then rounded to float32: at most neighbouring numbers of the same size.
    assert np.abs(got["image"] - expected).max() <= 2.0**-24
    assert got["image"].shape == expected.shape


def test_what_the_file_says(tmp_path: Path) -> None:
    network = decoder()
    path = writer.write_onnx(network, tmp_path / "a.onnx", traces=True)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    onnx.checker.check_model(str(path), full_check=True)
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert told["content_hash"] == network.content_hash()
    assert told["provenance"] == '{"name": "small"}'
    assert told["time_steps"] == "5"
    kinds = {node.op_type for node in model.graph.node}
    assert {"ConvInteger", "MatMulInteger", "Scan"} <= kinds
    assert not kinds & {"Conv", "MatMul", "ConvTranspose", "Gemm"}
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in inferred.graph.output
    }
    assert shapes["potentials"] == ["images", 4, 4, 4]
    assert shapes["image"] == ["images", 1, 8, 8]
    assert shapes["layer1.u"] == ["images", 5, 4, 4, 4]


def test_shapes_that_inference_finds_by_itself_are_those_that_the_file_says() -> None:
    network = decoder()
    model = writer.integer_model(network, traces=True)
    said = {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in model.graph.output}
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    for node in model.graph.node:
        assert node.name
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    found = {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in inferred.graph.output}
    assert found == said


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    paths = [writer.write_onnx(decoder(), tmp_path / f"{name}.onnx") for name in "ab"]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    other = writer.write_onnx(decoder(seed=1), tmp_path / "c.onnx")
    assert other.read_bytes() != paths[0].read_bytes()


def test_a_network_without_a_window_needs_steps() -> None:
    network = Network((2,), (Flatten(), Dense(np.array([[3, -5]]), None, INTEGRATOR)))
    with pytest.raises(NetFileError, match="no window; say how many steps"):
        writer.integer_model(network)
    spikes = np.ones((2, 4, 2), np.uint8)
    assert run(network, spikes, steps=4)["potentials"].tolist() == [[-2 * 64 * 4]] * 2


def test_input_neurons_alone() -> None:
    network = Network(
        (1, 2, 2), (Conv(np.full((1, 1, 1, 1), 3), None, Lif(0, 0, 4)),), 6, input_neurons=InputNeurons(Lif(0, 512, 90))
    )
    pixels = np.array([[[[50, -50], [4095, -4096]]]], np.int32)
    seen = assert_equal(network, pixels)
    assert seen["layer1.s"].any()


def test_without_onnx_the_line_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ConfigError, match=r"pip install 'esvae-loihi\[onnx\]'"):
        writer.integer_model(decoder())


def test_weights_beyond_one_file_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.onnx.graph._MAX_BYTES", 100)
    with pytest.raises(NetFileError, match="one ONNX file holds 100"):
        writer.integer_model(decoder())


@pytest.mark.parametrize("target", [None, 5])
def test_a_target_that_is_no_name_is_one_line(target: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^target {target}: expected a name that ends in \.onnx, got "):
        writer.write_onnx(decoder(), target)

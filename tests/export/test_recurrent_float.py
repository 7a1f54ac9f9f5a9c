"""A float recurrent network: its definition, its one scale for both matrices, its file and its ONNX graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depth import examples
from export.float_simulate import simulate_float
from export.ir import FloatLayer, FloatLif, FloatNetwork, Norm, RecurrentDense
from export.netx.read import read_netx_unguarded
from export.onnx.float import float_model
from export.onnx.integer import integer_model
from export.passes.calibrate import CALIBRATIONS, Calibration
from export.pipeline import Options, compiled, export_network
from sim import reference
from sim.trace import first_difference, named_traces
from sim.twin.engine import Engine
from strategies import recurrent_networks, spikes_for

Layer = RecurrentDense[FloatLif]


def network(seed: int = 0, norm: Norm | None = None) -> FloatNetwork:
    rng = np.random.default_rng(seed)
    layers = [
        RecurrentDense(rng.normal(size=(8, 5)), rng.normal(size=(8, 8)) / 4, None, FloatLif(0.6, 1.0, 0.25)),
        RecurrentDense(
            rng.normal(size=(6, 8)), rng.normal(size=(6, 6)) / 4, rng.normal(size=6) / 9, FloatLif(0.75, 0.8)
        ),
    ]
    return FloatNetwork((5,), tuple(FloatLayer(layer, norm if not k else None) for k, layer in enumerate(layers)), 12)


def raster(seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random((4, 12, 5)) < 0.4).astype(np.uint8)


def test_the_float_definition() -> None:
    floats, spikes = network(), raster(1)
    layer = floats.synapses[0].synapse
    assert isinstance(layer, RecurrentDense)
    trace = simulate_float(floats, spikes)[0]
    i = v = s = np.zeros((4, 8))
    for t in range(12):
        i = 0.25 * i + spikes[:, t] @ layer.weight.T + s @ layer.recurrent.T
        v = 0.6 * v * (1 - s) + i
        s = (v > 1.0).astype(float)
        np.testing.assert_allclose(trace.v[:, t], v, atol=1e-12)
        assert np.array_equal(trace.s[:, t], s)
    assert 0.05 < trace.s.mean() < 0.95


def test_a_norm_is_of_both_sums() -> None:
    norm = Norm(np.linspace(0.5, 2, 8), np.linspace(-0.1, 0.1, 8))
    floats, spikes = network(norm=norm), raster(1)
    layer = network().synapses[0].synapse
    assert isinstance(layer, RecurrentDense)
    scaled: Layer = RecurrentDense(
        layer.weight * norm.scale[:, None], layer.recurrent * norm.scale[:, None], norm.shift, layer.neuron
    )
    wanted = simulate_float(FloatNetwork((5,), (FloatLayer(scaled),), 12), spikes)[0]
    np.testing.assert_allclose(simulate_float(floats, spikes)[0].v, wanted.v, atol=1e-12)


@pytest.mark.parametrize("method", CALIBRATIONS)
def test_one_scale_for_both_matrices(method: Calibration) -> None:
    floats, spikes = network(), raster(2)
    made = compiled(floats, Options(calibration=method, spikes=spikes))
    integers = made.network
    for told, layer, float_layer in zip(made.quantization, integers.layers, floats.synapses, strict=True):
        synapse = float_layer.synapse
        assert isinstance(layer, RecurrentDense)
        assert isinstance(synapse, RecurrentDense)
        for found, wanted in ((layer.weight, synapse.weight), (layer.recurrent, synapse.recurrent)):
            inside = np.abs(found) < 254  # what some calibrations clip
            assert inside.mean() > 0.9
            assert np.abs(found / told.scale - wanted)[inside].max() < 6 / told.scale
    got, wanted_spikes = (
        [trace.s for trace in reference.simulate(integers, spikes)],
        [trace.s for trace in simulate_float(floats, spikes)],
    )
    assert all((one == other).mean() > 0.9 for one, other in zip(got, wanted_spikes, strict=True))


def test_the_file_holds_it(tmp_path: Path) -> None:
    exported = export_network(network(), tmp_path / "r.net", Options(spikes=raster(2)))
    assert read_netx_unguarded(tmp_path / "r.net").content_hash() == exported.network.content_hash()
    assert [layer.kind for layer in exported.network.layers] == ["dense_rec", "dense_rec"]


def session(model: Any, spikes: np.ndarray) -> dict[str, np.ndarray]:
    runtime = pytest.importorskip("onnxruntime")
    made = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in made.get_outputs()]
    return dict(zip(names, made.run(names, {"spikes": spikes}), strict=True))


def test_onnx_fires_as_the_float_network() -> None:
    pytest.importorskip("onnx")
    got = session(float_model(network(), hidden=True), raster(3))
    first, last = simulate_float(network(), raster(3))
    assert np.array_equal(got["layer1.s"], first.s)
    np.testing.assert_allclose(got["potentials"], last.v[:, -1] * (1 - last.s[:, -1]), atol=1e-4)


@settings(max_examples=examples(15))
@given(st.data())
def test_onnx_holds_the_references_integers(data: st.DataObject) -> None:
    pytest.importorskip("onnx")
    integers = data.draw(recurrent_networks())
    spikes = data.draw(spikes_for(integers))
    wanted = named_traces(list(reference.simulate(integers, spikes)), integers)
    assert first_difference(wanted, session(integer_model(integers, traces=True), spikes)) is None
    last = session(integer_model(integers), spikes)["potentials"]
    assert np.array_equal(last, Engine(integers).final_potentials(spikes))

"""What the reader makes of files that other tools write, and the writer's encoding of what only those have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from depth import examples
from esvae.errors import EsvaeError, HardwareRangeError, NetFileError, UnsupportedLayerError
from export.ir import INTEGRATOR, Conv, Dense, Flatten, InputNeurons, Lif, Network
from export.netx import read_netx
from export.netx.layout import delay_from_file, delay_to_file
from export.netx.write import write_netx
from strategies import foreign_networks

NEURON = {"type": b"CUBA", "iDecay": 1024, "vDecay": 128, "vThMant": 80, "refDelay": 1, "gradedSpike": False}


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_write_read_write_is_identical(tmp_path: Path, data: st.DataObject) -> None:
    network = data.draw(foreign_networks())
    first = write_netx(network, tmp_path / "1.net")
    again = read_netx(first)
    assert again.content_hash() == network.content_hash()
    assert again.input_neurons == network.input_neurons
    assert write_netx(again, tmp_path / "2.net").read_bytes() == first.read_bytes()


def foreign(path: Path, *layers: dict[str, Any]) -> Path:
    """A file without our group; nested dicts are groups."""
    with h5py.File(path, "w") as file:
        for index, layer in enumerate(layers):
            _fill(file.create_group(f"layer/{index}"), layer)
    return path


def _fill(group: h5py.Group, content: dict[str, Any]) -> None:
    for key, value in content.items():
        if isinstance(value, dict):
            _fill(group.create_group(key), value)
        else:
            group[key] = value


def dense(**more: Any) -> dict[str, Any]:
    weight = np.arange(6, dtype=np.float32).reshape(3, 2) * 2 + 2
    return {"type": b"dense", "shape": [3], "weight": weight, "neuron": dict(NEURON)} | more


def conv(**more: Any) -> dict[str, Any]:
    shape = {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1, "shape": [1, 3, 2]}
    weight = np.full((1, 2, 2, 2, 1), 2.0)
    return {"type": b"conv", "weight": weight, "neuron": dict(NEURON), **shape} | more


INPUT = {"type": b"input", "shape": [2]}


def test_input_neurons_with_and_without_transform(tmp_path: Path) -> None:
    layer = INPUT | {"neuron": NEURON, "weight": np.array([36.0], np.float32), "bias": np.float32(34)}
    network = read_netx(foreign(tmp_path / "a.net", layer, dense()))
    assert network.input_neurons == InputNeurons(Lif(1024, 128, 80), 36, 34)
    plain = read_netx(foreign(tmp_path / "b.net", INPUT | {"neuron": NEURON}, dense()))
    assert plain.input_neurons == InputNeurons(Lif(1024, 128, 80), 64, 0)
    assert plain.depth == 2


@pytest.mark.parametrize(
    ("delay", "expected"),
    [
        (np.float32(4), [[4, 4], [4, 4], [4, 4]]),
        (np.array([1.0, 2, 3]), [[1, 1], [2, 2], [3, 3]]),
        (np.array([5, 6]), [[5, 6], [5, 6], [5, 6]]),
        (np.array([[1, 2], [3, 4], [5, 62]]), [[1, 2], [3, 4], [5, 62]]),
    ],
)
def test_delays_for_all_by_output_by_input_and_by_synapse(
    tmp_path: Path, delay: Any, expected: list[list[int]]
) -> None:
    layer = read_netx(foreign(tmp_path / "a.net", INPUT, dense(delay=delay))).layers[0]
    assert isinstance(layer, Dense)
    assert layer.delay is not None
    assert layer.delay.tolist() == expected


def test_longer_delays_are_held_as_netx_holds_them_and_told_of(tmp_path: Path) -> None:
    network = read_netx(foreign(tmp_path / "a.net", INPUT, dense(delay=np.array([1, 63, 64]))))
    layer = network.layers[0]
    assert isinstance(layer, Dense)
    assert layer.delay is not None
    assert layer.delay.tolist() == [[1, 1], [62, 62], [62, 62]]
    assert network.provenance == {"delays of layer 1 (dense)": "2 of 3, up to 64, held as 62, as netx does"}


def test_delays_of_a_square_layer_belong_to_its_outputs() -> None:
    assert delay_from_file(np.array([1, 2]), (2, 2), "").tolist() == [[1, 1], [2, 2]]
    by_input = np.array([[1, 2], [1, 2]])
    assert delay_to_file(by_input).shape == (2, 2)
    assert delay_to_file(np.array([[1, 2], [1, 2], [1, 2]])).shape == (2,)
    assert delay_to_file(np.full((3, 2), 7)).shape == ()


def test_a_dense_layer_without_neuron_becomes_the_integrator_and_is_written_as_it_was(tmp_path: Path) -> None:
    layer = dense()
    del layer["neuron"]
    network = read_netx(foreign(tmp_path / "a.net", INPUT, layer))
    assert network.layers[0].neuron == INTEGRATOR  # type: ignore[union-attr]
    with h5py.File(write_netx(network, tmp_path / "b.net")) as file:
        assert "neuron" not in file["layer/1"]


def test_one_bias_serves_all_outputs_and_features_need_no_flatten(tmp_path: Path) -> None:
    wide = {"type": b"input", "shape": [2, 1, 1]}
    network = read_netx(foreign(tmp_path / "a.net", wide, dense(bias=np.array([5.0]))))
    assert isinstance(network.layers[0], Flatten)
    assert network.layers[1].bias.tolist() == [5, 5, 5]  # type: ignore[union-attr]


def test_pairs_are_rows_before_columns(tmp_path: Path) -> None:
    layer = conv(stride=[1, 2], padding=[2, 1], dilation=[1, 1])
    network = read_netx(foreign(tmp_path / "a.net", {"type": b"input", "shape": [2, 4, 5]}, layer))
    found = network.layers[0]
    assert isinstance(found, Conv)
    assert (found.stride, found.padding, network.shapes) == ((1, 2), (2, 1), ((1, 7, 3),))


def test_averages_are_sums_of_equal_parts(tmp_path: Path) -> None:
    path = foreign(tmp_path / "a.net", INPUT, dense(), {"type": b"average", "shape": [1, 1, 1]})
    network = read_netx(path)
    (*_, sums) = network.layers
    assert isinstance(sums, Dense)
    assert sums.neuron == INTEGRATOR
    assert (sums.weight == np.ones((1, network.shapes[-2][0]))).all()
    assert "sums" in network.provenance["layer 2 (average)"]
    foreign(path, INPUT, dense(), {"type": b"average", "shape": [network.shapes[-2][0] + 1]})
    with pytest.raises(NetFileError, match="parts, not alike"):
        read_netx(path)
    foreign(path, {"type": b"input"}, {"type": b"average", "shape": [1]})
    with pytest.raises(NetFileError, match=r"layer 1 \(average\): an unknown number of neurons in 1 part"):
        read_netx(path)


def test_only_the_first_layers(tmp_path: Path) -> None:
    path = foreign(tmp_path / "a.net", INPUT, dense(), {"type": b"concat", "shape": [1]})
    assert len(read_netx(path, layers=2).layers) == 1
    with pytest.raises(NetFileError, match="no layer with neurons"):
        read_netx(path, layers=1)
    with pytest.raises(NetFileError, match="0 layers wanted"):
        read_netx(path, layers=0)


def test_a_part_of_our_own_file_is_no_generator(tmp_path: Path) -> None:
    layer = Dense(np.array([[2]]), None, Lif(0, 0, 1))
    path = write_netx(Network((1,), (layer, layer), time_steps=4), tmp_path / "a.net")
    assert read_netx(path, layers=3).time_steps == 4
    assert read_netx(path, layers=2).time_steps is None


def changed(**neuron: Any) -> dict[str, Any]:
    return dense(neuron=NEURON | neuron)


REFUSED: dict[str, tuple[Callable[[], dict[str, Any]], type[EsvaeError], str]] = {
    "graded spikes": (lambda: changed(messageBits=8), UnsupportedLayerError, "messageBits: graded spikes of CUBA"),
    "graded": (
        lambda: changed(gradedSpike=True),
        UnsupportedLayerError,
        "gradedSpike: slayer's neurons sent their potential along with each spike, which netx passes over",
    ),
    "graded, unreadable": (
        lambda: changed(gradedSpike=b"yes"),
        NetFileError,
        "gradedSpike: expected one truth value",
    ),
    "refractory": (lambda: changed(refDelay=3), UnsupportedLayerError, "refDelay: netx passes over it; expected 1"),
    "norm exponent": (lambda: changed(weight_exp=2), UnsupportedLayerError, "weight_exp: netx passes over it"),
    "threshold": (lambda: changed(vThMant=131_073), HardwareRangeError, "131073 outside"),
    "long delay": (lambda: dense(delay=1 << 15), HardwareRangeError, r"delay 32768 outside"),
    "negative delay": (lambda: dense(delay=-1), HardwareRangeError, "delay -1 outside"),
    "fraction": (lambda: dense(delay=1.5), NetFileError, "holds fractions"),
    "delay shape": (lambda: dense(delay=np.zeros(5)), NetFileError, r"delay has shape \(5,\), expected"),
    "recurrent": (lambda: dense(weight_rec=np.ones((3, 3))), UnsupportedLayerError, "with 'weight_rec'"),
    "complex": (lambda: dense(weight={"real": 1, "imag": 1}), UnsupportedLayerError, "complex weights"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_netx_would_not_run_as_meant_is_refused(tmp_path: Path, name: str) -> None:
    make, error, told = REFUSED[name]
    with pytest.raises(error, match=told):
        read_netx(foreign(tmp_path / "a.net", INPUT, make()))


def test_conv_delays_are_refused_unless_all_are_zero(tmp_path: Path) -> None:
    shape = {"type": b"input", "shape": [2, 4, 3]}
    read_netx(foreign(tmp_path / "a.net", shape, conv(delay=np.zeros(1))))
    with pytest.raises(UnsupportedLayerError, match="'conv' with 'delay': netx passes over it"):
        read_netx(foreign(tmp_path / "b.net", shape, conv(delay=np.ones(1))))


def test_harmless_extras_are_read(tmp_path: Path) -> None:
    extras = changed(messageBits=0, wgtExp=0, tauRho=0.1, scaleRho=1.0, theta=5120, type=b"LOIHI")
    network = read_netx(foreign(tmp_path / "a.net", INPUT, extras | {"inFeatures": 2, "outFeatures": 3}))
    assert network.layers[0].neuron == Lif(1024, 128, 80)  # type: ignore[union-attr]

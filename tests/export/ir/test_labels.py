"""A layer has one label, in whatever speaks of it: the number of its group in the file, and the group's type."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from deploy.inspection import inspect_file
from deploy.plan import plan
from deploy.report import sections
from esvae.errors import EsvaeError
from export import pipeline
from export.frontends import from_netx
from export.ir import Conv, ConvTranspose, Dense, Flatten, FloatLif, InputNeurons, Lif, Network, Prior
from export.ir.floats import FloatLayer, FloatNetwork
from export.ir.layer_ranges import layer_ranges
from export.netx import read_netx, write_netx
from export.netx.check import check_file
from export.passes import CALIBRATIONS
from export.pipeline import Options, compiled
from sim.counts.ops import count
from sim.fit.chips import CHIPS
from sim.fit.mapping import map_network
from sim.twin.engine import Engine

LIF, CHIP_LIF = FloatLif(0.25, 0.2), Lif(4096, 3072, 60)
LABELS = ("layer 1 (conv)", "layer 3 (dense)", "layer 4 (dense)")


def floats(second: np.ndarray) -> FloatNetwork:
    """A convolution, a flatten layer, and two dense layers, of which the first has these weights."""
    rng = np.random.default_rng(0)
    return FloatNetwork(
        (2, 3, 3),
        (
            FloatLayer(Conv(rng.normal(size=(3, 2, 2, 2)), None, LIF)),
            Flatten(),
            FloatLayer(Dense(second, None, LIF)),
            FloatLayer(Dense(rng.normal(size=(2, 4)), None, FloatLif(0.8, math.inf))),
        ),
        4,
        Prior(*(np.ones(shape, "f4") for shape in ((1, 18, 2), (1, 18), (1,)))),
    )


def written(path: Path, network: FloatNetwork) -> Path:
    return write_netx(compiled(network, Options(lowering="none")).network, path)


@pytest.mark.parametrize("method", CALIBRATIONS)
def test_every_calibration_calls_a_faulty_layer_the_same(method: pipeline.Calibration) -> None:
    with pytest.raises(EsvaeError) as said:
        compiled(floats(np.zeros((4, 12))), Options(calibration=method))
    assert "layer 3 (dense): all weights are zero" in str(said.value)


def test_a_frontend_calls_it_so_too() -> None:
    with pytest.raises(EsvaeError, match=r"^layer 3 \(dense\): weight is not finite"):
        floats(np.full((4, 12), np.nan))


def test_the_reader_and_the_check_call_it_so_too(tmp_path: Path) -> None:
    net = written(tmp_path / "a.net", floats(np.random.default_rng(1).normal(size=(4, 12))))
    with h5py.File(net, "r+") as file:
        del file["layer/3/weight"]
        file["layer/3/weight"] = np.full((4, 12), np.nan)
    assert any(finding.where == "layer 3 (dense)" for finding in check_file(net))
    with pytest.raises(EsvaeError, match=r"layer 3 \(dense\)/weight: holds fractions"):
        read_netx(net)


def test_every_report_calls_the_layers_the_same(tmp_path: Path) -> None:
    network = floats(np.random.default_rng(1).normal(size=(4, 12)))
    done = compiled(network, Options(lowering="none"))
    net, integer = write_netx(done.network, tmp_path / "a.net"), done.network
    spikes = np.ones((1, 4, 2, 3, 3), np.uint8)
    said = {
        "float network": network.labels,
        "quantizing": tuple(entry.layer for entry in done.quantization),
        "ranges": tuple(bounds.layer for bounds in done.ranges),
        "inspect": tuple(view.layer for view in inspect_file(net).layers),
        "file": read_netx(net).labels,
        "quantized again": from_netx(net).labels if integer.readout is not None else LABELS,
        "counts": tuple(layer.layer for layer in count(integer, Engine(integer).run(spikes)).layers),
        "mapping": tuple(layer.layer for layer in map_network(integer, CHIPS["loihi2"]).layers),
        "report": tuple("layer " + row["layer"].removeprefix("layer ") for row in sections.network(integer)["layers"]),
        "plan": tuple(layer.layer for layer in plan(integer, 1).layers),
    }
    assert said == dict.fromkeys(said, LABELS)


def test_the_numbers_are_those_of_the_file_read(tmp_path: Path) -> None:
    dense = Dense(np.array([[2, 4, -6, 8]]), None, CHIP_LIF)
    with_input = write_netx(Network((4,), (dense,)), tmp_path / "a.net")
    assert read_netx(with_input).labels == ("layer 1 (dense)",)
    without = tmp_path / "b.net"
    with h5py.File(with_input) as old, h5py.File(without, "w") as new:
        old.copy("layer/1", new.create_group("layer"), "0")
    assert read_netx(without).labels == ("layer 0 (dense)",)
    with h5py.File(with_input, "r+") as file:  # features of a map, which netx takes as they come
        file["esvae"].clear()
        del file["esvae"], file["layer/0/shape"]
        file["layer/0/shape"] = np.array([1, 2, 2])
    read = read_netx(with_input)
    assert read.labels == ("layer 1 (dense)",)
    assert len(read.layers) == 2


def test_lowering_renumbers_as_the_file_that_it_makes_does() -> None:
    conv = Conv(np.full((1, 1, 1, 1), 2), None, CHIP_LIF)
    turned = ConvTranspose(np.full((1, 1, 2, 2), 2), None, CHIP_LIF, (2, 2))
    network = Network((1, 2, 2), (conv, turned, Flatten(), Dense(np.full((1, 16), 2), None, CHIP_LIF)), first_group=0)
    assert network.labels == ("layer 0 (conv)", "layer 1 (convT)", "layer 3 (dense)")
    lowered, _, _ = pipeline.lowered(network, "dense")
    assert [bounds.layer for bounds in layer_ranges(lowered)] == [f"layer {k} (dense)" for k in (1, 2, 3)]


def test_input_neurons_are_group_zero() -> None:
    dense = Dense(np.array([[2, 4]]), None, CHIP_LIF)
    network = replace(Network((2,), (dense,), 4), input_neurons=InputNeurons(CHIP_LIF))
    assert network.labels == ("layer 1 (dense)",)
    assert [layer.layer for layer in plan(network, 1).layers] == ["layer 0 (input)", "layer 1 (dense)"]

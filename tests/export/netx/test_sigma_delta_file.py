"""Sigma-delta networks as files: written, read again, and what netx would not run as meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings

from deploy.inspection import inspect_file
from deploy.plan import plan
from depth import examples
from esvae.errors import EsvaeError, HardwareRangeError, NetFileError, UnsupportedLayerError
from export.ir import Conv, Delta, Dense, InputNeurons, Network, Sigma, SigmaDelta
from export.netx import read_netx, write_netx
from export.netx.check import check_file
from export.netx.read import read_netx_unguarded
from strategies import sigma_delta_networks


@settings(max_examples=examples(40))
@given(network=sigma_delta_networks())
def test_what_is_written_is_read_again_and_has_no_error(
    network: Network, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write_netx(network, tmp_path_factory.mktemp("net") / "a.net")
    again = read_netx_unguarded(path)
    assert again.content_hash() == network.content_hash()
    assert [layer.neuron for layer, _, _ in again.synapses()] == [layer.neuron for layer, _, _ in network.synapses()]
    assert not [finding for finding in check_file(path) if finding.severity == "error"]


@pytest.fixture
def net(tmp_path: Path) -> Path:
    """An encoder, a convolution and a sigma output."""
    layers = (
        Conv(np.full((1, 1, 1, 2), 4), np.array([3]), SigmaDelta(5)),
        Conv(np.full((1, 1, 1, 2), -6), None, Sigma()),
    )
    network = Network((1, 2, 3), layers, time_steps=4, input_neurons=InputNeurons(Delta(7)))
    return write_netx(network, tmp_path / "a.net")


def test_the_file_says_what_slayer_says(net: Path) -> None:
    with h5py.File(net) as file:
        neurons = [file[f"layer/{k}/neuron"] for k in range(3)]
        assert [neuron["type"][0] for neuron in neurons] == [b"SDNN"] * 3
        assert [neuron["activation"][0] for neuron in neurons] == [b"relu"] * 3
        assert [int(neuron["vThMant"][()]) for neuron in neurons[:2]] == [7, 5]
        assert "sigma_output" in neurons[2]
    views = inspect_file(net).layers
    assert [(view.neuron, view.threshold) for view in views] == [("delta", 7), ("sigma-delta", 5), ("sigma", None)]


REFUSED: dict[str, tuple[str, Any, type[EsvaeError], str, str]] = {
    "activation": ("1/neuron/activation", np.bytes_("tanh"), UnsupportedLayerError, "netx runs a ReLU", "runs a ReLU"),
    "threshold": ("1/neuron/vThMant", 1 << 19, HardwareRangeError, "524288 outside", "vThMant outside"),
    "encoder's threshold": ("0/neuron/vThMant", -1, HardwareRangeError, "-1 outside", "vThMant outside"),
    "message bits": ("1/neuron/messageBits", 8, UnsupportedLayerError, "messageBits", "netx raises TypeError"),
    "exponent": ("1/neuron/weight_exp", 1, UnsupportedLayerError, "weight_exp: netx passes over it", ""),
    "bias of an output": ("2/bias", np.array([1]), NetFileError, "sigma output with a bias", "netx raises TypeError"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_netx_would_not_run_as_meant_is_refused(net: Path, name: str) -> None:
    key, value, error, told, found = REFUSED[name]
    with h5py.File(net, "r+") as file:
        del file["esvae"]
        if f"layer/{key}" in file:
            del file[f"layer/{key}"]
        file[f"layer/{key}"] = value
    with pytest.raises(error, match=told):
        read_netx(net)
    errors = [finding.what for finding in check_file(net) if finding.severity == "error"]
    assert any(found in what for what in errors)


def test_windows_back_to_back_are_not_planned() -> None:
    network = Network((1,), (Dense(np.array([[2]]), None, SigmaDelta(0)),), time_steps=2)
    with pytest.raises(UnsupportedLayerError, match="netx cannot reset them between two images"):
        plan(network, 2)

"""Findings on any file: all of them, none on a sound one; and a reader that hangs or dies becomes one line."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings

from depth import examples
from esvae.errors import NetFileError
from export.ir import Conv, Dense, ImageReadout, Lif, Network
from export.netx.check import check_file
from export.netx.guard import check_readable
from export.netx.write import write_netx
from strategies import networks


@pytest.fixture
def net(tmp_path: Path) -> Path:
    layer = Dense(np.array([[2, -4, 6], [8, 2, -2]]), np.array([1, 2]), Lif(4096, 3072, 51), np.array([[1, 2, 3]] * 2))
    return write_netx(Network((3,), (layer,), time_steps=4), tmp_path / "a.net")


@settings(max_examples=examples(40))
@given(network=networks(loadable=True))
def test_what_netx_loads_exactly_has_no_error(network: Network, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = write_netx(network, tmp_path_factory.mktemp("net") / "a.net")
    assert not [finding for finding in check_file(path) if finding.severity == "error"]


CASES: dict[str, tuple[str, Any, str]] = {
    "float weights": ("layer/1/weight", np.array([[0.5, -4, 6], [8, 2.5, -2]]), "2 float weights"),
    "zero": ("layer/1/weight", np.zeros((2, 3), int), "OverflowError"),
    "odd": ("layer/1/weight", np.array([[3, -4, 6], [8, 2, -2]]), "1 odd weights"),
    "changed": ("layer/1/weight", np.full((2, 3), -256), "netx changes 6 of 6 weights"),
    "too large": ("layer/1/weight", np.full((2, 3), 300), "outside"),
    "delay": ("layer/1/delay", np.int64(63), "clamps it to 62"),
    "bias": ("layer/1/bias", np.array([5000, 0]), "bias outside"),
    "decay": ("layer/1/neuron/vDecay", np.int64(-1), "vDecay outside"),
    "threshold": ("layer/1/neuron/vThMant", np.int64(1 << 20), "vThMant outside"),
    "neuron type": ("layer/1/neuron/type", np.bytes_("RF"), "type 'RF'"),
    "not finite": ("layer/1/neuron/vDecay", np.float64("nan"), "vDecay is not finite"),
    "graded": ("layer/1/neuron/messageBits", np.int64(16), "'messageBits': netx reads it as a group"),
    "many neurons": ("layer/1/bias", np.zeros((1 << 22) + 1, np.int8), "'bias' is missing or holds no numbers"),
    "refDelay": ("layer/1/neuron/refDelay", np.int64(5), "refDelay 5: netx passes over it"),
    "unknown type": ("layer/1/type", np.bytes_("resonator"), "passes over the whole layer in silence"),
    "refused type": ("layer/1/type", np.bytes_("pool"), "NotImplementedError"),
    "shape as text": ("layer/1/shape", np.bytes_("2"), "'shape' is stored as |S1"),
    "shape of another layer": ("layer/1/shape", np.array([3]), "its weights give (2,)"),
    "no shape": ("layer/1/shape", None, "'shape' is missing: netx raises KeyError"),
    "unknown key": ("layer/1/extra", np.int64(1), "'extra': netx passes over it"),
}


@pytest.mark.parametrize("name", CASES)
def test_each_fault_is_found(name: str, net: Path) -> None:
    key, value, text = CASES[name]
    with h5py.File(net, "r+") as file:
        if key in file:
            del file[key]
        if value is not None:
            file[key] = value
    assert any(text in finding.what for finding in check_file(net)), check_file(net)


def test_what_can_never_fire_and_what_always_does_is_found_under_the_name_of_its_group(tmp_path: Path) -> None:
    quiet = Dense(np.array([[2, -2]]), None, Lif(4096, 4096, 5))
    loud = Dense(np.array([[2], [4]]), np.array([9, 0]), Lif(4096, 4096, 5))
    last = Dense(np.array([[2, 4]]), np.array([9]), Lif(4096, 4096, 5))
    path = write_netx(Network((2,), (quiet, loud, last), time_steps=4), tmp_path / "a.net")
    found = {(finding.where, finding.what) for finding in check_file(path)}
    assert found == {
        ("layer 1 (dense)", "no neuron can ever fire, so nothing enters the next layer"),
        ("layer 2 (dense)", "1 of 2 neurons can never fire, whatever enters"),
        ("layer 2 (dense)", "1 of 2 neurons fire at every step, whatever enters"),
        ("layer 3 (dense)", "every neuron fires at every step, whatever enters"),
    }


def test_a_readout_that_can_fire_is_found(tmp_path: Path) -> None:
    for threshold, expected in ((5, ["layer 1 (conv)"]), (131_071, [])):
        layer = Conv(np.full((1, 1, 1, 1), 20), None, Lif(4096, 819, threshold))
        network = Network((1, 2, 2), (layer,), time_steps=4, readout=ImageReadout(64.0, (1, 2, 2)))
        found = check_file(write_netx(network, tmp_path / "a.net"))
        assert [finding.where for finding in found] == expected
        assert all("can pass its threshold 5" in finding.what for finding in found)


def test_all_faults_are_found_at_once(net: Path) -> None:
    with h5py.File(net, "r+") as file:
        for key, value in (("bias", [9999, 0]), ("delay", 99), ("extra", 1)):
            if key in file["layer/1"]:
                del file["layer/1"][key]
            file["layer/1"][key] = value
        del file["layer/1/neuron"]
    told = " ".join(finding.what for finding in check_file(net))
    assert all(text in told for text in ("bias outside", "clamps", "'extra'", "integrator"))


def test_a_reader_that_dies_or_hangs_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(NetFileError, match="crashes on it"):
        check_readable(tmp_path, lambda: os.kill(os.getpid(), signal.SIGSEGV))
    with pytest.raises(NetFileError, match="not done with it after"):
        check_readable(tmp_path, lambda: time.sleep(60), seconds=0.2)
    check_readable(tmp_path, lambda: None)
    check_readable(tmp_path, lambda: 1 // 0)  # a fault of ours is no fault of the file: the caller meets it

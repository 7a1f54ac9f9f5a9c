"""A network that one chip cannot hold is not written; what is said to fit does, and the same is said by ``check``."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from deploy.chip_gate import check_fits, lowerings_of, thinner
from deploy.cli import main
from esvae.errors import HardwareRangeError
from export.ir import Conv, ConvTranspose, Dense, Flatten, Lif, Network
from export.netx.write import write_netx
from sim.fit.chips import CHIPS, LOIHI2
from sim.fit.mapping import map_network
from strategies import networks

NEURON = Lif(4096, 3072, 51)
#: The chip with so few cores that small networks do not fit.
SMALL = dataclasses.replace(LOIHI2, usable_cores=8)


def wide(inputs: int = 300, outputs: int = 600) -> Network:
    """Every weight of 9 bits, both signs."""
    rng = np.random.default_rng(0)
    weights = rng.integers(1, 128, (2, inputs, outputs)) * 2 * rng.choice([-1, 1], (2, inputs, outputs))
    first, second = (weights[0].T, weights[1])
    return Network((inputs,), tuple(Dense(w.astype(np.int16), None, NEURON) for w in (first, second)))


def test_what_fits_passes() -> None:
    check_fits(wide(10, 20), LOIHI2)


def test_the_line_names_layer_excess_and_what_fits() -> None:
    network = wide()
    with pytest.raises(HardwareRangeError) as caught:
        check_fits(network, SMALL)
    said = str(caught.value)
    assert "\n" not in said
    mapping = map_network(network, LOIHI2)
    worst = max(mapping.layers, key=lambda layer: len(layer.cores))
    assert f"{worst.layer}: takes {len(worst.cores)} cores, full of synapses" in said
    assert f"takes {mapping.cores}, {mapping.cores - 8} more than the 8 of Loihi 2" in said
    bits = re.search(r"--weight-bits (\d) \((\d+) cores\)", said)
    share = re.search(r"three quarters of the channels of its hidden layers \((\d+) cores\)", said)
    narrow = thinner(network, 0.75)
    assert bits is not None
    assert share is not None
    assert narrow is not None
    assert map_network(network, LOIHI2, bits=int(bits[1])).cores == int(bits[2]) <= 8
    assert map_network(network, LOIHI2, bits=int(bits[1]) + 1).cores > 8  # the least change that will do
    assert map_network(narrow, LOIHI2).cores == int(share[1]) <= 8


def test_another_lowering_is_named_where_it_fits() -> None:
    layer = ConvTranspose(np.full((16, 16, 3, 3), 2), None, NEURON, (2, 2), (1, 1), (1, 1), (1, 1))
    plain = Network((16, 12, 12), (layer,), time_steps=4)
    unrolled = lowerings_of(plain, "subpixel")["dense"]
    few = dataclasses.replace(LOIHI2, usable_cores=3)
    with pytest.raises(HardwareRangeError, match=r"--lowering subpixel \(3 cores\)"):
        check_fits(unrolled, few, lambda: lowerings_of(plain, "dense"))


def test_a_neuron_that_no_core_holds_is_said_so() -> None:
    one = Network((20_000,), (Dense(np.full((2, 20_000), 2, np.int16), None, NEURON),))
    with pytest.raises(HardwareRangeError, match=r"\(dense\): memory: one neuron needs 20,000.*; no fewer bits"):
        check_fits(one, LOIHI2)


@settings(max_examples=60, deadline=None)
@given(network=networks(transposed=True))
def test_a_thinner_network_is_sound_and_smaller(network: Network) -> None:
    narrow = thinner(network, 0.5)
    if narrow is None:
        assert any(not isinstance(layer, Dense | Flatten) and layer.groups > 1 for layer in network.layers)
        return
    assert narrow.shapes[-1] == network.shapes[-1]
    for thin, full in zip(narrow.shapes[:-1], network.shapes[:-1], strict=True):
        assert np.prod(thin) <= np.prod(full)


def test_export_writes_nothing_and_check_says_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CHIPS, "loihi2", SMALL)
    net, out = write_netx(wide(), tmp_path / "wide.net"), tmp_path / "out.net"
    with pytest.raises(SystemExit) as end:
        main(["export", str(net), "-o", str(out), "--chip", "loihi2"])
    assert end.value.code == 1
    assert not out.exists()
    said = capsys.readouterr().err.strip()
    with pytest.raises(SystemExit) as end:
        main(["check", str(net), "--chip", "loihi2", "--json"])
    assert end.value.code == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    wrong = next(finding for finding in findings if finding["severity"] == "error")
    assert wrong["where"] in ("layer 1 (dense)", "layer 2 (dense)")
    assert wrong["what"].split(";")[0] in said


def test_check_says_what_a_network_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kernel = np.array([[[[2, -4], [6, 8]]]])
    net = write_netx(Network((1, 4, 4), (Conv(kernel, None, NEURON),), time_steps=4), tmp_path / "a.net")
    with pytest.raises(SystemExit) as end:
        main(["check", str(net), "--chip", "loihi2", "--json"])
    assert end.value.code == 0
    assert "takes 1 of the 120 cores of Loihi 2" in capsys.readouterr().out

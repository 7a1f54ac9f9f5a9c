"""What would make a network fit is said in one way: by ``fit``, ``check --chip``, ``export --chip`` and the report."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from command import call
from deploy.commands.check import chip_findings
from deploy.report import sections
from esvae.errors import HardwareRangeError
from export.ir import Conv, ConvTranspose, Dense, Lif, Network
from export.netx.write import write_netx
from sim.fit.adviser import Fit, advise, check_fits
from sim.fit.chips import CHIPS, LOIHI2, Chip

NEURON = Lif(4096, 3072, 51)


def too_large(seed: int) -> tuple[Network, Chip]:
    """A network, and a chip that does not hold it: for one neuron's inputs, for its neurons, or for its synapses."""
    rng = np.random.default_rng(seed)
    limit = int(rng.choice([3, 7, 15, 31, 63, 127]))

    def weights(*shape: int) -> np.ndarray:
        return rng.integers(-limit, limit + 1, shape, dtype=np.int16) * np.int16(2)

    if seed % 5 == 0:
        inputs, hidden = int(rng.integers(12_500, 40_000)), int(rng.integers(2, 9))
        layers = (Dense(weights(hidden, inputs), None, NEURON), Dense(weights(9, hidden), None, NEURON))
        return Network((inputs,), layers, time_steps=4), LOIHI2
    if seed % 5 == 1:
        side, channels = int(rng.integers(10, 20)), int(rng.integers(30, 60))
        first = Conv(weights(channels, 3, 3, 3), None, NEURON, padding=(1, 1))
        second = ConvTranspose(weights(channels, 3, 2, 2), None, NEURON, stride=(2, 2))
        return Network((3, side, side), (first, second), time_steps=4), dataclasses.replace(LOIHI2, usable_cores=1)
    a, b, c = (int(n) for n in rng.integers((150, 250, 150), (250, 400, 250)))
    pair = (Dense(weights(b, a), None, NEURON), Dense(weights(c, b), None, NEURON))
    return Network((a,), pair, time_steps=4), dataclasses.replace(LOIHI2, usable_cores=1)


@pytest.mark.parametrize("seed", range(50))
def test_all_who_ask_get_the_same_words(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network, chip = too_large(seed)
    monkeypatch.setitem(CHIPS, "loihi2", chip)
    mapping, advice = advise(network, chip)
    assert advice is not None
    (finding,) = chip_findings(network, chip)
    assert (finding.severity, finding.what) == ("error", advice.line)
    assert finding.where == mapping.heaviest.layer
    with pytest.raises(HardwareRangeError) as refused:
        check_fits(network, chip)
    assert str(refused.value) == f"--chip loihi2: {advice.line}"
    shown = sections.fit(Fit(mapping, None, (), advice, None))
    assert "; ".join(shown["advice"]) == advice.line
    assert [way["what"] for way in shown["other_ways"]] == [remedy.what for remedy in advice.remedies]


@pytest.mark.parametrize("seed", [2, 4])
def test_both_commands_print_it(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    network, chip = too_large(seed)
    monkeypatch.setitem(CHIPS, "loihi2", chip)
    net = write_netx(network, tmp_path / "large.net")
    code, out, _ = call(capsys, "fit", net, "--json")
    assert code == 1
    said = json.loads(out)["advice"]
    code, out, _ = call(capsys, "check", net, "--chip", "loihi2", "--json")
    assert code == 1
    assert "; ".join(said) in [finding["what"] for finding in json.loads(out)["findings"]]
    code, out, _ = call(capsys, "fit", net)
    printed = " ".join(out.split())
    assert all(sentence in printed for sentence in said)


def test_export_writes_nothing_that_does_not_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    network, chip = too_large(4)
    monkeypatch.setitem(CHIPS, "loihi2", chip)
    net, out = write_netx(network, tmp_path / "large.net"), tmp_path / "out.net"
    code, _, err = call(capsys, "export", net, "-o", out, "--chip", "loihi2")
    assert code == 1
    assert not out.exists()
    _, advice = advise(network, chip)
    assert advice is not None
    assert advice.line in err


def test_check_says_what_a_network_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kernel = np.array([[[[2, -4], [6, 8]]]])
    net = write_netx(Network((1, 4, 4), (Conv(kernel, None, NEURON),), time_steps=4), tmp_path / "a.net")
    code, out, _ = call(capsys, "check", net, "--chip", "loihi2", "--json")
    assert code == 0
    assert "takes 1 of the 120 cores of Loihi 2" in out

"""What would make a network fit is said in one way: by ``fit``, ``check --chip``, ``export --chip`` and the report."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from circuit_networks import LATENTS, STEPS, circuit_generator, host_generator

import esvae
from command import call
from deploy.report import sections
from export.circuit.generator import CircuitOptions, with_circuit
from export.circuit.tables import TableOptions
from export.ir import Conv, ConvTranspose, Dense, Lif, Network
from export.netx.write import write_netx
from export.readout import with_spike_readout
from sim.fit.chips import CHIPS, LOIHI2, Chip

NEURON = Lif(4096, 3072, 51)
CIRCUIT = CircuitOptions(0, TableOptions(noise_bits=16))


def too_large(seed: int) -> tuple[Network, Chip]:
    """A network, and a chip that does not hold it: for one neuron's inputs, for its neurons, for its synapses, or, of
    a generator that draws for itself, for its circuit, where its decoder alone may fit."""
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
    if seed % 5 == 2:
        drawing = circuit_generator(chained=seed % 2 == 0, components=seed % 4 + 1, seed=seed)
        return drawing, dataclasses.replace(LOIHI2, usable_cores=seed % 3 + 1)
    if seed % 10 == 3:
        spikes = rng.integers(0, 2, (5, STEPS, LATENTS, 1, 1), dtype=np.uint8)
        drawing = with_circuit(with_spike_readout(host_generator(chained=False), 8, spikes), CIRCUIT)
        return drawing, dataclasses.replace(LOIHI2, usable_cores=seed % 3 + 1)
    a, b, c = (int(n) for n in rng.integers((150, 250, 150), (250, 400, 250)))
    pair = (Dense(weights(b, a), None, NEURON), Dense(weights(c, b), None, NEURON))
    return Network((a,), pair, time_steps=4), dataclasses.replace(LOIHI2, usable_cores=1)


def file_and_chip(seed: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a network that the chip called ``loihi2`` does not hold."""
    network, chip = too_large(seed)
    monkeypatch.setitem(CHIPS, "loihi2", chip)
    return write_netx(network, folder / "large.net", stock=False)


@pytest.mark.parametrize("seed", range(50))
def test_all_commands_give_one_answer(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    net, out = file_and_chip(seed, tmp_path, monkeypatch), tmp_path / "out.net"
    code, told, _ = call(capsys, "fit", net, "--json")
    fit = json.loads(told)
    assert (code, fit["fits"]) == (1, False)
    line = "; ".join(fit["advice"])
    code, told, _ = call(capsys, "check", net, "--chip", "loihi2", "--json")
    assert code == 1
    heaviest = max(fit["layers"], key=lambda layer: (layer["problem"] is not None, layer["cores"]))
    expected = {"severity": "error", "where": heaviest["layer"], "what": line}
    assert json.loads(told)["findings"].count(expected) == 1
    code, _, err = call(capsys, "export", net, "-o", out, "--chip", "loihi2", "--lowering", "native")
    assert code == 1
    assert err.strip().endswith(f"--chip loihi2: {line}")
    assert not out.exists()
    shown = sections.fit(esvae.load(net).fit())  # as the report and a notebook show it
    assert "; ".join(shown["advice"]) == line
    assert [way["what"] for way in shown["other_ways"][-len(fit["remedies"]) :]] == [
        remedy["what"] for remedy in fit["remedies"]
    ]


@pytest.mark.parametrize("seed", [2, 4])
def test_people_read_every_sentence(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    net = file_and_chip(seed, tmp_path, monkeypatch)
    said = json.loads(call(capsys, "fit", net, "--json")[1])["advice"]
    code, out, _ = call(capsys, "fit", net)
    assert code == 1
    printed = " ".join(out.split())
    assert said
    assert all(sentence in printed for sentence in said)


@pytest.mark.parametrize("cores", [3, 4])
@pytest.mark.parametrize("chained", [True, False])
def test_a_generator_fits_with_its_circuit_or_not_at_all(
    *, chained: bool, cores: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CHIPS, "loihi2", dataclasses.replace(LOIHI2, usable_cores=cores))
    net, out = write_netx(circuit_generator(chained=chained), tmp_path / "a.net"), tmp_path / "out.net"
    codes = {
        call(capsys, *words)[0]
        for words in (("fit", net), ("check", net, "--chip", "loihi2"), ("export", net, "-o", out, "--chip", "loihi2"))
    }
    assert codes == {0 if cores == 4 else 1}  # source, latents, and two layers of the decoder
    assert out.exists() == (cores == 4)


def test_check_says_what_a_network_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kernel = np.array([[[[2, -4], [6, 8]]]])
    net = write_netx(Network((1, 4, 4), (Conv(kernel, None, NEURON),), time_steps=4), tmp_path / "a.net")
    code, out, _ = call(capsys, "check", net, "--chip", "loihi2", "--json")
    assert code == 0
    assert "takes 1 of the 120 cores of Loihi 2" in out

"""Pictures that leave as spikes, from export to every command: host-fed, and of a generator with no host."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from circuit_networks import LATENTS, STEPS, host_generator
from typer.testing import CliRunner

from command import answer
from deploy.app import application
from deploy.backends import BackendJob, run_backend
from deploy.entering import InputOptions, enter
from deploy.generate import generate_file
from deploy.simulate import OutputFiles, simulate_file
from deploy.verify import verify
from export.circuit.generator import CircuitOptions, with_circuit
from export.circuit.tables import TableOptions
from export.ir import CircuitPrior, Network
from export.netx import read_netx
from export.netx.write import write_netx
from export.readout import with_spike_readout
from sim.circuit import circuit_windows
from sim.readout import potentials_from_spikes
from sim.sampler import draw_latents
from sim.stimulus import with_read_phase
from sim.twin.engine import Engine

READ = 6


@cache
def generator(*, chained: bool, chip: bool) -> Network:
    if chip:
        return with_circuit(generator(chained=chained, chip=False), CircuitOptions(0, TableOptions(noise_bits=16)))
    network = host_generator(chained=chained)
    return with_spike_readout(network, READ, draw_latents(network, 7, np.arange(32)))


def file(folder: Path, *, chained: bool, chip: bool) -> Path:
    return write_netx(generator(chained=chained, chip=chip), folder / "spikes.net")


@pytest.fixture(params=["host dense", "host conv", "chip dense", "chip conv"])
def net(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return file(tmp_path, chained="dense" in request.param, chip="chip" in request.param)


@pytest.mark.parametrize("backend", ["reference", "onnx"])
def test_every_integer(net: Path, backend: str) -> None:
    verdict = verify(net, 5, against=(backend,))
    assert verdict.equal, verdict.differences


def test_pictures_are_told_by_spikes_alone(net: Path, tmp_path: Path) -> None:
    """Of many images at once and of a few at a time, whatever runs them."""
    network = read_netx(net)
    latents = draw_latents(network, 0, np.arange(7))
    assert latents.shape == (7, STEPS, LATENTS)
    wanted = potentials_from_spikes(network, Engine(network).traces(latents)[-1].s)
    assert len(np.unique(wanted)) > 3
    job = BackendJob(net, enter(network, InputOptions(7)))
    for backend in ("twin", "reference"):
        np.testing.assert_array_equal(run_backend(backend, job).potentials, wanted)
    np.testing.assert_array_equal(generate_file(net, 7, tmp_path / "out", chunk=3).potentials(), wanted)
    shares: list[float] = []
    run_backend("twin", BackendJob(net, job.entering, progress=lambda share, _: shares.append(share)))
    assert shares[-1] == 1


def test_few_images_at_a_time_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = file(tmp_path, chained=True, chip=False)
    job = BackendJob(net, enter(read_netx(net), InputOptions(9)))
    whole = run_backend("twin", job).potentials
    monkeypatch.setattr("deploy.backends.registry._TRACES", 1)
    shares: list[float] = []
    few = run_backend("twin", BackendJob(net, job.entering, progress=lambda share, _: shares.append(share)))
    np.testing.assert_array_equal(few.potentials, whole)
    assert shares == sorted(shares)
    assert len(shares) == 9


def test_the_circuit_fires_what_the_read_phase_wants(tmp_path: Path) -> None:
    """The latents fall silent behind the image's steps, and the drives fire instead: at every one of 300 windows."""
    network = read_netx(file(tmp_path, chained=True, chip=True))
    assert isinstance(network.prior, CircuitPrior)
    _, fired = circuit_windows(network.prior, STEPS + READ, 0, 300)
    latents = draw_latents(network, 0, np.arange(300))
    assert latents.mean() > 0.1
    np.testing.assert_array_equal(fired, with_read_phase(network, latents))


def test_latents_go_back_in(tmp_path: Path) -> None:
    """Both what is saved, which has the read phase, and latents alone."""
    net, saved, alone = file(tmp_path, chained=False, chip=False), tmp_path / "l.npy", tmp_path / "alone.npy"
    network = read_netx(net)
    simulate_file(net, InputOptions(4), OutputFiles(tmp_path / "a.png", saved))
    np.save(alone, draw_latents(network, 0, np.arange(4)))
    for spikes in (saved, alone):
        simulate_file(net, InputOptions(latents=spikes), OutputFiles(tmp_path / "b.png"))
        assert (tmp_path / "b.png").read_bytes() == (tmp_path / "a.png").read_bytes()


def test_onnx_files_draw_the_same_pictures(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    from export.onnx.write import write_onnx
    from sim.readout import images_from_potentials

    network = read_netx(file(tmp_path, chained=False, chip=False))
    write_onnx(network, tmp_path / "a.onnx")
    latents = draw_latents(network, 0, np.arange(5))
    spikes = with_read_phase(network, latents).reshape(5, STEPS + READ, *network.input_shape)
    session = runtime.InferenceSession(tmp_path / "a.onnx", providers=["CPUExecutionProvider"])
    [image] = session.run(["image"], {"spikes": spikes})
    told = potentials_from_spikes(network, Engine(network).traces(latents)[-1].s)
    np.testing.assert_allclose(image, images_from_potentials(network, told), atol=2.0**-24)


def test_commands(net: Path) -> None:
    read = answer("inspect", net)["readout"]
    assert read["read_steps"] == READ
    assert answer("fit", net)["fits"] is True
    assert answer("energy", net, "-n", 5)["counts"]["layers"][-1]["spikes"] > 0
    assert answer("plan", net, "-n", 2)["steps"] == STEPS + READ
    assert answer("probe", net, "-n", 1500)["holds"] is True
    result = CliRunner().invoke(application(["inspect"]), ["inspect", str(net)])
    assert f"first spikes in the last {READ} steps" in result.output

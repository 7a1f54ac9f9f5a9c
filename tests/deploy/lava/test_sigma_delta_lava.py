"""Sigma-delta networks on stock Lava: the one that lava-dl records for its own tests, and random ones."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from fuzz import cases, differences, part_of

from deploy.lava.jobs import SamplesJob
from deploy.lava.run import run_lava
from deploy.verify import verify
from export.ir import Conv, Delta, Dense, InputNeurons, Network, Sigma, SigmaDelta
from export.netx import read_netx, write_netx
from sim.stimulus import Stimulus, Timing, as_stimulus
from sim.trace import first_difference, named_traces
from sim.twin.engine import Engine

pytestmark = [pytest.mark.lava, pytest.mark.slow]
NETWORKS = 12


@pytest.fixture(scope="module")
def recorded() -> Path:
    """PilotNet as lava-dl's wheel holds it, with what Lava computed when it was recorded."""
    found = importlib.util.find_spec("lava")
    folders = [] if found is None else [Path(place).parent for place in found.submodule_search_locations or []]
    places = [folder / "tests/lava/lib/dl/netx/gts/pilotnet_sdnn" for folder in folders]
    return next((place for place in places if place.exists()), None) or pytest.skip("no example files here")


def test_pilotnet_gives_the_sums_and_outputs_that_were_recorded(recorded: Path) -> None:
    network = read_netx(recorded / "network.net")
    frame = np.load(recorded / "input.npy")[..., 0].T
    steps = np.load(recorded / "output.npy").shape[-1]
    stimulus = Stimulus(None, frame[None], steps, Timing(stagger=True))
    traces = Engine(network).traces(stimulus)
    assert np.array_equal(traces[-1].s[0].T, np.load(recorded / "output.npy"))
    for layer in (1, 2):
        sums = np.load(recorded / f"sigma{layer}.npy").transpose(3, 2, 1, 0)[1:steps]
        assert np.array_equal(traces[layer].u[0, 1:], sums)


@pytest.mark.timeout(600)
def test_pilotnet_on_lava_equals_the_twin_on_frames_that_change(recorded: Path) -> None:
    path = recorded / "square_network.net"
    network = read_netx(path)
    rng = np.random.default_rng(0)
    frames = rng.integers(-64, 65, (1, 5, *network.input_shape))
    stimulus = as_stimulus(network, Stimulus(None, frames, 5, Timing(stagger=True)))
    run = run_lava(SamplesJob(path, stimulus, trace=True), stall_timeout=300)
    assert run.trace is not None
    assert first_difference(run.trace, named_traces(Engine(network).traces(stimulus), network)) is None


@pytest.mark.timeout(600)
def test_every_backend_agrees(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    layers = (
        Conv(2 * rng.integers(-20, 21, (3, 2, 3, 2)), rng.integers(-5, 30, 3), SigmaDelta(3), stride=(2, 1)),
        Conv(2 * rng.integers(-20, 21, (2, 3, 2, 2)), None, SigmaDelta(0), padding=(1, 0)),
    )
    network = Network((2, 7, 5), layers, time_steps=5, input_neurons=InputNeurons(Delta(1)))
    verdict = verify(write_netx(network, tmp_path / "a.net"), 2, against=("reference", "lava", "onnx"))
    assert verdict.equal, verdict.differences


@pytest.mark.timeout(600)
def test_fuzz_networks_on_lava_equal_the_twin(tmp_path: Path) -> None:
    drawn = cases(NETWORKS + 4, kind="sigma-delta")[:NETWORKS]
    assert len(drawn) == NETWORKS
    tried = part_of(drawn, 4)
    assert list(differences(tried, tmp_path)) == [None] * len(tried)


@pytest.mark.timeout(600)
def test_products_of_delayed_synapses_wrap_one_by_one(tmp_path: Path) -> None:
    # Messages of 2^25 times 60, which netx shifts left by one bit: every product is beyond 31 bits.
    second = Dense(np.array([[60, 2], [-60, 62]]), None, Sigma(), np.array([[1, 0], [2, 1]]))
    layers = (Dense(np.array([[2], [4]]), None, Sigma()), second)
    network = Network((1,), layers, time_steps=6, input_neurons=InputNeurons(Delta(0)))
    frames = np.array([[[400_000], [-400_000], [399_999], [5], [-524_288], [524_287]]])
    path = write_netx(network, tmp_path / "a.net")
    stimulus = as_stimulus(network, Stimulus(None, frames, 6))
    run = run_lava(SamplesJob(path, stimulus, trace=True))
    assert run.trace is not None
    assert first_difference(run.trace, named_traces(Engine(network).traces(stimulus), network)) is None

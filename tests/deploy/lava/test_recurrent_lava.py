"""Recurrent layers on stock netx and Lava: random ones, what both matrices are loaded as, what nothing enters."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from fuzz import cases, differences, part_of

from deploy.lava.jobs import SamplesJob
from deploy.lava.run import run_lava_jobs
from esvae.errors import EsvaeError
from export.ir import Conv, Lif, Network, RecurrentDense
from export.netx.rules import loaded_values
from export.netx.write import write_netx
from sim.stimulus import Stimulus
from sim.trace import first_difference, named_traces
from sim.twin.engine import Engine

pytestmark = [pytest.mark.lava, pytest.mark.slow]
NETWORKS = 20
STEPS = 12
#: Neither current nor potential remembers, so that ``u`` is 64 times what arrives.
PLAIN = Lif(4096, 4096, 1)


@pytest.mark.timeout(600)
def test_random_recurrent_networks_on_lava_equal_the_twin(tmp_path: Path) -> None:
    drawn = part_of(cases(NETWORKS, 9, "recurrent"), 7)
    assert list(differences(drawn, tmp_path)) == [None] * len(drawn)
    fed_back = 0
    for network, stimulus in drawn:
        for layer, trace in zip(network.layers, Engine(network).traces(stimulus), strict=True):
            fed_back += isinstance(layer, RecurrentDense) and bool(layer.recurrent.any() and trace.s[:, :-1].any())
    assert fed_back > len(drawn) / 4


def network(weight: np.ndarray, recurrent: np.ndarray, bias: np.ndarray | None = None) -> Network:
    return Network((weight.shape[1],), (RecurrentDense(weight, recurrent, bias, PLAIN),))


ENTERING = np.array([[4, 0], [2, 6], [0, 8]])
MATRICES = {
    "mixed": np.array([[0, -2, 40], [8, 0, -6], [-4, 10, 0]]),
    "inhibitory": -2 * np.array([[0, 1, 5], [7, 0, 3], [2, 9, 0]]),
    "odd": np.array([[0, 127, -3], [5, 0, -41], [-7, 9, 0]]),
    "odd, past half": np.array([[0, 201, -3], [5, 0, -41], [-7, 9, 0]]),
    "beyond": np.array([[0, 255, -4], [6, 0, -256], [-8, 10, 0]]),
}


@pytest.mark.timeout(300)
def test_lava_computes_with_the_loaded_weights(tmp_path: Path) -> None:
    """Of matrices that ``write_netx`` takes and that it refuses: the file as it is, the twin with what netx loads."""
    spikes = (np.random.default_rng(0).random((2, STEPS, 2)) < 0.5).astype(np.uint8)
    jobs, wanted = [], []
    for number, recurrent in enumerate(MATRICES.values()):
        path = write_netx(network(ENTERING, MATRICES["mixed"]), tmp_path / f"{number}.net")
        with h5py.File(path, "r+") as file:
            file["layer/1/weight_rec"][:] = recurrent
        jobs.append(SamplesJob(path, Stimulus(spikes, None, STEPS), trace=True))
        both = [loaded(own, other) for own, other in ((ENTERING, recurrent), (recurrent, ENTERING))]
        wanted.append(named_traces(Engine(network(*both)).traces(spikes), network(*both)))
    for name, got, traces in zip(MATRICES, run_lava_jobs(jobs), wanted, strict=True):
        assert not isinstance(got, EsvaeError), got
        assert first_difference(got.trace or {}, traces) is None, name


def loaded(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    present = np.unique(own)
    values = loaded_values(present, np.unique(other))
    assert np.array_equal(values, np.trunc(values))
    return values.astype(int)[np.searchsorted(present, own)]


@pytest.mark.timeout(300)
def test_biases_alone_drive_what_nothing_enters_and_many_channels_pool(tmp_path: Path) -> None:
    silent = network(np.zeros((3, 1), int), MATRICES["mixed"], np.array([3, 0, -1]))
    wide = np.zeros((130, 2, 2, 2), int)  # as a pool of 130 channels is read
    wide[np.arange(130), np.arange(130) % 2] = 40
    pooled = Network((130, 4, 4), (Conv(wide, None, Lif(4096, 1024, 50), (2, 2), groups=65),))
    rng = np.random.default_rng(0)
    stimuli = [
        Stimulus(np.zeros((1, STEPS, 1), np.uint8), None, STEPS),
        Stimulus((rng.random((1, STEPS, 130, 4, 4)) < 0.3).astype(np.uint8), None, STEPS),
    ]
    jobs = [
        SamplesJob(write_netx(made, tmp_path / f"{k}.net"), stimulus, trace=True)
        for k, (made, stimulus) in enumerate(zip((silent, pooled), stimuli, strict=True))
    ]
    for made, stimulus, got in zip((silent, pooled), stimuli, run_lava_jobs(jobs), strict=True):
        assert not isinstance(got, EsvaeError), got
        wanted = named_traces(Engine(made).traces(stimulus), made)
        assert first_difference(got.trace or {}, wanted) is None
        assert wanted["layer1.s"].any()

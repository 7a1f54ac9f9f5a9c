"""Graphs of the project's own making in Lava, and the sampler within, against the twin and the sampler's definition."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.lava.graph import generator_graph, image_graph
from deploy.lava.jobs import GraphJob, LavaJob, WindowsJob
from deploy.lava.rates import Rates, rates_from_prior
from deploy.lava.results import LavaRun
from deploy.lava.run import run_lava_jobs
from esvae.chip.formats import SpikeLaw
from esvae.errors import DataError, UnsupportedLayerError
from export.ir import Conv, ConvTranspose, Dense, Flatten, InputNeurons, Lif, Network, Prior
from export.netx.write import write_netx
from sim.sampler import draw_latents, initial_states, sample_spikes
from sim.stimulus import Stimulus
from sim.trace import first_difference, named_traces
from sim.twin.engine import Engine
from strategies import networks, spikes_for

pytestmark = pytest.mark.lava


def small(**more: object) -> Network:
    """A convolution on the latents, a transposed one, a plain one, and a dense readout; every kind of connection."""
    rng = np.random.default_rng(5)

    def weight(*shape: int) -> np.ndarray:
        return rng.integers(-60, 90, shape) * 2

    layers = (
        Conv(weight(4, 6, 2, 3), rng.integers(-30, 60, 4), Lif(4096, 3072, 150), padding=(1, 2)),
        ConvTranspose(
            weight(4, 4, 3, 3),
            rng.integers(-30, 60, (4, 4, 6)),
            Lif(2048, 3072, 200),
            (2, 2),
            (1, 1),
            (1, 1),
            (1, 1),
            1,
        ),
        Conv(weight(2, 2, 3, 2), None, Lif(4096, 1024, 300), padding=(1, 0), groups=2),
        Flatten(),
        Dense(weight(5, 40), rng.integers(-30, 30, 5), Lif((4096, 0, 2048, 4096, 1), 819, 131071)),
    )
    return Network((6, 1, 1), layers, time_steps=5, **more)  # type: ignore[arg-type]


def with_prior(network: Network) -> Network:
    rng = np.random.default_rng(8)
    latents = int(np.prod(network.input_shape))
    prior = Prior(
        weight=rng.normal(0, 1, (2, latents, 3)).astype(np.float32),
        bias=rng.normal(0, 1, (2, latents)).astype(np.float32),
        share=np.array([0.3, 0.7], np.float32),
    )
    return Network(network.input_shape, network.layers, network.time_steps, prior)


def lava_runs(jobs: list[LavaJob]) -> list[LavaRun]:
    """What Lava computes, from one interpreter."""
    runs = []
    for run in run_lava_jobs(jobs):
        assert isinstance(run, LavaRun), run
        runs.append(run)
    return runs


def assert_equal(network: Network, spikes: np.ndarray | Stimulus, run: LavaRun) -> None:
    assert run.trace is not None
    expected = named_traces(Engine(network).traces(spikes), network)
    found = first_difference(expected, run.trace)
    assert found is None, found
    np.testing.assert_array_equal(run.readout, expected[f"{network.array_names[-1]}.v"][:, -1])


def test_every_kind_of_layer() -> None:
    """Convolutions kept, some of them unrolled, all unrolled."""
    network = small()
    spikes = (np.random.default_rng(1).random((3, 5, 6, 1, 1)) < 0.6).astype(np.uint8)
    spikes[2] = spikes[0]
    graphs = [generator_graph(network, spikes, unroll_below=below) for below in (0, 100, 1 << 20)]
    for run in lava_runs([GraphJob(graph, trace=True) for graph in graphs]):
        assert_equal(network, spikes, run)
        np.testing.assert_array_equal(run.readout[2], run.readout[0])
        assert run.trace is not None
        assert all(0.02 < run.trace[f"{name}.s"].mean() < 0.98 for name in network.array_names[:3]), (
            "the test network should spike"
        )


def test_input_neurons_that_images_drive() -> None:
    """Window after window, each with pixels of its own."""
    network = small(input_neurons=InputNeurons(Lif(3000, 900, 400)))
    pixels = np.random.default_rng(3).integers(-200, 900, (3, 6, 1, 1))
    graphs = [image_graph(network, pixels, 5, unroll_below=below) for below in (0, 1 << 20)]
    for run in lava_runs([GraphJob(graph, trace=True) for graph in graphs]):
        assert_equal(network, Stimulus(None, pixels, 5), run)
        assert run.trace is not None
        assert 0.1 < run.trace["layer0.s"].mean() < 0.9
        assert (run.trace["layer0.s"][0] != run.trace["layer0.s"][1]).any(), "each image has its own pixels"


def test_images_need_input_neurons_and_spikes_none() -> None:
    with pytest.raises(UnsupportedLayerError, match="no integrate-and-fire neurons that images could drive"):
        image_graph(small(), np.zeros((1, 6, 1, 1), int), 5)
    driven = small(input_neurons=InputNeurons(Lif(4096, 900, 400)))
    with pytest.raises(UnsupportedLayerError, match="give them to image_graph"):
        generator_graph(driven, np.zeros((1, 5, 6, 1, 1), np.uint8))


def test_random_networks() -> None:
    drawn: list[tuple[Network, np.ndarray, int]] = []

    @settings(max_examples=8, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def collect(data: st.DataObject) -> None:
        network = data.draw(networks(transposed=True))
        drawn.append((network, data.draw(spikes_for(network)), data.draw(st.sampled_from([0, 1 << 20]))))

    collect()
    jobs: list[LavaJob] = [GraphJob(generator_graph(net, s, unroll_below=below), trace=True) for net, s, below in drawn]
    for (network, spikes, _), run in zip(drawn, lava_runs(jobs), strict=True):
        assert_equal(network, spikes, run)


def test_the_sampler_draws_what_its_definition_says() -> None:
    """Every code of interest, every step, images with large numbers: one comparison of every spike."""
    images, neurons = np.array([0, 5, 10**9]), 40
    weight = np.eye(neurons, dtype=np.int32) * 2
    drawn, jobs = [], list[LavaJob]()
    for sampler, (seed, steps, bits) in product(get_args(SpikeLaw), [(0, 5, 8), (2**64 - 1, 1, 16), (77, 16, 1)]):
        codes = np.linspace(0, 1 << bits, 3 * neurons).round().astype(np.int64).reshape(3, neurons)
        rates = Rates(codes, initial_states(seed, images, neurons), steps, bits, sampler)
        network = Network((neurons,), (Dense(weight, None, Lif(4096, 0, 131071)),), steps)
        jobs.append(GraphJob(generator_graph(network, rates), trace=True))
        drawn.append((codes, bits, sample_spikes(codes, rates.states, steps, bits, sampler)))
    for (codes, bits, expected), run in zip(drawn, lava_runs(jobs), strict=True):
        assert run.trace is not None
        np.testing.assert_array_equal(run.trace["latent.s"], expected)
        np.testing.assert_array_equal(run.readout, expected.astype(np.int64).sum(axis=1) * 2 << 6)
        by_neuron = run.trace["latent.s"].transpose(0, 2, 1)
        assert by_neuron[codes == 1 << bits].all()
        assert not by_neuron[codes == 0].any()


def test_images_of_the_prior(tmp_path: Path) -> None:
    """The same pictures from the host's sampler and the graph's, in stock netx and in the native graph."""
    rng = np.random.default_rng(2)
    plain = Network(
        (6, 1, 1),
        (
            Conv(rng.integers(-60, 90, (3, 6, 2, 2)) * 2, None, Lif(4096, 3072, 200), padding=(1, 1)),
            Conv(rng.integers(-60, 90, (2, 3, 1, 1)) * 2, np.array([7, -9]), Lif(4096, 819, 131071)),
        ),
        time_steps=4,
    )
    numbers = np.array([0, 1, 7])
    jobs, wanted = list[LavaJob](), []
    for sampler, levels in (("poisson", None), ("systematic", 3)):
        network = with_prior(plain)
        network = replace(network, prior=replace(network.prior, sampler=sampler, levels=levels))
        path = write_netx(network, tmp_path / f"{sampler}.net")
        rates = rates_from_prior(network, 3, numbers)
        spikes = draw_latents(network, 3, numbers)
        np.testing.assert_array_equal(rates.spikes().reshape(spikes.shape), spikes)
        jobs += [GraphJob(generator_graph(network, rates), trace=True), WindowsJob(path, rates, trace=True)]
        wanted += [(network, spikes)] * 2
    for (network, spikes), run in zip(wanted, lava_runs(jobs), strict=True):
        assert run.trace is not None
        np.testing.assert_array_equal(run.trace["latent.s"].reshape(spikes.shape), spikes)
        assert_equal(network, spikes[..., None, None], run)


def test_what_has_no_rates() -> None:
    with pytest.raises(DataError, match="has no prior in floats, so there are no rates for its sampler"):
        rates_from_prior(small(), 0, np.arange(2))
    counted = Rates(None, initial_states(0, np.arange(2), 3), 4, 8)
    with pytest.raises(DataError, match="counted in the graph"):
        counted.spikes()

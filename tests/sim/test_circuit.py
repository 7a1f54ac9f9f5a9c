"""The fast run of a circuit against the reference and the twin, and the order of its images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from circuit_networks import LATENTS, STEPS, circuit_generator

from esvae.errors import DataError, UnsupportedLayerError
from export.ir import CircuitPrior, Lif, Network
from export.ir.circuit import circuit_of, source_network
from sim import reference
from sim.circuit import CircuitRun, circuit_latents, circuit_windows
from sim.sampler import draw_latents
from sim.stimulus import Stimulus, Timing
from sim.twin.engine import Engine


def prior_of(network: Network) -> CircuitPrior:
    prior = circuit_of(network)
    assert prior is not None
    return prior


@pytest.mark.parametrize("components", [1, 3])
def test_fast_run_reference_and_twin_are_equal(components: int) -> None:
    """From power-on, 300 steps, resets where the plan has them: neurons without memory do not notice."""
    prior, steps = prior_of(circuit_generator(components=components)), 300
    silence = np.zeros((1, steps, 1), np.uint8)
    stimulus = Stimulus(silence, None, steps, Timing(STEPS, prior.layout.start, stagger=True))
    source, latents = CircuitRun(prior).advance(steps)
    network = source_network(prior)
    for traces in (list(reference.simulate(network, stimulus)), Engine(network).traces(stimulus)):
        np.testing.assert_array_equal(traces[0].s[0], source)
        np.testing.assert_array_equal(traces[1].s[0, 1:], latents[:-1])
    assert 0.1 < latents.mean() < 0.9


def test_steps_may_be_taken_in_parts() -> None:
    prior = prior_of(circuit_generator())
    whole, run = CircuitRun(prior).advance(90), CircuitRun(prior)
    parts = [run.advance(steps) for steps in (1, 50, 0, 39)]
    for k in range(2):
        np.testing.assert_array_equal(np.concatenate([part[k] for part in parts]), whole[k])
    assert run.steps == 90


def test_images_do_not_depend_on_the_order_in_which_they_are_asked_for() -> None:
    prior = prior_of(circuit_generator())
    spikes = circuit_latents(prior, STEPS, np.arange(40))
    assert spikes.shape == (40, STEPS, LATENTS)
    for wanted in ([39, 3, 4, 5, 0], [7], [7, 7, 8], list(range(39, -1, -1))):
        np.testing.assert_array_equal(circuit_latents(prior, STEPS, np.array(wanted)), spikes[wanted])
    source, latents = circuit_windows(prior, STEPS, 12, 15)
    np.testing.assert_array_equal(latents, spikes[12:15])
    assert source.shape == (3, STEPS, prior.source.outputs)


def test_one_image_after_the_other_has_one_component() -> None:
    """In a window of the source, exactly one mean fires, and the same at all of its steps."""
    prior = prior_of(circuit_generator())
    source, _ = circuit_windows(prior, STEPS, 0, 200)
    means = source[..., prior.layout.group("mean")]
    assert (means.sum(axis=2) == 1).all()
    assert (means == means[:, :1]).all()
    assert (means[:, 0].sum(axis=0) > 20).all()


def test_the_seed_is_the_files_own() -> None:
    one, other = (circuit_generator(seed=seed) for seed in (0, 9))
    images = np.arange(20)
    assert (draw_latents(one, 0, images) != draw_latents(other, 0, images)).any()
    np.testing.assert_array_equal(draw_latents(other, 9, images), draw_latents(other, 0, images))
    with pytest.raises(DataError, match="seed 3: this generator draws on the chip, from seed 9 of its file"):
        draw_latents(other, 3, images)


def test_neurons_that_remember_are_refused() -> None:
    prior = prior_of(circuit_generator())
    slow = replace(prior, latents=replace(prior.latents, neuron=Lif(4096, 4000, 0)))
    with pytest.raises(UnsupportedLayerError, match="latents of the circuit: expected decays of 4096"):
        CircuitRun(slow)

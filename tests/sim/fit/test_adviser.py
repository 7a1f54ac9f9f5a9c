"""Where one chip does not hold a network, what is said to help is the smallest change that does, and takes as said."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from circuit_networks import LATENTS, STEPS, circuit_generator, host_generator
from hypothesis import given, settings

from depth import examples
from esvae.errors import HardwareRangeError
from export.ir import ConvTranspose, Dense, Flatten, Lif, Network
from export.ir.circuit import whole_network
from export.pipeline import lowered
from export.readout import with_spike_readout
from sim.fit.adviser import advise, check_fits, fit_network
from sim.fit.board import crossings
from sim.fit.chips import LOIHI2
from sim.fit.mapping import map_network
from sim.fit.thinner import thinner
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
    unrolled, _, _ = lowered(plain, "dense")
    few = dataclasses.replace(LOIHI2, usable_cores=3)
    with pytest.raises(HardwareRangeError, match=r"fit with --lowering subpixel \(3 cores\)"):
        check_fits(unrolled, few, plain)
    _, advice = advise(plain, dataclasses.replace(LOIHI2, usable_cores=1))
    assert advice is not None
    assert not any("native" in remedy.what for remedy in advice.remedies)  # which is how it is


@pytest.mark.parametrize("chained", [True, False])
def test_only_the_decoder_of_a_generator_that_draws_is_changed(*, chained: bool) -> None:
    network, plain = circuit_generator(chained=chained), host_generator(chained=chained)
    few = dataclasses.replace(LOIHI2, usable_cores=3)
    mapping, advice = advise(network, few)
    assert mapping == map_network(whole_network(network), few)
    assert advice is not None
    assert advise(network, few, plain) == (mapping, advice)  # as it is exported, its layers as they were
    remedies = {remedy.what: remedy for remedy in advice.remedies}
    assert remedies["--generator host"].cores == map_network(plain, few).cores == 2
    assert remedies["--weight-bits 2"].cores == 4  # source and latents keep their bits
    assert not any("mostly zeros" in sentence for sentence in advice.sentences)  # of the circuit
    fit = fit_network(network, few)
    assert fit.advice == advice
    assert fit.step is not None
    assert len(crossings(network, mapping)) == 1


def test_pixels_that_fire_are_advised_on_as_they_are_lowered() -> None:
    host = host_generator(chained=False)
    spikes = np.random.default_rng(0).integers(0, 2, (5, STEPS, LATENTS, 1, 1), dtype=np.uint8)
    reading = with_spike_readout(host, 8, spikes)
    few = dataclasses.replace(LOIHI2, usable_cores=1)
    assert advise(reading, few, host) == advise(reading, few)


def test_a_neuron_that_no_core_holds_is_said_so() -> None:
    one = Network((20_000,), (Dense(np.full((2, 20_000), 2, np.int16), None, NEURON),))
    with pytest.raises(HardwareRangeError, match=r"memory: one neuron needs 20,000.*; nothing that was tried fits"):
        check_fits(one, LOIHI2)


@settings(max_examples=examples(60))
@given(network=networks(transposed=True))
def test_a_thinner_network_is_sound_and_smaller(network: Network) -> None:
    narrow = thinner(network, 0.5)
    if narrow is None:
        assert any(not isinstance(layer, Dense | Flatten) and layer.groups > 1 for layer in network.layers)
        return
    assert narrow.shapes[-1] == network.shapes[-1]
    for thin, full in zip(narrow.shapes[:-1], network.shapes[:-1], strict=True):
        assert np.prod(thin) <= np.prod(full)

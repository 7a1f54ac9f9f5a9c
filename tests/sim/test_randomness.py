"""The battery: a perfect source passes it, each planted fault fails its check; and both samplers pass it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from circuit_networks import circuit_generator, host_generator

from esvae.errors import DataError
from export.circuit.law import SumLaw
from export.ir import Prior
from sim.probe import nearest_logistic, probe_generator
from sim.randomness import ALARM, bit_checks, exact_check, spike_checks

IMAGES, STEPS, LATENTS = 3000, 8, 12


def fair(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    probability = generator.uniform(0.02, 0.98, (IMAGES, LATENTS))
    spikes = generator.random((IMAGES, STEPS, LATENTS)) < probability[:, None]
    return spikes.astype(np.uint8), probability


def alarms(spikes: np.ndarray, probability: np.ndarray) -> list[str]:
    return [check.name for check in spike_checks(spikes, probability) if not check.holds]


def test_a_perfect_source_passes() -> None:
    """Twenty of them: 120 checks, so that an alarm comes once in 8,000 such runs; and no check is too shy either."""
    found = [check for seed in range(20) for check in spike_checks(*fair(seed))]
    assert all(check.holds for check in found)
    assert 0.25 < np.mean([check.p for check in found]) < 0.75
    generator = np.random.default_rng(1)
    bits = [check for _ in range(5) for check in bit_checks(generator.integers(0, 2, (4000, 30), dtype=np.uint8))]
    assert all(check.holds for check in bits)


def test_rates_that_never_vary_tell_nothing_of_each_other() -> None:
    probability = np.full((4000, 3), 0.5)
    found = spike_checks(np.random.default_rng(0).integers(0, 2, (4000, 8, 3), np.uint8), probability)
    assert not any("rates of" in check.name for check in found)
    assert all(check.p > 1e-6 for check in found)


def test_a_systematic_sampler_is_judged_by_its_counts() -> None:
    host = host_generator()
    assert isinstance(host.prior, Prior)
    found = probe_generator(replace(host, prior=replace(host.prior, sampler="systematic")), 2000)
    assert found.holds
    names = [check.name for check in found.checks]
    assert "counts: the rate's, rounded up or down" in names
    assert not any("spikes:" in name for name in names)


def test_rates_that_are_off() -> None:
    spikes, probability = fair()
    assert "spikes: rate of each latent" in alarms(spikes, np.clip(probability + 0.02, 0.01, 0.99))
    steeper = 1 / (1 + np.exp(-1.2 * np.log(probability / (1 - probability))))  # right on average, wrong as a law
    assert "spikes: rate by probability" in alarms(spikes, steeper)


def test_spikes_that_come_twice() -> None:
    spikes, probability = fair()
    spikes[:, 1::2] = spikes[:, ::2]
    assert "spikes: one latent within a window" in alarms(spikes, probability)


def test_latents_that_share_their_dice() -> None:
    generator = np.random.default_rng(2)
    _, probability = fair()
    spikes = (generator.random((IMAGES, STEPS, 1)) < probability[:, None]).astype(np.uint8)
    assert "spikes: two latents at a step" in alarms(spikes, probability)


def test_an_image_that_knows_the_next() -> None:
    """The fault of bits that are held for the next image and read as noise by the present one."""
    generator = np.random.default_rng(3)
    signs = generator.choice([-1.0, 1.0], (IMAGES + 1, LATENTS))
    probability = 0.5 + 0.3 * signs[:-1]
    pushed = probability + 0.05 * signs[1:]
    spikes = (generator.random((IMAGES, STEPS, LATENTS)) < pushed[:, None]).astype(np.uint8)
    assert "images: spikes of one, rates of the next" in alarms(spikes, probability)
    slow = np.repeat(probability[::2], 2, axis=0)
    again = (generator.random((IMAGES, STEPS, LATENTS)) < slow[:, None]).astype(np.uint8)
    assert "images: rates of one and the next" in alarms(again, slow)


@pytest.mark.parametrize(
    ("fault", "name"),
    [("biased", "bits: ones"), ("byte", "bits: bytes"), ("lag", "bits: one lane"), ("pair", "bits: two lanes")],
)
def test_bits_with_faults(fault: str, name: str) -> None:
    generator = np.random.default_rng(4)
    bits = generator.integers(0, 2, (8000, 24), dtype=np.uint8)
    if fault == "biased":
        bits[:, 3] |= generator.random(8000) < 0.1
    elif fault == "byte":
        bits[:, 7] = bits[:, 0] ^ bits[:, 1]  # no two of them are correlated
    elif fault == "lag":
        bits[:, 2] = np.resize(bits[:5, 2], 8000)
    else:
        bits[:, 9] = bits[:, 20]
    assert any(check.name.startswith(name) and not check.holds for check in bit_checks(bits))


def test_exact_checks() -> None:
    assert exact_check("identity", 0, 10).holds
    assert not exact_check("identity", 1, 10).holds


@pytest.mark.parametrize("components", [1, 3])
def test_the_chips_sampler_passes(components: int) -> None:
    found = probe_generator(circuit_generator(components=components), 4000)
    assert found.holds, [check for check in found.checks if not check.holds]
    assert [check.value for check in found.checks[:2]] == [0, 0]
    assert (found.sampler, found.images) == ("chip", 4000)
    assert 0 < found.law_error < 0.04  # sixteen bits; with sixty-four it is .014


def test_the_hosts_sampler_passes_the_same() -> None:
    found = probe_generator(host_generator(), 4000, seed=5)
    assert found.holds, [check for check in found.checks if not check.holds]
    assert found.sampler == "host"
    chip = probe_generator(circuit_generator(), 1000)
    assert [check.name for check in found.checks] == [check.name for check in chip.checks[2:]]


def test_what_cannot_be_probed() -> None:
    with pytest.raises(DataError, match="999 images: expected at least 1000"):
        probe_generator(host_generator(), 999)
    with pytest.raises(DataError, match="seed 4: this generator draws on the chip"):
        probe_generator(circuit_generator(), 1000, seed=4)


def test_the_nearest_logistic() -> None:
    """A normal sum is .0095 away from it at best (Camilli 1994)."""
    assert 0.009 < nearest_logistic(SumLaw(np.repeat([3, 5], 32))) < 0.02
    assert 0 < ALARM < 1e-3

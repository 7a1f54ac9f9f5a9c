"""Probing a generator's dice: what it is made of, exactly, and the battery of :mod:`sim.randomness` over many images.

The same for both samplers. A circuit's raw bits are the lanes of its register, and each spike's probability follows
exactly from the weights: what the latents add up at an image, less the noise, whose law is known. The host's raw bits
are the numbers that its shift registers give, and each spike's probability is its rate code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from esvae.errors import DataError
from esvae.machine.progress import Progress
from export.circuit.law import SumLaw, logistic_error
from export.ir import CircuitPrior, Network, Prior
from export.ir.circuit import circuit_of
from sim.circuit import circuit_windows
from sim.randomness import RandomnessCheck, bit_checks, exact_check, spike_checks
from sim.sampler import advance, check_circuit_seed, draw_latents, initial_states, prior_codes

__all__ = ["FEWEST_PROBED", "Probe", "nearest_logistic", "probe_generator"]

#: Images below which the deviates are too few, or too far from normal, to judge.
FEWEST_PROBED = 1000
_CHUNK = 1000
#: Raw bits that the host's numbers are looked at for, at most.
_HOST_BITS = 1 << 25
#: Keeps deviates finite where a spike is certain.
_CERTAIN = 1e-9


@dataclass(frozen=True)
class Probe:
    """What was found.

    Attributes:
        sampler: ``chip`` or ``host``.
        images, steps, latents: that were drawn.
        rate, silent: share of steps with a spike; share of windows in which a latent never fires.
        law_error: largest distance of a spike's probability from the nearest logistic of the logit; 0 on the host, but
            for the rounding of rate codes.
        checks: the questions and answers.
    """

    sampler: str
    images: int
    steps: int
    latents: int
    rate: float
    silent: float
    law_error: float
    checks: tuple[RandomnessCheck, ...]

    @property
    def holds(self) -> bool:
        """Whether no check raises an alarm."""
        return all(check.holds for check in self.checks)


def probe_generator(network: Network, images: int, seed: int = 0, progress: Progress | None = None) -> Probe:
    """Draws many images' latent spikes, from image 0 on, and asks whether they are random as they should be.

    Args:
        network: with a prior of either kind and a window.
        images: how many; 10^5 show correlations between neighbours of .003 each, and of far less together.
        seed: of the host's sampler; a circuit's is its own.
        progress: called with the share done and what is being done.

    Raises:
        DataError: no prior or window, too few images, or another seed than a circuit's.
    """
    report = progress or (lambda share, text: None)
    if images < FEWEST_PROBED:
        raise DataError(f"{images} images: expected at least {FEWEST_PROBED}, to tell chance from fault")
    if network.time_steps is None or network.prior is None:
        raise DataError("this network has no prior to draw latent spikes from")
    circuit = circuit_of(network)
    if circuit is None:
        facts, bits, spikes, probability = _host(network, seed, images, report)
        law_error = 0.0
    else:
        check_circuit_seed(circuit, seed)
        facts, bits, spikes, probability = _chip(network, circuit, images, report)
        law_error = nearest_logistic(_law(circuit, 0))
    report(0.8, "battery")
    checks = [*facts, *bit_checks(bits)]
    if network.sampler == "poisson":  # evenly spaced spikes are no independent ones, and need not be
        checks += spike_checks(spikes, np.clip(probability, _CERTAIN, 1 - _CERTAIN))
    silent = float((spikes.sum(axis=1) == 0).mean())
    drawn, steps, latents = spikes.shape
    sampler = "host" if circuit is None else "chip"
    return Probe(sampler, drawn, steps, latents, float(spikes.mean()), silent, law_error, tuple(checks))


def nearest_logistic(law: SumLaw) -> float:
    """The distance of a law from the logistic that is closest to it."""
    units = np.linspace(0.02, 0.2, 91) * law.reach
    return min(logistic_error(law, float(unit)) for unit in units)


def _noise(circuit: CircuitPrior) -> np.ndarray:
    """Sizes of the signs that are noise, ``(latents, bits)``: half of the OR neurons' weights."""
    lanes = circuit.layout.group("lane").start + 2 * np.arange(circuit.layout.noise)
    sizes: np.ndarray = circuit.latents.weight[:, lanes].astype(np.int64) // 2
    return sizes


def _law(circuit: CircuitPrior, latent: int) -> SumLaw:
    return SumLaw(_noise(circuit)[latent])


#: Exact facts, raw bits ``(steps, lanes)``, spikes ``(images, steps, latents)``, their probabilities.
_Seen: TypeAlias = tuple[list[RandomnessCheck], np.ndarray, np.ndarray, np.ndarray]


def _chip(network: Network, circuit: CircuitPrior, images: int, report: Progress) -> _Seen:
    steps, fired = network.time_steps or 1, slice(network.latents)  # drives of a read phase behind them draw nothing
    layout, weight = circuit.layout, circuit.latents.weight[fired].astype(np.int32)
    lane, mean = layout.group("lane"), layout.group("mean")
    # A bit b adds its weight w; as a sign it adds half of it, and half is there always.
    always = _noise(circuit).sum(axis=1) + (0 if circuit.latents.bias is None else circuit.latents.bias)
    always = always[fired]
    bits, spikes, drives = [], [], []
    several = 0
    for first in range(0, images, _CHUNK):
        stop = min(first + _CHUNK, images)
        source, latents = circuit_windows(circuit, steps, first, stop)
        pairs = source[..., lane].reshape(-1, (lane.stop - lane.start) // 2, 2)
        bits.append(pairs[..., 0] - pairs[..., 1])
        spikes.append(latents[:, : network.image_steps, fired])
        held = source[:, 0].astype(np.int32)
        held[:, lane] = 0
        drives.append(held @ weight.T + always)
        if mean.stop > mean.start:
            several += int((source[..., mean].sum(axis=2) != 1).sum())
        report(0.8 * stop / images, "draw")
    lanes, drive = np.concatenate(bits), np.concatenate(drives)
    sequence, (p, q) = lanes.ravel(), layout.feedback
    wrong = int((sequence[p:] != sequence[p - q : -q] ^ sequence[:-p]).sum())
    facts = [
        exact_check(f"bits: s(k) = s(k-{p}) xor s(k-{q})", wrong, sequence.size - p),
        exact_check("components: exactly one at a step", several, images * steps),
    ]
    probability = np.stack([_law(circuit, at).fires(drive[:, at]) for at in range(drive.shape[1])], axis=1)
    return facts, lanes, np.concatenate(spikes), probability


def _host(network: Network, seed: int, images: int, report: Progress) -> _Seen:
    prior = network.prior
    steps = network.image_steps
    if not isinstance(prior, Prior) or steps is None:
        raise DataError("this network has no prior in floats to draw from")
    latents = prior.bias.shape[1]
    spikes, codes = [], []
    for first in range(0, images, _CHUNK):
        numbers = np.arange(first, min(first + _CHUNK, images))
        spikes.append(draw_latents(network, seed, numbers))
        codes.append(prior_codes(prior, seed, numbers))
        report(0.8 * (numbers[-1] + 1) / images, "draw")
    systematic = prior.sampler == "systematic"
    numbers_drawn = 1 if systematic else steps  # by each register, of each image
    looked = min(images, _HOST_BITS // (numbers_drawn * latents * prior.rate_bits))
    states, bits = initial_states(seed, np.arange(looked), latents), []
    for _ in range(numbers_drawn):
        states = advance(states, prior.rate_bits)
        bits.append((states[..., None] >> np.arange(prior.rate_bits, dtype=np.uint32)) & np.uint32(1))
    # Step after step of one image, then of the next one.
    raw = np.stack(bits, axis=1).astype(np.uint8).reshape(looked * numbers_drawn, -1)
    drawn, whole = np.concatenate(spikes), np.concatenate(codes)
    facts = [_count_check(drawn, whole, prior.rate_bits)] if systematic else []
    return facts, raw, drawn, whole / (1 << prior.rate_bits)


def _count_check(spikes: np.ndarray, codes: np.ndarray, rate_bits: int) -> RandomnessCheck:
    """That every latent fires as often as its rate says, rounded up or down."""
    counts, wanted = spikes.sum(axis=1, dtype=np.int64), codes * spikes.shape[1]
    wrong = (counts < wanted >> rate_bits) | (counts > -(-wanted >> rate_bits))
    return exact_check("counts: the rate's, rounded up or down", int(wrong.sum()), wrong.size)

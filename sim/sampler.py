"""The samplers that a chip could hold: a counter and a linear feedback shift register for each latent neuron.

Integers only. A rate ``r`` in [0, 1] becomes the code ``c = round(r * 2^B)``. The neuron's 32 bit Galois LFSR starts
from a hash of (seed, image, neuron), so any image can be drawn alone, in any order, on any backend, with the same
spikes. Each time that it advances ``B`` bits, its low ``B`` bits are the next ``x``::

    poisson      at each step the next x;  s = x < c
    systematic   before the first step v = the next x, no other is drawn;
                 at each step v <- v + c;  s = v >= 2^B;  v <- v - s * 2^B

The systematic neuron integrates and fires: its spikes are evenly spaced, their number over T steps is ``c T / 2^B``
rounded up or down, its mean over all ``x`` exactly that (systematic sampling, Madow and Madow 1944). A rate that is a
multiple of 1/T, as counted ones are, gives its count exactly where T divides ``2^B``.

Prior: ``r = sigmoid(W n + b)``, ``n`` standard normal (and a component where the prior is a mixture), from one
generator for each (seed, image), rounded to a multiple of ``1 / levels`` where the prior has levels. Posterior: counted
spikes.
"""

from __future__ import annotations

import math

import numpy as np

from esvae.arrays import Float64, Int64, Integer, Real, UInt8, UInt32
from esvae.chip.formats import SpikeLaw
from esvae.errors import DataError
from export.ir import CircuitPrior, Network, Prior
from export.ir.limits import SPIKES
from sim.circuit import circuit_latents

__all__ = [
    "LFSR_TAPS",
    "advance",
    "check_circuit_seed",
    "codes_from_counts",
    "codes_from_rates",
    "draw_latents",
    "initial_states",
    "posterior_latents",
    "prior_codes",
    "prior_rates",
    "sample_spikes",
]

#: Feedback taps 32, 30, 26, 25 of a maximal-length 32 bit Galois LFSR that shifts right (Xilinx XAPP 052, table 3).
LFSR_TAPS = 0xA3000000

_U64 = np.uint64


def _mix(x: np.ndarray) -> np.ndarray:
    """The 64 bit finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    x = (x ^ (x >> _U64(30))) * _U64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> _U64(27))) * _U64(0x94D049BB133111EB)
    return x ^ (x >> _U64(31))


def initial_states(
    seed: int, images: Integer[np.ndarray, " images"], neurons: int
) -> UInt32[np.ndarray, "images neurons"]:
    """LFSR states from a hash of (seed, image, neuron).

    Args:
        seed: 0 to 2^64 - 1.
        images: image numbers.
        neurons: how many latent neurons.

    Returns:
        None of them zero, where an LFSR would stay.
    """
    if not 0 <= seed < 1 << 64:
        raise DataError(f"seed {seed}: expected 0 to 2^64 - 1")
    golden = _U64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        key = _mix(np.full(1, seed, _U64) + golden)
        key = _mix(key ^ (images.astype(_U64) + _U64(1)) * golden)
        key = _mix(key[:, None] ^ (np.arange(neurons, dtype=_U64) + _U64(1)) * golden)
    states = (key >> _U64(32)).astype(np.uint32)
    return np.where(states == 0, np.uint32(1), states)


def advance(states: UInt32[np.ndarray, "*shape"], bits: int) -> UInt32[np.ndarray, "*shape"]:
    """Shifts each 32 bit Galois LFSR ``bits`` times."""
    for _ in range(bits):
        states = (states >> np.uint32(1)) ^ (states & np.uint32(1)) * np.uint32(LFSR_TAPS)
    return states


def codes_from_rates(rates: Real[np.ndarray, "*shape"], rate_bits: int) -> Int64[np.ndarray, "*shape"]:
    """Rates in [0, 1] as codes 0 to 2^rate_bits, ties to even."""
    return np.rint(np.asarray(rates, np.float64) * (1 << rate_bits)).astype(np.int64)


def codes_from_counts(counts: Integer[np.ndarray, "*shape"], steps: int, rate_bits: int) -> Int64[np.ndarray, "*shape"]:
    """Spikes counted over ``steps`` as codes 0 to 2^rate_bits, rounded down: integer arithmetic throughout."""
    return (np.asarray(counts, np.int64) << rate_bits) // steps


def sample_spikes(
    codes: Integer[np.ndarray, "images neurons"],
    states: UInt32[np.ndarray, "images neurons"],
    steps: int,
    rate_bits: int,
    sampler: SpikeLaw = "poisson",
) -> UInt8[np.ndarray, "images steps neurons"]:
    """Draws spikes.

    Args:
        codes: rate codes 0 to 2^rate_bits.
        states: LFSR states before the first step.
        steps: length of the window.
        rate_bits: bits by which the LFSR advances for each number that is drawn.
        sampler: the law, see above.

    Returns:
        0 and 1.
    """
    spikes = np.empty((codes.shape[0], steps, codes.shape[1]), np.uint8)
    unit = 1 << rate_bits
    mask = np.uint32(unit - 1)
    if sampler == "systematic":
        potential = (advance(states, rate_bits) & mask).astype(np.int64)
        for t in range(steps):
            potential += codes
            spikes[:, t] = potential >= unit
            potential -= spikes[:, t].astype(np.int64) << rate_bits
        return spikes
    for t in range(steps):
        states = advance(states, rate_bits)
        spikes[:, t] = (states & mask).astype(np.int64) < codes
    return spikes


def prior_rates(
    prior: Prior, seed: int, images: Integer[np.ndarray, " images"]
) -> Float64[np.ndarray, "images latents"]:
    """The generator's firing rates, in (0, 1), for the given image numbers.

    Each image has a counter-based generator of its own (Philox, keyed by seed and image).
    """
    noise = np.empty((len(images), prior.weight.shape[2]))
    choice = np.empty(len(images))
    bits = np.random.Philox(key=np.array([seed, 0], np.uint64))
    draws, start = (
        np.random.Generator(bits),
        bits.state,
    )  # another key makes another generator; to construct one is slow
    for at, image in enumerate(images):
        start["state"]["key"][1] = image
        bits.state = start
        draws.standard_normal(out=noise[at])
        choice[at] = draws.random()
    edges = np.cumsum(prior.share.astype(np.float64))
    component = np.searchsorted(edges[:-1] / edges[-1], choice, side="right")
    logits = prior.bias.astype(np.float64)[component]
    for k in np.unique(component):
        chosen = component == k
        own, part = noise[chosen], logits[chosen]
        # Summed term by term: the same on every machine, which a BLAS product is not.
        for j in range(noise.shape[1]):
            part += own[:, j, None] * prior.weight[k, :, j].astype(np.float64)
        logits[chosen] = part
    return 1.0 / (1.0 + np.exp(-logits))


def prior_codes(prior: Prior, seed: int, images: Integer[np.ndarray, " images"]) -> Int64[np.ndarray, "images latents"]:
    """The generator's rate codes, 0 to 2^rate_bits, for the given image numbers."""
    rates = prior_rates(prior, seed, images)
    if prior.levels is None:
        return codes_from_rates(rates, prior.rate_bits)
    return codes_from_counts(np.rint(rates * prior.levels).astype(np.int64), prior.levels, prior.rate_bits)


def draw_latents(
    network: Network, seed: int, images: Integer[np.ndarray, " images"]
) -> UInt8[np.ndarray, "images steps latents"]:
    """Latent spikes, 0 and 1, from the network's prior, for the given image numbers.

    A prior on the chip draws its images in the order of their numbers from power-on; its seed is its own.

    Raises:
        DataError: the network has no prior or no window, there are too many spikes to hold, or a prior on the chip is
            asked for another seed.
    """
    steps = network.image_steps
    if network.prior is None or steps is None:
        raise DataError("this network has no prior to draw latent spikes from; give them with --latents FILE.npy")
    spikes = len(images) * steps * math.prod(network.input_shape)
    if spikes > SPIKES:
        drawn = f"{len(images)} images: {spikes:,} input spikes"
        raise DataError(f"{drawn}, at most {SPIKES:,} at a time; draw fewer images")
    if isinstance(network.prior, CircuitPrior):
        check_circuit_seed(network.prior, seed)
        fired = circuit_latents(network.prior, network.time_steps or steps, images)
        return fired[:, :steps, : network.latents]
    codes = prior_codes(network.prior, seed, images)
    states = initial_states(seed, images, codes.shape[1])
    return sample_spikes(codes, states, steps, network.rate_bits, network.sampler)


def check_circuit_seed(prior: CircuitPrior, seed: int) -> None:
    """Raises DataError where a circuit is asked for another seed than its own."""
    if seed not in (0, prior.layout.seed):
        raise DataError(
            f"seed {seed}: this generator draws on the chip, from seed {prior.layout.seed} of its file; leave the seed "
            "out, or export it again with that seed"
        )


def posterior_latents(
    network: Network, counts: np.ndarray, seed: int, images: Integer[np.ndarray, " images"]
) -> UInt8[np.ndarray, "images steps latents"]:
    """Latent spikes from what an encoder fired: counts over the window become rate codes, and these are sampled anew.

    The spikes of an image depend on its counts, its number and the seed alone, so every backend draws the same.

    Args:
        network: with a window; its prior says how many bits a rate code has (8 where it has none).
        counts: spikes of each latent neuron over the window, whole numbers 0 to the number of steps,
            ``(images, latents)``.
        seed: as in :func:`draw_latents`.
        images: image numbers.

    Returns:
        0 and 1.

    Raises:
        DataError: no window, or counts that do not fit network and image numbers.
    """
    steps = network.image_steps
    if steps is None:
        raise DataError("this network has no window, so spikes cannot be counted over it")
    counts = np.asarray(counts)
    wanted = (len(images), network.latents)
    if counts.shape != wanted:
        raise DataError(f"counts have shape {counts.shape}, expected {wanted}: images and latent neurons")
    if counts.dtype.kind not in "iu" or (counts.size and not 0 <= counts.min() <= counts.max() <= steps):
        raise DataError(f"counts must be whole numbers from 0 to {steps}, the steps of the window")
    bits = network.rate_bits
    codes = codes_from_counts(counts, steps, bits)
    states = initial_states(seed, images, counts.shape[1])
    return sample_spikes(codes, states, steps, bits, network.sampler)

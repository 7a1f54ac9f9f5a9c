"""The register: a primitive feedback, and bit for bit the sequence of its definition."""

from __future__ import annotations

import numpy as np
import pytest
from threshold_gates import gate_spikes, values_of

from esvae.errors import ConfigError
from export.circuit.gates import Circuit
from export.circuit.register import TRINOMIALS, Trinomial, register_for, seed_bits, shift_register
from export.circuit.window import power_on


def register_bits(trinomial: Trinomial, seed: np.ndarray, count: int) -> np.ndarray:
    """The sequence by its definition, seed first."""
    bits = seed.tolist()
    while len(bits) < count:
        bits.append(bits[-trinomial.p] ^ bits[-trinomial.q])
    return np.array(bits[:count])


def squared_modulo(polynomial: int, trinomial: Trinomial) -> int:
    """The square of a polynomial over GF(2), bit i the coefficient of x^i, modulo the trinomial."""
    square = int("0".join(bin(polynomial)[2:]), 2)  # squaring puts a zero between the coefficients
    p, q = trinomial.p, trinomial.q
    while square >> p:
        high = square >> p
        square = (square & ((1 << p) - 1)) ^ high ^ (high << q)
    return square


@pytest.mark.parametrize("trinomial", TRINOMIALS[:2], ids=str)
def test_the_trinomials_are_primitive(trinomial: Trinomial) -> None:
    """p is prime, so x^(2^p) = x says that the trinomial is irreducible (it has no root in GF(2), nor a factor of
    another degree, which would divide p); and 2^p - 1 is prime (Mersenne), so that all irreducible ones are primitive.
    """
    power = 2
    for _ in range(trinomial.p):
        power = squared_modulo(power, trinomial)
    assert power == 2
    lucas, mersenne = 4, (1 << trinomial.p) - 1
    for _ in range(trinomial.p - 2):
        lucas = (lucas * lucas - 2) % mersenne
    assert lucas == 0


def test_another_trinomial_fails_that_test() -> None:
    power = 2
    for _ in range(521):
        power = squared_modulo(power, Trinomial(521, 167))
    assert power != 2


@pytest.mark.parametrize("lanes", [1, 63, 105, 106, 122, 168])
def test_the_lanes_are_the_sequence(lanes: int) -> None:
    circuit, trinomial, steps = Circuit(), TRINOMIALS[0], 40
    seed = seed_bits(7, trinomial)
    bits = shift_register(circuit, lanes, trinomial, seed, power_on(circuit))
    spikes = gate_spikes(circuit, steps + 2)
    made = np.stack([values_of(bit, spikes) for bit in bits], axis=1)
    assert not made[0].any()  # the pulse comes at the first step; at the second the seed is there
    wanted = register_bits(trinomial, seed, trinomial.p + lanes * steps)[-lanes * (steps + 1) :]
    np.testing.assert_array_equal(made[1:].ravel(), wanted)
    assert len(circuit) == 2 + 2 * lanes + trinomial.p - lanes


def test_seeds() -> None:
    trinomial = TRINOMIALS[0]
    assert seed_bits(0, trinomial).shape == (521,)
    assert 200 < (seed_bits(0, trinomial) != seed_bits(1, trinomial)).sum() < 320
    np.testing.assert_array_equal(seed_bits((1 << 64) - 1, trinomial), seed_bits((1 << 64) - 1, trinomial))
    for seed in (-1, 1 << 64):
        with pytest.raises(ConfigError, match=r"expected 0 to 2\^64 - 1"):
            seed_bits(seed, trinomial)


def test_the_register_grows_with_the_lanes() -> None:
    assert register_for(168, (), 8) == (TRINOMIALS[0], 168)
    assert register_for(169, (), 8) == (TRINOMIALS[1], 169)
    with pytest.raises(ConfigError, match=r"1030 random bits a step in windows of 8 steps: .* \(at most 1029\)"):
        register_for(1030, (), 8)
    circuit = Circuit()
    start, seed = power_on(circuit), seed_bits(0, TRINOMIALS[0])
    with pytest.raises(ConfigError, match="169 lanes: expected 1 to 168"):
        shift_register(circuit, 169, TRINOMIALS[0], seed, start)


@pytest.mark.parametrize(("factors", "load", "made"), [(32, 2, 106), (8, 2, 84), (16, 2, 92), (32, 3, 118)])
def test_two_held_bits_decide_no_third(factors: int, load: int, made: int) -> None:
    """Counted bit by bit, over windows: of a bit and its two summands at most one is held."""
    needed, steps = 74 + factors, 8
    held = [(0, range(64, 74)), (load, range(74, needed))]
    trinomial, lanes = register_for(needed, held, steps)
    assert (trinomial, lanes) == (TRINOMIALS[0], made)

    def most(lanes: int) -> int:
        taken = np.zeros((40, lanes), int)
        for step, chosen in held:
            taken[step::steps, chosen] = 1
        bits = taken.ravel()
        p, q = trinomial.p, trinomial.q
        return int((bits[p:] + bits[p - q : -q] + bits[:-p]).max())

    assert most(lanes) == 1
    assert all(most(fewer) > 1 for fewer in range(needed, lanes))

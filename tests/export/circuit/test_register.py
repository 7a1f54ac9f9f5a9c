"""The register: a primitive feedback, and bit for bit the sequence of its definition."""

from __future__ import annotations

import numpy as np
import pytest
from threshold_gates import gate_spikes, values_of

from esvae.errors import ConfigError
from export.circuit.gates import Circuit
from export.circuit.register import TRINOMIALS, Trinomial, seed_bits, shift_register, trinomial_for
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
    assert trinomial_for(168).p == 521
    assert trinomial_for(169).p == 1279
    with pytest.raises(ConfigError, match="1030 random bits a step: at most 1029"):
        trinomial_for(1030)
    circuit = Circuit()
    start, seed = power_on(circuit), seed_bits(0, TRINOMIALS[0])
    with pytest.raises(ConfigError, match="169 lanes: expected 1 to 168"):
        shift_register(circuit, 169, TRINOMIALS[0], seed, start)

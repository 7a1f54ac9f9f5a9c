"""Random bits out of gates: a shift register with linear feedback that makes many bits a step.

The bits follow ``s_k = s_(k-p) xor s_(k-q)``, a Fibonacci register of a primitive trinomial ``x^p + x^q + 1`` over
GF(2) (Golomb, Shift Register Sequences, 1967), of period ``2^p - 1``. Step by step ``lanes`` of them come at once: lane
j of step t is bit ``t * lanes + j``. A sum of weights is no exclusive or, so each lane is two neurons, an OR and an AND
of the two bits, whose difference is it; the bits of earlier steps wait in relays, one neuron each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from esvae.arrays import UInt8
from esvae.errors import ConfigError
from export.circuit.gates import Circuit, Signal

__all__ = ["TRINOMIALS", "Trinomial", "register_for", "seed_bits", "shift_register"]


@dataclass(frozen=True)
class Trinomial:
    """``x^p + x^q + 1``, primitive over GF(2)."""

    p: int
    q: int


#: Primitive trinomials of Mersenne exponents (Zierler, Information and Control 15, 1969), shortest first.
TRINOMIALS = (Trinomial(521, 168), Trinomial(1279, 418), Trinomial(2281, 1029))


def register_for(lanes: int, held: Sequence[tuple[int, range]], steps: int) -> tuple[Trinomial, int]:
    """The shortest register, and the fewest lanes a step, of which two held bits never decide a third bit.

    Any bit is the exclusive or of two others. Where two of the three are held, the third, read as noise, would tell
    what they are together: the component and a factor of an image, or of the next one. More lanes move them apart.

    Args:
        lanes: that are needed; all that a step needs must be there the step before.
        held: step of the window at which bits are taken, and the lanes that they are.
        steps: of the window.

    Returns:
        The feedback, and how many lanes to make.

    Raises:
        ConfigError: no register makes so many, or keeps them apart.
    """
    for trinomial in TRINOMIALS:
        for made in range(lanes, trinomial.q + 1):
            if not _tied(trinomial, made, held, steps):
                return trinomial, made
    raise ConfigError(
        f"{lanes} random bits a step in windows of {steps} steps: no register makes so many (at most "
        f"{TRINOMIALS[-1].q}) and keeps those that are held apart; use a prior with fewer factors, or longer windows"
    )


def _tied(trinomial: Trinomial, lanes: int, held: Sequence[tuple[int, range]], steps: int) -> bool:
    """Whether two held bits, of one window or several, are as far apart as two of a bit and its summands."""
    taken = np.array([step * lanes + lane for step, chosen in held for lane in chosen], np.int64)
    window = steps * lanes
    apart = (taken[:, None] - taken) % window
    return any((apart == distance % window).any() for distance in (trinomial.p, trinomial.q, trinomial.p - trinomial.q))


def seed_bits(seed: int, trinomial: Trinomial) -> UInt8[np.ndarray, " p"]:
    """What a register holds when it starts, oldest bit first; never all zero, where it would stay.

    Args:
        seed: 0 to 2^64 - 1.
        trinomial: says how many bits.

    Raises:
        ConfigError: a seed out of range.
    """
    if not 0 <= seed < 1 << 64:
        raise ConfigError(f"seed {seed}: expected 0 to 2^64 - 1")
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, trinomial.p], np.uint64)))
    bits = generator.integers(0, 2, trinomial.p, dtype=np.uint8)
    bits[-1] |= not bits.any()
    return bits


def shift_register(
    circuit: Circuit, lanes: int, trinomial: Trinomial, seed: UInt8[np.ndarray, " p"], start: Signal
) -> list[Signal]:
    """A register of ``lanes`` bits a step.

    Args:
        circuit: that it is added to.
        lanes: at most ``q``.
        trinomial: of the feedback.
        seed: bits that it holds one step after ``start`` fired, oldest first.
        start: fires once, while the register is empty.

    Returns:
        The lanes, each a signal of 0 or 1.

    Raises:
        ConfigError: more lanes than the feedback allows.
    """
    p, q = trinomial.p, trinomial.q
    if not 1 <= lanes <= q:
        raise ConfigError(f"{lanes} lanes: expected 1 to {q}")
    pairs = [(circuit.neuron(f"lane.{j}.or"), circuit.neuron(f"lane.{j}.and")) for j in range(lanes)]
    bits = [either - both for either, both in pairs]
    # Bit -1 is the newest; what is older than one step has moved on to relays.
    history = {j - lanes: bit for j, bit in enumerate(bits)}
    for age in range(lanes + 1, p + 1):
        history[-age] = circuit.neuron(f"relay.{age}")

    def seeded(age: int) -> Signal:
        return start * int(seed[p - age])

    for age in range(lanes + 1, p + 1):
        circuit.drive(history[-age], history[lanes - age] + seeded(age), 1)
    for j, (either, both) in enumerate(pairs):
        summands = history[j - p] + history[j - q]
        circuit.drive(either, summands + seeded(lanes - j), 1)
        circuit.drive(both, summands, 2)
    return bits

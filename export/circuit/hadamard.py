"""Hadamard matrices: square, of signs, with orthogonal rows. They make uncorrelated sums of the same random bits."""

from __future__ import annotations

from itertools import count

import numpy as np

from esvae.arrays import Int64
from esvae.errors import ConfigError

__all__ = ["hadamard", "next_order", "two_sized_rows"]


def hadamard(order: int) -> Int64[np.ndarray, "order order"]:
    """A Hadamard matrix whose first row is all ones.

    By Sylvester's doubling as far as that goes, then by Paley's first construction from the quadratic residues of a
    prime ``order - 1`` that leaves 3 when divided by 4.

    Raises:
        ConfigError: an order that neither gives; :func:`next_order` finds one.
    """
    if order == 1:
        return np.ones((1, 1), np.int64)
    if _is_paley(order):
        return _paley(order)
    if order % 2 or not _exists(order // 2):
        raise ConfigError(f"no Hadamard matrix of order {order} is constructed here; next is {next_order(order)}")
    half = hadamard(order // 2)
    return np.block([[half, half], [half, -half]])


def next_order(least: int) -> int:
    """The smallest order, ``least`` or above, that :func:`hadamard` constructs."""
    return next(order for order in count(max(least, 1)) if _exists(order))


def two_sized_rows(rows: int, half: int, small: int, large: int) -> Int64[np.ndarray, "rows twice_half"]:
    """Exactly orthogonal rows of ``half`` entries of plus or minus ``small`` and as many of ``large``.

    They are rows of the orthogonal design ``[[a H, b H], [b H, -a H]]`` (Geramita and Seberry, Orthogonal Designs,
    1979), H a Hadamard matrix of order ``half``.

    Raises:
        ConfigError: more rows than entries, or no such order.
    """
    if not 1 <= rows <= 2 * half:
        raise ConfigError(f"{rows} orthogonal rows of {2 * half} entries: expected 1 to {2 * half}")
    signs = hadamard(half)
    return np.block([[small * signs, large * signs], [large * signs, -small * signs]])[:rows]


def _exists(order: int) -> bool:
    return order == 1 or _is_paley(order) or (order % 2 == 0 and _exists(order // 2))


def _is_paley(order: int) -> bool:
    prime = order - 1
    return prime % 4 == 3 and all(prime % divisor for divisor in range(2, int(prime**0.5) + 1))


def _paley(order: int) -> np.ndarray:
    prime = order - 1
    squares = {number * number % prime for number in range(1, prime)}
    character = np.array([0] + [1 if number in squares else -1 for number in range(1, prime)])
    matrix = np.ones((order, order), np.int64)
    at = np.arange(prime)
    # The first row is all ones; so is the first column, after each row below is brought to start with one.
    matrix[1:, 0] = -1
    matrix[1:, 1:] = character[(at[:, None] - at[None, :]) % prime] + np.eye(prime, dtype=np.int64)
    return matrix * matrix[:, :1]

"""Numbers with units, for people: three digits and an SI prefix."""

from __future__ import annotations

import math

__all__ = ["si", "si_range"]

_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}


def si(value: float, unit: str) -> str:
    """Three digits with the prefix that leaves one to three of them before the point.

    >>> si(0.00123, "J")
    '1.23 mJ'
    """
    exponent = _exponent(value)
    return f"{_digits(value / 10.0**exponent)} {_PREFIXES[exponent]}{unit}"


def si_range(low: float, high: float, unit: str) -> str:
    """A range in the unit of its higher end.

    >>> si_range(0.0004, 0.00123, "J")
    '0.40 to 1.23 mJ'
    """
    exponent = _exponent(high)
    return f"{_digits(low / 10.0**exponent)} to {_digits(high / 10.0**exponent)} {_PREFIXES[exponent]}{unit}"


def _exponent(value: float) -> int:
    if value == 0 or not math.isfinite(value):
        return 0
    third = math.floor(math.log10(abs(value) * (1 + 1e-9)) / 3) * 3
    return min(max(third, min(_PREFIXES)), max(_PREFIXES))


def _digits(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"

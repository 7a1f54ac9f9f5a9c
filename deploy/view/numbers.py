"""Numbers for people, the same in terminal, page and picture: units, intervals, as many digits as they are worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = [
    "NONE",
    "between",
    "ends",
    "energy",
    "interval",
    "layer_name",
    "percent",
    "power",
    "rounded",
    "seconds",
    "shape",
    "si",
    "si_range",
    "whole",
]

#: Stands where there is no number.
NONE = "–"

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


def whole(value: float | None) -> str:
    """Thousands set apart; one decimal where there is a fraction.

    >>> whole(12345), whole(1.5)
    ('12,345', '1.5')
    """
    if value is None:
        return NONE
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def rounded(value: float | None, digits: int = 3) -> str:
    """So many significant digits; small ones as a power of ten.

    >>> rounded(0.12345), rounded(0.00001234)
    ('0.123', '1.23 × 10⁻⁵')
    """
    if value is None:
        return NONE
    if value and abs(value) < 1e-3:
        return power(value, digits, trailing=True)
    return f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"


def power(value: float, digits: int = 3, *, trailing: bool = False) -> str:
    """At most so many significant digits times a power of ten; with zeros at their end if ``trailing``.

    >>> power(0.0015), power(0.0015, trailing=True)
    ('1.5 × 10⁻³', '1.50 × 10⁻³')
    """
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa if trailing else f'{float(mantissa):g}'} × 10{raised}"


def interval(estimate: Mapping[str, Any] | None, digits: int = 3) -> str:
    """A value with its 95 % interval."""
    if estimate is None or estimate["value"] is None:
        return NONE
    return rounded(estimate["value"], digits) + between(estimate, digits)


def between(estimate: Mapping[str, Any], digits: int = 3) -> str:
    """The interval alone, in brackets; nothing where there is none."""
    if estimate.get("low") is None or estimate.get("high") is None:
        return ""
    return f" [{rounded(estimate['low'], digits)}, {rounded(estimate['high'], digits)}]"


def percent(share: float | None, digits: int = 1) -> str:
    """A share as per cent.

    >>> percent(0.1234), percent(0.0001)
    ('12.3 %', '< 0.1 %')
    """
    if share is None:
        return NONE
    if 0 < abs(share) < 0.5 * 10.0 ** -(digits + 2):
        return f"< {10.0**-digits:.{digits}f} %"
    return f"{100 * share:.{digits}f} %"


def energy(quantity: Mapping[str, float] | None) -> tuple[str, str]:
    """Joules of an estimate, and its range."""
    return _with_range(quantity, "J")


def seconds(quantity: Mapping[str, float] | None) -> tuple[str, str]:
    """Seconds of an estimate, and its range."""
    return _with_range(quantity, "s")


def _with_range(quantity: Mapping[str, float] | None, unit: str) -> tuple[str, str]:
    if quantity is None:
        return NONE, NONE
    return si(quantity["value"], unit), si_range(quantity["low"], quantity["high"], unit)


def shape(sizes: Sequence[int] | None) -> str:
    """``(C, H, W)`` as ``C × H × W``."""
    return NONE if not sizes else " × ".join(map(str, sizes))


def ends(pair: Sequence[float] | None) -> str:
    """The smallest and the largest, one where they are equal.

    >>> ends((-2.5, 0.5)), ends((3, 3))
    ('-2.5..0.5', '3')
    """
    if pair is None or pair[0] is None:
        return NONE
    return f"{pair[0]:g}" if pair[0] == pair[1] else f"{pair[0]:g}..{pair[1]:g}"


def layer_name(label: str) -> str:
    """``layer 3 (conv)`` as it stands below the heading "layer".

    >>> layer_name("layer 3 (conv)")
    '3 (conv)'
    """
    return label.removeprefix("layer ")

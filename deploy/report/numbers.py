"""Numbers as the report writes them: with units, intervals and as many digits as they are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deploy.view.units import si, si_range

__all__ = ["between", "energy", "figure", "interval", "percent", "seconds", "shape", "whole"]

_NONE = "–"


def whole(value: float | None) -> str:
    """Thousands set apart; one decimal where there is a fraction."""
    if value is None:
        return _NONE
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def figure(value: float | None, digits: int = 3) -> str:
    """So many significant digits; small ones as a power of ten."""
    if value is None:
        return _NONE
    if value and abs(value) < 1e-3:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa} × 10{_raised(int(exponent))}"
    return f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"


def _raised(exponent: int) -> str:
    return str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def interval(estimate: Mapping[str, Any] | None, digits: int = 3) -> str:
    """A value with its 95 % interval."""
    if estimate is None or estimate["value"] is None:
        return _NONE
    return figure(estimate["value"], digits) + between(estimate, digits)


def between(estimate: Mapping[str, Any], digits: int = 3) -> str:
    """The interval alone, in brackets; nothing where there is none."""
    if estimate.get("low") is None or estimate.get("high") is None:
        return ""
    return f" [{figure(estimate['low'], digits)}, {figure(estimate['high'], digits)}]"


def percent(share: float | None, digits: int = 1) -> str:
    """A share as per cent."""
    if share is None:
        return _NONE
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
        return _NONE, _NONE
    return si(quantity["value"], unit), si_range(quantity["low"], quantity["high"], unit)


def shape(sizes: Sequence[int] | None) -> str:
    """``(C, H, W)`` as ``C × H × W``."""
    return _NONE if not sizes else " × ".join(map(str, sizes))

"""The points of a sweep: every combination of the settings that are varied."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from esvae.chip.rounding import MAX_WEIGHT_BITS, MIN_WEIGHT_BITS
from esvae.errors import ConfigError
from export.passes import CALIBRATIONS
from export.pipeline import DEFAULT_CALIBRATION, LOWERINGS

__all__ = ["LEARNED", "MAX_STEPS", "Grid", "Point", "parse_names", "parse_numbers"]

#: The longest window that a config can have.
MAX_STEPS = 1024

#: What stands for a calibration with a fine-tuned run, which brings the scales that it learned.
LEARNED = "learned"

_T = TypeVar("_T", int, str)


@dataclass(frozen=True, order=True)
class Point:
    """One export.

    Attributes:
        bits: of the weights, sign included.
        steps: window of an image.
        lowering: as asked for; ``auto`` comes to one of the others.
        calibration: how the scales are chosen; ``learned`` with ``qat``, which learns them.
        qat: from a run that was fine-tuned in the chip's integers with as many bits.
    """

    bits: int
    steps: int
    lowering: str = "auto"
    calibration: str = DEFAULT_CALIBRATION
    qat: bool = False

    @property
    def label(self) -> str:
        """``8 bit, 16 steps``, and what is not as ever.

        >>> Point(4, 8, "dense").label
        '4 bit, 8 steps, dense'
        """
        more = [self.lowering] if self.lowering != "auto" else []
        more += ["QAT"] if self.qat else [self.calibration] if self.calibration != DEFAULT_CALIBRATION else []
        return ", ".join([f"{self.bits} bit", f"{self.steps} steps", *more])


@dataclass(frozen=True)
class Grid:
    """What is varied, each in the order in which it was asked for.

    Raises:
        ConfigError: nothing to vary, a value twice, unknown or out of its range.
    """

    bits: tuple[int, ...]
    steps: tuple[int, ...]
    lowerings: tuple[str, ...] = ("auto",)
    calibrations: tuple[str, ...] = (DEFAULT_CALIBRATION,)
    qat: bool = False

    def __post_init__(self) -> None:
        bits = f"{MIN_WEIGHT_BITS} to {MAX_WEIGHT_BITS}"
        _check("--weight-bits", self.bits, lambda n: MIN_WEIGHT_BITS <= n <= MAX_WEIGHT_BITS, bits)
        _check("--steps", self.steps, lambda n: 1 <= n <= MAX_STEPS, f"1 to {MAX_STEPS}")
        _check("--lowering", self.lowerings, lambda name: name in LOWERINGS, ", ".join(LOWERINGS))
        _check("--calibration", self.calibrations, lambda name: name in CALIBRATIONS, ", ".join(CALIBRATIONS))

    def points(self) -> list[Point]:
        """All combinations; bits vary slowest. With ``qat`` there is a fine-tuned one beside the calibrated ones."""
        scales = [(name, False) for name in self.calibrations] + ([(LEARNED, True)] if self.qat else [])
        axes = itertools.product(self.bits, self.steps, self.lowerings, scales)
        return [Point(bits, steps, lowering, *scale) for bits, steps, lowering, scale in axes]


def _check(option: str, values: Sequence[_T], holds: Callable[[_T], bool], expected: str) -> None:
    if not values:
        raise ConfigError(f"{option}: nothing given, expected {expected}, by comma")
    for value in values:
        if not holds(value):
            raise ConfigError(f"{option} {value}: expected {expected}")
    if len(set(values)) < len(values):
        raise ConfigError(f"{option} {','.join(map(str, values))}: a value is there twice; leave it out once")


def parse_names(text: str) -> tuple[str, ...]:
    """``auto, dense`` as ``("auto", "dense")``."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def parse_numbers(text: str, option: str) -> tuple[int, ...]:
    """``8,6,4`` as ``(8, 6, 4)``.

    Raises:
        ConfigError: not whole numbers.
    """
    try:
        return tuple(int(name) for name in parse_names(text))
    except ValueError:
        raise ConfigError(f"{option} {text}: expected whole numbers by comma, such as 8,6,4") from None

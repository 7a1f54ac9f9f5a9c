"""Energy profiles: data files in which each figure has its unit, its source and its basis.

A profile is YAML (``sim/energy/profiles/`` holds those that come with the project, and tests check them). Everything in
another one is checked: unknown or repeated keys, figures without unit, source or basis, negative or unreadable numbers
are refused with file and line. That takes pydantic, whose import takes as long as a small network's fit to a chip.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, get_args, get_type_hints

from esvae.errors import ConfigError
from esvae.machine.located_yaml import load_yaml

__all__ = ["BASES", "Basis", "Figure", "Number", "Profile", "Text", "load_profile", "profile_names"]

#: How a figure came about, from the firmest to the weakest.
Basis: TypeAlias = Literal["measured", "fitted", "simulated", "assumed"]
BASES: tuple[Basis, ...] = ("measured", "fitted", "simulated", "assumed")

_SI = {"": 1.0, "f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3}


class _Number:
    """Finite, zero or more, and no truth value."""

    def __get_pydantic_core_schema__(self, *_: Any) -> Any:
        from pydantic_core import core_schema

        number = core_schema.float_schema(ge=0, allow_inf_nan=False)
        return core_schema.no_info_before_validator_function(_no_truth_value, number)


def _no_truth_value(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("expected a number, got a truth value")
    return value


@dataclass(frozen=True)
class Text:
    """Of one character or more, at the most so many, and as a regular expression says."""

    most: int | None = None
    pattern: str | None = None

    def __get_pydantic_core_schema__(self, *_: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.str_schema(min_length=1, max_length=self.most, pattern=self.pattern)


Number = Annotated[float, _Number()]


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A part of a profile, in which nothing unknown may stand."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012


_AnyPart = TypeVar("_AnyPart", bound=_Part)


@dataclass(frozen=True, kw_only=True)
class Figure(_Part):
    """One figure: a value, a range, or both."""

    value: Number | None = None
    """The middle of the range where it is not given."""
    range: tuple[Number, Number] | None = None
    """Lowest and highest; the value alone where it is not given."""
    unit: str
    source: Annotated[str, Text()]
    """Where it can be looked up."""
    basis: Basis

    def __post_init__(self) -> None:
        if self.value is None and self.range is None:
            raise ValueError("needs a value or a range")
        low, high = self._ends
        if not low <= self._middle <= high:
            raise ValueError(f"range [{low:g}, {high:g}] and value {self._middle:g}: expected low <= value <= high")

    @property
    def _ends(self) -> tuple[float, float]:
        return self.range if self.range is not None else (self.value or 0.0, self.value or 0.0)

    @property
    def _middle(self) -> float:
        return self.value if self.value is not None else sum(self._ends) / 2

    @property
    def scale(self) -> float:
        """The unit in joules, seconds, watts or times."""
        return _SI.get(self.unit[:-1], 1.0)

    @property
    def spread(self) -> tuple[float, float, float]:
        """Value, lowest and highest in joules, seconds, watts or times."""
        low, high = self._ends
        return self._middle * self.scale, low * self.scale, high * self.scale


@dataclass(frozen=True, kw_only=True)
class EnergyFigure(Figure):
    unit: Literal["fJ", "pJ", "nJ", "uJ", "mJ", "J"]


@dataclass(frozen=True, kw_only=True)
class TimeFigure(Figure):
    unit: Literal["ps", "ns", "us", "ms", "s"]


@dataclass(frozen=True, kw_only=True)
class PowerFigure(Figure):
    unit: Literal["nW", "uW", "mW", "W"]


@dataclass(frozen=True, kw_only=True)
class FactorFigure(Figure):
    """A factor on an estimate, around 1."""

    value: Number | None = 1.0
    unit: Literal["times"]


@dataclass(frozen=True, kw_only=True)
class Energies(_Part):
    """Energy of one of each."""

    synaptic_operation: EnergyFigure | None = None
    """Whatever the layer; or one for each of the three ways in which synapses are stored:"""
    synaptic_operation_conv: EnergyFigure | None = None
    synaptic_operation_sparse: EnergyFigure | None = None
    synaptic_operation_dense: EnergyFigure | None = None
    neuron_update: EnergyFigure | None = None
    spike: EnergyFigure | None = None
    packet: EnergyFigure | None = None
    """One spike sent to one core."""
    hop: EnergyFigure | None = None
    """One packet from one router to the next."""
    multiply_accumulate: EnergyFigure | None = None
    """Of the float equivalent."""

    def __post_init__(self) -> None:
        _check_kinds(self)


@dataclass(frozen=True, kw_only=True)
class Times(_Part):
    """Time of one of each on its core, and of the barrier that ends a step on all cores."""

    synaptic_operation: TimeFigure | None = None
    synaptic_operation_conv: TimeFigure | None = None
    synaptic_operation_sparse: TimeFigure | None = None
    synaptic_operation_dense: TimeFigure | None = None
    neuron_update: TimeFigure
    barrier: TimeFigure

    def __post_init__(self) -> None:
        _check_kinds(self)


def _check_kinds(section: Energies | Times) -> None:
    kinds = [getattr(section, f"synaptic_operation_{kind}") for kind in ("conv", "sparse", "dense")]
    one, some, every = section.synaptic_operation is not None, any(kinds), all(kinds)
    if one == some or some != every:
        raise ValueError("needs synaptic_operation, or synaptic_operation_conv, _sparse and _dense all three")


@dataclass(frozen=True, kw_only=True)
class Powers(_Part):
    """Power that flows whatever the network does."""

    static: PowerFigure
    """Of a whole chip."""


@dataclass(frozen=True, kw_only=True)
class Uncertainty(_Part):
    """How far the whole estimate may be off, over and above the ranges of its figures: multiplied onto them."""

    energy: FactorFigure | None = None
    time: FactorFigure | None = None


@dataclass(frozen=True, kw_only=True)
class Profile(_Part):
    """What operations cost on one chip."""

    name: Annotated[str, Text(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    title: Annotated[str, Text(200)]
    about: str = ""
    """What the estimate is worth, in a sentence or two."""
    chip: Literal["loihi1", "loihi2"] | None = None
    """Whose capacities decide the mapping; without it there are no packets and no times."""
    energy: Energies
    time: Times | None = None
    power: Powers | None = None
    uncertainty: Uncertainty = field(default=Uncertainty())

    def __post_init__(self) -> None:
        if self.chip is None and (self.time or self.power or self.energy.packet or self.energy.hop):
            raise ValueError("times, power, packets and hops depend on the mapping; name the chip: loihi1 or loihi2")
        if self.power is not None and self.time is None:
            raise ValueError("power without times gives no energy; add the section time")


def profile_names() -> list[str]:
    """Names of the profiles that come with the project."""
    return sorted(Path(entry.name).stem for entry in _shipped().iterdir() if entry.name.endswith(".yaml"))


def _shipped() -> Any:
    return resources.files("sim.energy") / "profiles"


def load_profile(name_or_path: str | os.PathLike[str]) -> Profile:
    """Reads a profile, by the name of a shipped one or by path.

    Raises:
        ConfigError: no such profile, or one that does not hold; names file, line and key.
    """
    name = str(name_or_path)
    if name in profile_names():
        return _shipped_profile(name)
    path = Path(name_or_path)
    if not path.is_file():
        known = ", ".join(profile_names())
        raise ConfigError(f"--profile {name}: cannot be read (no such file); shipped are {known}")
    from sim.energy.checked import read_section

    return read_section(path, Profile, "profile")


@functools.cache
def _shipped_profile(name: str) -> Profile:
    return _built(Profile, load_yaml(Path(_shipped() / f"{name}.yaml")).content)


def _built(kind: type[_AnyPart], content: Mapping[str, Any]) -> _AnyPart:
    """A part of a profile from what was read of a file that holds."""
    hints = get_type_hints(kind)
    given: dict[str, Any] = {}
    for key, value in content.items():
        kinds = (hints[key], *get_args(hints[key]))
        part = next((each for each in kinds if isinstance(each, type) and issubclass(each, _Part)), None)
        given[key] = _held(value) if part is None else _built(part, value)
    return kind(**given)


def _held(value: Any) -> Any:
    """A range as a pair, a whole number as any other."""
    if isinstance(value, list):
        return tuple(map(_held, value))
    return float(value) if isinstance(value, int) else value

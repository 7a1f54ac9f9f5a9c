"""Energy profiles: data files in which each figure has its unit, its source and its basis.

A profile is YAML (``sim/energy/profiles/`` holds those that come with the project). Everything in it is checked:
unknown or repeated keys, figures without unit, source or basis, negative or unreadable numbers are refused with file
and line.
"""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from esvae.errors import ConfigError
from esvae.machine.located_yaml import Located, load_yaml
from esvae.machine.validation import fault

__all__ = ["BASES", "Basis", "Figure", "Number", "Profile", "Section", "load_profile", "profile_names", "read_section"]

#: How a figure came about, from the firmest to the weakest.
Basis: TypeAlias = Literal["measured", "fitted", "simulated", "assumed"]
BASES: tuple[Basis, ...] = ("measured", "fitted", "simulated", "assumed")

_SI = {"": 1.0, "f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3}


def _no_truth_value(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("expected a number, got a truth value")
    return value


Number = Annotated[float, Field(ge=0, allow_inf_nan=False), BeforeValidator(_no_truth_value)]


class Section(BaseModel):
    """A part of a file in which nothing unknown may stand."""

    model_config = ConfigDict(extra="forbid", frozen=True)


_AnySection = TypeVar("_AnySection", bound="Section")


class Figure(Section):
    """One figure: a value, a range, or both."""

    value: Number | None = None
    """The middle of the range where it is not given."""
    range: tuple[Number, Number] | None = None
    """Lowest and highest; the value alone where it is not given."""
    unit: str
    source: str = Field(min_length=1)
    """Where it can be looked up."""
    basis: Basis

    @model_validator(mode="after")
    def _some_value(self) -> Figure:
        if self.value is None and self.range is None:
            raise ValueError("needs a value or a range")
        low, high = self._ends
        if not low <= self._middle <= high:
            raise ValueError(f"range [{low:g}, {high:g}] and value {self._middle:g}: expected low <= value <= high")
        return self

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


class EnergyFigure(Figure):
    unit: Literal["fJ", "pJ", "nJ", "uJ", "mJ", "J"]


class TimeFigure(Figure):
    unit: Literal["ps", "ns", "us", "ms", "s"]


class PowerFigure(Figure):
    unit: Literal["nW", "uW", "mW", "W"]


class FactorFigure(Figure):
    """A factor on an estimate, around 1."""

    value: Number | None = 1.0
    unit: Literal["times"]


class Energies(Section):
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

    @model_validator(mode="after")
    def _one_or_three(self) -> Energies:
        _check_kinds(self)
        return self


class Times(Section):
    """Time of one of each on its core, and of the barrier that ends a step on all cores."""

    synaptic_operation: TimeFigure | None = None
    synaptic_operation_conv: TimeFigure | None = None
    synaptic_operation_sparse: TimeFigure | None = None
    synaptic_operation_dense: TimeFigure | None = None
    neuron_update: TimeFigure
    barrier: TimeFigure

    @model_validator(mode="after")
    def _one_or_three(self) -> Times:
        _check_kinds(self)
        return self


def _check_kinds(section: Energies | Times) -> None:
    kinds = [getattr(section, f"synaptic_operation_{kind}") for kind in ("conv", "sparse", "dense")]
    one, some, every = section.synaptic_operation is not None, any(kinds), all(kinds)
    if one == some or some != every:
        raise ValueError("needs synaptic_operation, or synaptic_operation_conv, _sparse and _dense all three")


class Powers(Section):
    """Power that flows whatever the network does."""

    static: PowerFigure
    """Of a whole chip."""


class Uncertainty(Section):
    """How far the whole estimate may be off, over and above the ranges of its figures: multiplied onto them."""

    energy: FactorFigure | None = None
    time: FactorFigure | None = None


class Profile(Section):
    """What operations cost on one chip."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    title: str = Field(min_length=1, max_length=200)
    about: str = ""
    """What the estimate is worth, in a sentence or two."""
    chip: Literal["loihi1", "loihi2"] | None = None
    """Whose capacities decide the mapping; without it there are no packets and no times."""
    energy: Energies
    time: Times | None = None
    power: Powers | None = None
    uncertainty: Uncertainty = Uncertainty()

    @model_validator(mode="after")
    def _static_needs_time(self) -> Profile:
        if self.chip is None and (self.time or self.power or self.energy.packet or self.energy.hop):
            raise ValueError("times, power, packets and hops depend on the mapping; name the chip: loihi1 or loihi2")
        if self.power is not None and self.time is None:
            raise ValueError("power without times gives no energy; add the section time")
        return self


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
    path = Path(_shipped() / f"{name}.yaml") if name in profile_names() else Path(name_or_path)
    if not path.is_file():
        known = ", ".join(profile_names())
        raise ConfigError(f"--profile {name}: cannot be read (no such file); shipped are {known}")
    return read_section(path, Profile, "profile")


def read_section(path: Path, kind: type[_AnySection], what: str) -> _AnySection:
    """Reads and checks a YAML file.

    Raises:
        ConfigError: it cannot be read or does not hold; names file, line and key.
    """
    try:
        located = load_yaml(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        return kind.model_validate(located.content)
    except ValidationError as error:
        raise ConfigError(_explain(error, located, str(path), what)) from None


def _explain(error: ValidationError, located: Located, path: str, what: str) -> str:
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"])) or what
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{path}:{located.line(first['loc'])}: {key}: {fault(first)}{more}"

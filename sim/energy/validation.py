"""Measured cases to hold estimates against: which network, what entered it, and what was measured of it on a chip.

A case is YAML (``sim/energy/cases/`` holds those that come with the project): the figures and their sources are in it,
the network's file, which is its publisher's, is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from export.ir import Network
from sim.counts.ops import Counts
from sim.energy.checked import read_section
from sim.energy.estimate import EnergyEstimate, estimate
from sim.energy.profile import Number, load_profile
from sim.fit.chips import CHIPS
from sim.fit.core_load import CoreLoad, core_load
from sim.fit.mapping import map_network

__all__ = ["Case", "Measured", "MeasuredAndModelled", "compare_with_case", "shipped_cases"]

#: Units in which a figure may be given, in joules or seconds; counts have none.
_UNITS = {"us": 1e-6, "ms": 1e-3, "uJ": 1e-6, "mJ": 1e-3, "cores": 1.0, "operations a step": 1.0}


class _Section(BaseModel):
    """A part of a case, in which nothing unknown may stand."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CaseNetwork(_Section):
    """A published file."""

    file: str = Field(min_length=1)
    """The end of its path, folders with slashes."""
    content_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the network in it (``esvae inspect``), so that no other is taken for it."""


class Measured(_Section):
    """One figure."""

    quantity: Literal["cores", "core_operations", "step_time", "dynamic_energy_step", "energy_image"]
    """``core_operations`` are those of the busiest core of a layer; ``energy_image`` is dynamic and static."""
    layer: str | None = None
    """Its label, such as ``layer 3 (conv)``."""
    value: Number = Field(gt=0)
    unit: Literal["us", "ms", "uJ", "mJ", "cores", "operations a step"]
    source: str = Field(min_length=1)

    @model_validator(mode="after")
    def _layer_where_needed(self) -> Measured:
        if (self.layer is not None) != (self.quantity == "core_operations"):
            raise ValueError("core_operations need a layer, other quantities have none")
        return self


class Case(_Section):
    """A run on a chip that was measured."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    title: str = Field(min_length=1, max_length=200)
    about: str = ""
    network: CaseNetwork
    input: Literal["zeros"]
    """``zeros``: a silent image at the input neurons."""
    steps: int = Field(ge=1)
    """Window of an image."""
    profile: str
    """Whose estimate is held against it."""
    measured: tuple[Measured, ...] = Field(min_length=1)


@dataclass(frozen=True)
class MeasuredAndModelled:
    """The model beside one measured figure, both in the figure's unit.

    Attributes:
        quantity: what, with the layer where it is one's.
        measured, model: the values.
        error: ``model / measured - 1``.
        unit, source: of the measured figure.
    """

    quantity: str
    measured: float
    model: float
    error: float
    unit: str
    source: str


def shipped_cases() -> list[Case]:
    """The cases that come with the project, by name."""
    folder = Path(str(resources.files("sim.energy"))) / "cases"
    return [read_section(path, Case, "case") for path in sorted(folder.glob("*.yaml"))]


def compare_with_case(case: Case, network: Network, counts: Counts) -> list[MeasuredAndModelled]:
    """Estimates what was measured.

    Args:
        case: the measured run.
        network: its network.
        counts: of one window of the case's input.

    Raises:
        ConfigError: the case's profile does not hold.
    """
    profile = load_profile(case.profile)
    chip = CHIPS[profile.chip or "loihi2"]
    mapping = map_network(network, chip)
    load = core_load(network, counts.mean_entering, mapping)
    model = _Model(counts, load, estimate(network, counts, profile, mapping, load), mapping.cores)
    found = []
    for figure in case.measured:
        value = model.value(figure) / _UNITS[figure.unit]
        name = figure.quantity.replace("_", " ")
        if figure.layer is not None:
            name = f"{name}, {figure.layer}"
        found.append(
            MeasuredAndModelled(name, figure.value, value, value / figure.value - 1, figure.unit, figure.source)
        )
    return found


@dataclass(frozen=True)
class _Model:
    counts: Counts
    load: CoreLoad
    estimate: EnergyEstimate
    cores: int

    def place(self, label: str | None) -> int:
        """Number of a layer among those with synapses."""
        return [layer.layer for layer in self.counts.layers].index(label or "")

    def value(self, figure: Measured) -> float:
        """What the model says, in joules, seconds or plain numbers."""
        steps = self.counts.steps
        dynamic = sum(part.energy.value for part in self.estimate.parts if part.amount is not None)
        values: dict[str, Callable[[], Any]] = {
            "cores": lambda: self.cores,
            "core_operations": lambda: np.max(
                self.load.synops[:, self.load.layer == self.place(figure.layer)].mean(axis=0)
            ),
            "step_time": lambda: self.estimate.step_time and self.estimate.step_time.value,
            "dynamic_energy_step": lambda: dynamic / steps,
            "energy_image": lambda: self.estimate.energy.value,
        }
        return float(values[figure.quantity]() or 0.0)

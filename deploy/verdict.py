"""One verdict: what a backend computed beside the twin's integers, and where they part if they do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from deploy.backends import BackendJob, BackendRun, LavaSettings, Progress, backend_named, run_backend
from deploy.entering import Entering, at_hand
from esvae.errors import DataError
from export.ir import Network
from sim.stimulus import Stimulus
from sim.trace import first_difference

__all__ = ["Difference", "Verdict", "verify_spikes"]


@dataclass(frozen=True)
class Difference:
    """The first place where a backend differs from the twin.

    Attributes:
        layer: its label, or ``readout``.
        quantity: what differs, by its name in traces: such as ``layer3.s``, ``.u``, ``.v``, or ``readout.v``.
        image, step: where; step is None for the readout.
        neuron: ``(C, H, W)`` or ``(feature,)``.
        twin, other: both values.
    """

    layer: str
    quantity: str
    image: int
    step: int | None
    neuron: tuple[int, ...]
    twin: int
    other: int

    def __str__(self) -> str:
        state = f"{self.quantity.rpartition('.')[2]} of {self.layer}"
        where = f"{state}, image {self.image}" + ("" if self.step is None else f", step {self.step}")
        return f"{where}, neuron {self.neuron}: twin {self.twin}, other {self.other}"


@dataclass(frozen=True)
class Verdict:
    """What :func:`deploy.verify.verify` found.

    Attributes:
        images, steps, layers: what was compared: current, potential and spikes of every layer at every step, and the
            readout's final potentials.
        integers: how many values were compared against each backend.
        differences: by backend, None where all are equal.
        seconds: by backend, loading included.
        about: version numbers by backend.
    """

    images: int
    steps: int
    layers: int
    integers: int
    differences: dict[str, Difference | None]
    seconds: dict[str, float]
    about: dict[str, dict[str, str]] = field(default_factory=dict)

    def __repr__(self) -> str:
        found = ", ".join(f"{name} {'differs' if at else 'equal'}" for name, at in self.differences.items())
        return f"Verdict({found}; {self.integers:,} integers of {self.images} images)"

    @property
    def equal(self) -> bool:
        """Whether every backend agreed with the twin in every integer."""
        return not any(self.differences.values())


def verify_spikes(
    path: str | os.PathLike[str],
    network: Network,
    spikes: np.ndarray | Stimulus | Entering,
    *,
    layers: int | None = None,
    against: Sequence[str] = ("reference", "lava"),
    lava: LavaSettings = LavaSettings(),
    progress: Progress | None = None,
) -> Verdict:
    """As :func:`deploy.verify.verify`, for spikes of your own or anything else that enters.

    Args:
        path, layers, against, lava, progress: as there.
        network: in the file.
        spikes: ``(images, steps, *input shape)``, another stimulus, or what enters.
    """
    entering = spikes if isinstance(spikes, Entering) else at_hand(network, spikes)
    job = BackendJob(Path(path), entering, layers=layers, trace=True, lava=lava)
    twin = run_backend("twin", job.only(frozenset()))
    expected = _states("twin", twin)
    differences: dict[str, Difference | None] = {}
    seconds: dict[str, float] = {"twin": twin.seconds}
    about: dict[str, dict[str, str]] = {}
    for name in against:
        run = run_backend(name, replace(job.only(backend_named(name).heeds), progress=progress))
        found = _part(network, expected, _states(name, run))
        differences[name] = found or _part(network, {"readout.v": twin.potentials}, {"readout.v": run.potentials})
        seconds[name], about[name] = run.seconds, run.about
    integers = sum(values.size for values in expected.values()) + twin.potentials.size
    return Verdict(entering.images, entering.stimulus.steps, network.depth, integers, differences, seconds, about)


def _states(name: str, run: BackendRun) -> dict[str, np.ndarray]:
    if run.traces is None:
        raise DataError(f"backend {name} gave no states of its layers, though it was asked for them")
    return run.traces


def _part(network: Network, twin: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> Difference | None:
    found = first_difference(twin, other)
    if found is None:
        return None
    name, index, expected, got = found
    layer = name.partition(".")[0]
    if layer == "readout":
        return Difference(layer, name, index[0], None, index[1:], expected, got)
    label = dict(zip(network.array_names, network.neuron_labels, strict=True))[layer]
    return Difference(label, name, index[0], index[1], index[2:], expected, got)

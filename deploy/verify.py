"""Do all backends compute the same integers? One verdict, and where they part if they do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from deploy.backends import Backend, Progress, run_backend
from deploy.lava.inputs import Rates, rates_from_prior
from deploy.lava_run import LavaSettings, run_in_lava
from esvae.errors import DataError
from export.ir import Network
from export.netx_read import read_netx
from sim.sampler import initial_states
from sim.trace import first_difference

__all__ = ["Difference", "Verdict", "verify", "verify_spikes"]


@dataclass(frozen=True)
class Difference:
    """The first place where a backend differs from the twin.

    Attributes:
        quantity: ``layer{k}.s``, ``.u``, ``.v`` or ``readout.v``.
        image, step: where; step is None for the readout.
        neuron: ``(C, H, W)`` or ``(feature,)``.
        twin, other: both values.
    """

    quantity: str
    image: int
    step: int | None
    neuron: tuple[int, ...]
    twin: int
    other: int

    def __str__(self) -> str:
        where = f"{self.quantity}, image {self.image}" + ("" if self.step is None else f", step {self.step}")
        return f"{where}, neuron {self.neuron}: twin {self.twin}, other {self.other}"


@dataclass(frozen=True)
class Verdict:
    """What :func:`verify` found.

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

    @property
    def equal(self) -> bool:
        """Whether every backend agreed with the twin in every integer."""
        return not any(self.differences.values())


def verify(
    path: str | os.PathLike[str],
    images: int = 4,
    *,
    seed: int = 0,
    against: Sequence[Backend] = ("reference", "lava"),
    lava: LavaSettings = LavaSettings(),  # noqa: B008 - frozen
    progress: Progress | None = None,
) -> Verdict:
    """Runs a file on the twin and on other backends with the same input spikes.

    Args:
        path: the ``.net`` file.
        images: how many.
        seed: of the latent spikes, which come from the file's prior, or fire at half the steps where it has none.
        against: the other backends.
        lava: how Lava runs it; where its sampler is in the graph, the twin gets the spikes of the sampler's definition.
        progress: called as the work goes on.

    Raises:
        NetFileError, HardwareRangeError: the file is not sound.
        DataError: fewer than one image, or no window to draw spikes for.
        LavaError: Lava is missing, died or hung.
    """
    network = read_netx(path)
    if images < 1:
        raise DataError(f"{images} images: expected at least 1")
    rates = _input_rates(network, seed, images)
    spikes = rates.spikes().reshape(images, rates.steps, *network.input_shape)
    return verify_spikes(path, network, spikes, against=against, lava=lava, rates=rates, progress=progress)


def verify_spikes(
    path: str | os.PathLike[str],
    network: Network,
    spikes: np.ndarray,
    *,
    against: Sequence[Backend] = ("reference", "lava"),
    lava: LavaSettings = LavaSettings(),  # noqa: B008 - frozen
    rates: Rates | None = None,
    progress: Progress | None = None,
) -> Verdict:
    """As :func:`verify`, for input spikes of your own, ``(images, steps, *input shape)``, and the rates behind them."""
    twin = run_backend("twin", path, network, spikes, trace=True)
    assert twin.traces is not None
    differences: dict[str, Difference | None] = {}
    seconds: dict[str, float] = {"twin": twin.seconds}
    about: dict[str, dict[str, str]] = {}
    for backend in against:
        if backend == "lava" and not lava.plain:
            entering = spikes if rates is None or lava.sampler == "host" else rates
            run = run_in_lava(path, network, entering, lava, trace=True, progress=progress)
        else:
            run = run_backend(backend, Path(path), network, spikes, trace=True, progress=progress)
        assert run.traces is not None
        found = _part(twin.traces, run.traces)
        differences[backend] = found or _part({"readout.v": twin.potentials}, {"readout.v": run.potentials})
        seconds[backend], about[backend] = run.seconds, run.about
    integers = sum(values.size for values in twin.traces.values()) + twin.potentials.size
    count, steps = spikes.shape[:2]
    return Verdict(count, steps, network.depth, integers, differences, seconds, about)


def _part(twin: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> Difference | None:
    found = first_difference(twin, other)
    if found is None:
        return None
    name, index, expected, got = found
    if name.startswith("readout"):
        return Difference(name, index[0], None, index[1:], expected, got)
    return Difference(name, index[0], index[1], index[2:], expected, got)


def _input_rates(network: Network, seed: int, images: int) -> Rates:
    """Of the prior, or a half where there is none."""
    numbers = np.arange(images)
    if network.prior is not None:
        return rates_from_prior(network, seed, numbers)
    if network.time_steps is None:
        raise DataError("this file has neither a prior nor a window, so there are no input spikes to verify it with")
    states = initial_states(seed, numbers, int(np.prod(network.input_shape)))
    return Rates(np.full(states.shape, 1 << 7), states, network.time_steps, 8)

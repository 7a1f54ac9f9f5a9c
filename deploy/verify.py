"""Do all backends compute the same integers? One verdict, and where they part if they do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from deploy.backends import Backend, Progress, run_backend
from deploy.lava.rates import Rates, rates_from_prior
from deploy.lava_run import LavaSettings, run_in_lava
from esvae.errors import ConfigError, DataError
from export.ir import Network
from export.netx.guard import open_netx
from sim.sampler import initial_states
from sim.stimulus import Stimulus, as_stimulus
from sim.trace import first_difference

__all__ = ["Difference", "Verdict", "verify", "verify_spikes"]

#: Pixels for input neurons are drawn from -128 to 383: mostly positive, so that the neurons fire.
_PIXEL_BITS = 9


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
    steps: int | None = None,
    layers: int | None = None,
    against: Sequence[Backend] = ("reference", "lava"),
    lava: LavaSettings = LavaSettings(),  # noqa: B008 - frozen
    progress: Progress | None = None,
) -> Verdict:
    """Runs a file on the twin and on other backends with the same input spikes.

    Args:
        path: the ``.net`` file.
        images: how many.
        seed: of the latent spikes, which come from the file's prior, or fire at half the steps where it has none; of
            the pixels where the input layer has neurons.
        steps: length of the run, where the file has no window.
        layers: run only so many of the file's layer groups, input and flatten included.
        against: the other backends.
        lava: how Lava runs it; where its sampler is in the graph, the twin gets the spikes of the sampler's definition.
        progress: called as the work goes on.

    Raises:
        NetFileError, HardwareRangeError: the file is not sound.
        DataError: fewer than one image, or no window to draw spikes for.
        LavaError: Lava is missing, died or hung.
    """
    network = open_netx(path, layers=layers)
    if images < 1:
        raise DataError(f"{images} images: expected at least 1")
    entering, rates = _entering(network, seed, images, steps)
    return verify_spikes(
        path, network, entering, layers=layers, against=against, lava=lava, rates=rates, progress=progress
    )


def verify_spikes(
    path: str | os.PathLike[str],
    network: Network,
    entering: np.ndarray | Stimulus,
    *,
    layers: int | None = None,
    against: Sequence[Backend] = ("reference", "lava"),
    lava: LavaSettings = LavaSettings(),  # noqa: B008 - frozen
    rates: Rates | None = None,
    progress: Progress | None = None,
) -> Verdict:
    """As :func:`verify`, for spikes of your own, ``(images, steps, *input shape)``, or any stimulus, and its rates."""
    if not lava.plain and layers is not None:
        raise ConfigError("--layers needs --loader stock --sampler host")
    stimulus = as_stimulus(network, entering)
    twin = run_backend("twin", path, network, stimulus, trace=True)
    assert twin.traces is not None
    differences: dict[str, Difference | None] = {}
    seconds: dict[str, float] = {"twin": twin.seconds}
    about: dict[str, dict[str, str]] = {}
    for backend in against:
        if backend == "lava" and not lava.plain:
            given = stimulus.spikes if rates is None or lava.sampler == "host" else rates
            if given is None:
                raise ConfigError("a network that images drive needs --loader stock --sampler host")
            run = run_in_lava(path, network, given, lava, trace=True, progress=progress)
        else:
            run = run_backend(backend, Path(path), network, stimulus, trace=True, layers=layers, progress=progress)
        assert run.traces is not None
        found = _part(twin.traces, run.traces)
        differences[backend] = found or _part({"readout.v": twin.potentials}, {"readout.v": run.potentials})
        seconds[backend], about[backend] = run.seconds, run.about
    integers = sum(values.size for values in twin.traces.values()) + twin.potentials.size
    return Verdict(len(stimulus), stimulus.steps, network.depth, integers, differences, seconds, about)


def _part(twin: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> Difference | None:
    found = first_difference(twin, other)
    if found is None:
        return None
    name, index, expected, got = found
    if name.startswith("readout"):
        return Difference(name, index[0], None, index[1:], expected, got)
    return Difference(name, index[0], index[1], index[2:], expected, got)


def _entering(
    network: Network, seed: int, images: int, steps: int | None
) -> tuple[np.ndarray | Stimulus, Rates | None]:
    """What enters, and the rates behind it where it is spikes."""
    numbers = np.arange(images)
    if network.prior is not None and steps in (None, network.time_steps):
        rates = rates_from_prior(network, seed, numbers)
        return rates.spikes().reshape(images, rates.steps, *network.input_shape), rates
    steps = steps or network.time_steps
    if steps is None:
        raise DataError("this file has neither a prior nor a window; say for how many steps to verify it with --steps")
    states = initial_states(seed, numbers, int(np.prod(network.input_shape)))
    if network.input_neurons is not None:
        pixels = (states & np.uint32((1 << _PIXEL_BITS) - 1)).astype(np.int32) - (1 << (_PIXEL_BITS - 2))
        return Stimulus(None, pixels.reshape(images, *network.input_shape), steps), None
    rates = Rates(np.full(states.shape, 1 << 7), states, steps, 8)
    return rates.spikes().reshape(images, steps, *network.input_shape), rates

"""What a network costs: input spikes from wherever they come, exact counts over them, estimates from profiles."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deploy.backends import Progress
from esvae.errors import ConfigError, DataError
from esvae.machine.arrays import load_array
from esvae.run import load_run
from export.ir import Network
from export.netx.guard import open_netx
from export.pipeline import integer_network
from sim.counts.ops import Counter, Counts
from sim.energy.estimate import Estimate, estimate_all
from sim.energy.profile import load_profile, profile_names
from sim.sampler import draw_latents
from sim.twin.engine import Engine

__all__ = ["DEFAULT_RATE", "DEFAULT_STEPS", "Cost", "InputSpikes", "cost_of", "input_spikes", "open_network"]

#: Where a file says nothing about its input: spikes a step of each input, and steps of the window.
DEFAULT_RATE = 0.1
DEFAULT_STEPS = 16

_CHUNK = 64


@dataclass(frozen=True, eq=False)
class InputSpikes:
    """Where the spikes that enter come from; they are made chunk by chunk, so that any number can be counted.

    Attributes:
        kind: ``prior``, ``file`` or ``rate``.
        about: the same for a person.
        network: that they enter.
        images, steps: how many, and the window.
        seed: of the prior, or of the random spikes.
        rate: of random spikes.
        given: spikes from a file, ``(images, steps, ...)``, read as they are needed.
    """

    kind: str
    about: str
    network: Network
    images: int
    steps: int
    seed: int
    rate: float | None = None
    given: np.ndarray | None = None

    def chunks(self) -> Iterator[np.ndarray]:
        """Yields 0 or 1, ``(some images, steps, *input shape)``; the same whatever the size of the chunks."""
        for start in range(0, self.images, _CHUNK):
            stop = min(start + _CHUNK, self.images)
            if self.given is not None:
                yield np.asarray(self.given[start:stop])
            elif self.rate is not None:
                yield np.stack([self._random(image, self.rate) for image in range(start, stop)])
            else:
                spikes = draw_latents(self.network, self.seed, np.arange(start, stop))
                yield spikes.reshape(*spikes.shape[:2], *self.network.input_shape)

    def _random(self, image: int, rate: float) -> np.ndarray:
        generator = np.random.Generator(np.random.Philox(key=[self.seed, image]))
        return (generator.random((self.steps, *self.network.input_shape)) < rate).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Cost:
    """Counts, exact; and what profiles make of them, estimates."""

    counts: Counts
    estimates: list[Estimate]


def open_network(path: str | os.PathLike[str]) -> Network:
    """The network of a ``.net`` file, or the integer decoder of a run directory before any lowering.

    Raises:
        EsvaeError: neither, or not sound.
    """
    if Path(path).is_dir():
        return integer_network(load_run(Path(path)), lowering="none")[0]
    return open_netx(path)


def input_spikes(
    network: Network,
    images: int,
    *,
    seed: int = 0,
    file: str | os.PathLike[str] | None = None,
    rate: float | None = None,
    steps: int | None = None,
) -> InputSpikes:
    """Chooses the spikes that enter: a file's, random ones at a rate, the prior's; where none is given, the default.

    Args:
        network: that they enter.
        images: how many; of a file, how many at most.
        seed: of the prior or of random spikes.
        file: ``.npy`` of 0 and 1, ``(images, steps, features)`` or ``(images, steps, C, H, W)``.
        rate: spikes a step of each input, 0 to 1.
        steps: of the window, where the network does not say.

    Raises:
        ConfigError: options that exclude each other, or are out of range.
        DataError: a file that does not fit.
    """
    if images < 1:
        raise DataError(f"{images} images: expected at least 1")
    if not 0 <= seed < 1 << 64:
        raise DataError(f"seed {seed}: expected 0 to 2^64 - 1")
    if file is not None and (rate is not None or steps is not None):
        raise ConfigError("spikes from a file have their own rate and steps; leave out --rate and --steps")
    if rate is not None and not 0 <= rate <= 1:
        raise ConfigError(f"--rate {rate}: expected 0 to 1")
    if steps is not None and network.time_steps not in (None, steps):
        raise ConfigError(f"--steps {steps}: the network's window is {network.time_steps}")
    if steps is not None and steps < 1:
        raise ConfigError(f"--steps {steps}: expected at least 1")
    if file is not None:
        given = _load_spikes(file, network)[:images]
        return InputSpikes("file", f"spikes from {file}", network, len(given), given.shape[1], seed, given=given)
    if rate is None and network.prior is not None and network.time_steps is not None:
        about = f"latent spikes drawn from the prior, seed {seed}"
        return InputSpikes("prior", about, network, images, network.time_steps, seed)
    window = network.time_steps or steps or DEFAULT_STEPS
    chosen = DEFAULT_RATE if rate is None else rate
    about = f"random spikes, {chosen:g} a step of each input, seed {seed}"
    if rate is None:
        about += " (the file says nothing of its input, so this is assumed; give --spikes F.npy, or --rate)"
    return InputSpikes("rate", about, network, images, window, seed, rate=chosen)


def _load_spikes(path: str | os.PathLike[str], network: Network) -> np.ndarray:
    spikes = load_array(path, "spikes (images, steps, ...)", mapped="r")
    wanted = network.input_shape
    flat = wanted[:1] if wanted[1:] in ((), (1, 1)) else None
    if spikes.ndim < 3 or 0 in spikes.shape or spikes.shape[2:] not in (wanted, flat):
        raise DataError(f"{path}: has shape {spikes.shape}, expected (images, steps, {', '.join(map(str, wanted))})")
    if network.time_steps not in (None, spikes.shape[1]):
        raise DataError(f"{path}: has {spikes.shape[1]} steps, the network's window is {network.time_steps}")
    return spikes


def cost_of(source: InputSpikes, profiles: Sequence[str] = (), *, progress: Progress | None = None) -> Cost:
    """Runs the twin over the input spikes, counts, and applies profiles.

    Args:
        source: of the spikes, with the network that they enter.
        profiles: names of shipped profiles or paths of others; all that are shipped where empty.
        progress: called with the share done.

    Raises:
        ConfigError: a profile that does not hold.
        DataError: spikes that are not 0 or 1.
    """
    loaded = [load_profile(name) for name in profiles or profile_names()]
    engine, counter, done = Engine(source.network), Counter(source.network), 0
    for spikes in source.chunks():
        for chunk in engine.run(spikes):
            counter.add(chunk)
        done += len(spikes)
        if progress is not None:
            progress(done / source.images, "count")
    counts = counter.result()
    return Cost(counts, estimate_all(source.network, counts, loaded))

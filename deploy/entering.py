"""What enters a network, and from where: drawn from its prior, read from a file, fired at a rate, or made up.

Every command that runs a file says what it was asked for in :class:`InputOptions`, and :func:`enter` makes one
:class:`Entering` of it, whose images are drawn or read only as they are needed, and any part of which is the same
whatever else enters.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from deploy.lava.rates import Rates, rates_from_prior
from deploy.plan import plan
from deploy.rasters import mapped_raster
from esvae.arrays import Shaped
from esvae.chip.formats import DEFAULT_RATE_BITS
from esvae.errors import ConfigError, DataError
from esvae.machine.arrays import load_array
from export.ir import Network
from export.ir.circuit import circuit_of, is_chained, source_network, whole_network
from export.rasters import as_zeros_and_ones
from sim.sampler import check_circuit_seed, draw_latents, initial_states
from sim.stimulus import Stimulus, Timing, as_stimulus, check_kind, with_read_phase

__all__ = [
    "DEFAULT_IMAGES",
    "Entering",
    "InputOptions",
    "at_hand",
    "at_rate",
    "drawable",
    "enter",
    "from_power_on",
    "made_up",
]

#: Images that are drawn where nobody says how many.
DEFAULT_IMAGES = 64
#: Images to a chunk, where they are taken chunk by chunk.
_CHUNK = 64
#: Pixels that are made up are drawn from -128 to 383: mostly positive, so that the neurons fire.
_PIXEL_BITS = 9
_PIXEL_MIN = -(1 << (_PIXEL_BITS - 2))
#: Frames that are made up are drawn up to the range of slayer's quantized inputs, and so much of them changes a step.
_FRAME, _CHANGING = 64, 1 / 8


@dataclass(frozen=True)
class InputOptions:
    """What a caller says of the input; where no source is named, the network's prior is.

    Attributes:
        images: how many; of a file, how many at most. None for all of a file, or 64.
        seed: of everything that is drawn.
        latents: ``.npy`` file of spikes over the network's window, ``(images, steps, features)``.
        spikes: ``.npy`` file of spikes over any number of steps, ``(images, steps, *input shape)`` or flat.
        image: ``.npy`` file of whole numbers for input neurons, ``(images, *input shape)``; or ``zeros``. For delta
            encoders also of frames, one a step: ``(images, steps, *input shape)``.
        rate: random spikes, so many a step of each input.
        steps: length of the run: spikes are cut, or followed by silence.
        timing: resets, and whether time is counted as Lava does.

    Raises:
        ConfigError: sources that exclude each other, or a rate or a number of steps that is out of range.
        DataError: a number of images or a seed that is out of range.
    """

    images: int | None = None
    seed: int = 0
    latents: str | os.PathLike[str] | None = None
    spikes: str | os.PathLike[str] | None = None
    image: str | os.PathLike[str] | None = None
    rate: float | None = None
    steps: int | None = None
    timing: Timing = Timing()

    def __post_init__(self) -> None:
        if self.images is not None and self.images < 1:
            raise DataError(f"{self.images} images: expected at least 1")
        if not 0 <= self.seed < 1 << 64:
            raise DataError(f"seed {self.seed}: expected 0 to 2^64 - 1")
        if self.steps is not None and self.steps < 1:
            raise ConfigError(f"--steps {self.steps}: expected at least 1")
        if self.rate is not None and not 0 <= self.rate <= 1:
            raise ConfigError(f"--rate {self.rate}: expected 0 to 1")
        if len(self.named) > 1:
            raise ConfigError(f"{' and '.join(self.named)}: give one of them")

    @property
    def named(self) -> list[str]:
        """The options that name a source."""
        sources = {"--latents": self.latents, "--spikes": self.spikes, "--image": self.image, "--rate": self.rate}
        return [name for name, source in sources.items() if source is not None]


@dataclass(frozen=True, eq=False)
class Entering:
    """Images or spikes for a network, numbered; made as they are needed, so that any number can be run in parts.

    Attributes:
        kind: ``prior``, ``file``, ``rate``, ``image``, ``pixels`` or ``power-on``.
        about: the same for a person.
        network: that they enter.
        images: how many.
        steps: of each.
        make: spikes or frames ``(images, steps, ...)``, or pixels ``(images, *input shape)``, of the images from a
            first number to before a last one.
        options: that it was made by.
        rate: of random spikes.
        sampler: the rates and first states behind the spikes of such images, where a sampler draws them.
        first: number of the first image.
    """

    kind: str
    about: str
    network: Network
    images: int
    steps: int
    make: Callable[[int, int], Shaped[np.ndarray, " images *rest"]]
    options: InputOptions = InputOptions()
    rate: float | None = None
    sampler: Callable[[int, int], Rates] | None = None
    first: int = 0

    @property
    def timing(self) -> Timing:
        """Resets and alignment."""
        return self.options.timing

    @cached_property
    def stimulus(self) -> Stimulus:
        """All of it, checked against the network.

        Raises:
            DataError: it does not fit.
        """
        try:
            values = self.make(self.first, self.first + self.images)
            if self.kind in ("image", "pixels"):
                entering = Stimulus(None, values, self.steps, self.timing)
            else:
                spikes = _lasting(with_read_phase(self.network, values), self.steps)
                entering = Stimulus(spikes, None, self.steps, self.timing)
            return as_stimulus(self.network, entering)
        except DataError as error:
            raise DataError(f"{self.about}: {error}") from None

    @property
    def rates(self) -> Rates | None:
        """What a sampler draws exactly these spikes from; None where they come from elsewhere."""
        return None if self.sampler is None else self.sampler(self.first, self.first + self.images)

    def part(self, start: int, stop: int) -> Entering:
        """Images ``start`` to before ``stop`` of these."""
        start, stop = min(start, self.images), min(stop, self.images)
        return replace(self, first=self.first + start, images=stop - start)

    def chunks(self, size: int = _CHUNK) -> Iterator[Entering]:
        """Parts of ``size`` images, the last of what is left."""
        for start in range(0, self.images, size):
            yield self.part(start, start + size)


def drawable(network: Network) -> bool:
    """Whether a network says by itself what enters it: it has a prior and a window."""
    return network.prior is not None and network.time_steps is not None


def enter(network: Network, options: InputOptions) -> Entering:
    """What enters, by what the caller said: a file, spikes at a rate, or the network's prior.

    Raises:
        DataError: a file that cannot be read or does not fit; a prior or a number of steps that nobody gave.
    """
    if options.named:
        check_kind(network, images=options.image is not None)
    if options.image is not None:
        return _from_images(network, options.image, options)
    if options.latents is not None:
        return _from_spikes(network, options.latents, options, window=network.time_steps)
    if options.spikes is not None:
        return _from_spikes(network, options.spikes, options, window=None)
    if options.rate is not None:
        return at_rate(network, options.rate, options)
    return _from_prior(network, options)


def at_hand(network: Network, stimulus: np.ndarray | Stimulus) -> Entering:
    """Spikes ``(images, steps, *input shape)`` or another stimulus that is at hand.

    Raises:
        DataError: it does not fit the network.
    """
    checked = as_stimulus(network, stimulus)
    kind = "image" if checked.spikes is None else "file"
    options = InputOptions(timing=checked.timing)
    return Entering(kind, "given", network, len(checked), checked.steps, _rows(checked.values), options)


def at_rate(network: Network, rate: float, options: InputOptions) -> Entering:
    """Random spikes, ``rate`` a step of each input; each image has a generator of its own, keyed by seed and number.

    Raises:
        DataError: neither the network nor the options say how many steps.
    """
    steps = _steps(network, options)
    seed, shape = options.seed, (steps, *network.input_shape)

    def make(start: int, stop: int) -> np.ndarray:
        generators = (np.random.Generator(np.random.Philox(key=[seed, image])) for image in range(start, stop))
        return np.stack([(generator.random(shape) < rate).astype(np.uint8) for generator in generators])

    about = f"random spikes, {rate:g} a step of each input, seed {seed}"
    images = options.images or DEFAULT_IMAGES
    return Entering("rate", about, network, images, steps, make, options, rate)


def made_up(network: Network, options: InputOptions) -> Entering:
    """For a file that does not say what enters it: random pixels for input neurons, which for delta encoders change in
    one of eight places a step, else spikes at half of the steps.

    Raises:
        DataError: neither the network nor the options say how many steps.
    """
    steps, seed = _steps(network, options), options.seed
    images, neurons = options.images or DEFAULT_IMAGES, math.prod(network.input_shape)

    def states(start: int, stop: int) -> np.ndarray:
        return initial_states(seed, np.arange(start, stop), neurons)

    def pixels(start: int, stop: int) -> np.ndarray:
        values = (states(start, stop) & np.uint32((1 << _PIXEL_BITS) - 1)).astype(np.int32) + _PIXEL_MIN
        return values.reshape(-1, *network.input_shape)

    def frames(start: int, stop: int) -> np.ndarray:
        found = []
        for image in range(start, stop):
            rng = np.random.Generator(np.random.Philox(key=[seed, image]))
            drawn = rng.integers(-_FRAME, _FRAME + 1, (steps, *network.input_shape), np.int32)
            changes = rng.random(drawn.shape) < _CHANGING
            changes[0] = True
            # Each value stays until it changes: that of the last step at which it did.
            last = np.maximum.accumulate(np.where(changes, np.arange(steps).reshape(-1, *[1] * (drawn.ndim - 1)), 0))
            found.append(np.take_along_axis(drawn, last, axis=0))
        return np.stack(found)

    def rates(start: int, stop: int) -> Rates:
        first = states(start, stop)
        return Rates(np.full(first.shape, 1 << (DEFAULT_RATE_BITS - 1)), first, steps, DEFAULT_RATE_BITS)

    def spikes(start: int, stop: int) -> np.ndarray:
        return rates(start, stop).spikes()

    if network.frame_encoder is not None:
        about = f"random frames, -{_FRAME} to {_FRAME}, of which an eighth changes at each step, seed {seed}"
        return Entering("pixels", about, network, images, steps, frames, options)
    if network.input_neurons is not None:
        most = _PIXEL_MIN + (1 << _PIXEL_BITS) - 1
        about = f"random pixels, {_PIXEL_MIN} to {most}, seed {seed}"
        return Entering("pixels", about, network, images, steps, pixels, options)
    about = f"random spikes at half of the steps, seed {seed}"
    return Entering("rate", about, network, images, steps, spikes, options, 0.5, rates)


def from_power_on(network: Network, images: int, *, decoder: bool = True) -> Entering:
    """Nothing: one long sample of silence, in Lava's time, for a network whose prior is a circuit.

    Args:
        network: with such a prior.
        images: that are drawn in it.
        decoder: with what the circuit feeds; else source and latents alone.

    Raises:
        DataError: its prior is no circuit, or fewer than one image.
    """
    circuit = circuit_of(network)
    if circuit is None:
        raise DataError("this network draws nothing by itself; export its run again with --generator chip")
    made = plan(network, images)
    running = whole_network(network) if decoder else source_network(circuit, beside=not is_chained(network))
    steps = made.total - made.depth + running.depth
    timing = Timing(made.reset_interval, made.reset_offset, stagger=True)
    silence = np.zeros((1, steps, *running.input_shape), np.uint8)
    about = f"nothing: {images} images from power-on"
    return Entering("power-on", about, running, 1, steps, _rows(silence), InputOptions(timing=timing))


def _from_prior(network: Network, options: InputOptions) -> Entering:
    if network.input_neurons is not None:
        raise DataError("the input layer has neurons: give esvae simulate what they see with --image FILE.npy")
    if network.time_steps is None or network.prior is None:
        raise DataError(
            "this network has no prior to draw latent spikes from; give them to esvae simulate with --latents FILE.npy"
        )
    seed, steps = options.seed, options.steps or network.time_steps
    circuit = circuit_of(network)
    if circuit is not None:
        check_circuit_seed(circuit, seed)

    def make(start: int, stop: int) -> np.ndarray:
        return draw_latents(network, seed, np.arange(start, stop))

    def rates(start: int, stop: int) -> Rates:
        return rates_from_prior(network, seed, np.arange(start, stop))

    fed = circuit is None and network.spike_readout is None  # by a sampler in the graph, which draws whole windows
    sampler = rates if steps == network.time_steps and fed else None
    about = f"latent spikes drawn from the prior, seed {seed}"
    if circuit is not None:
        about = f"nothing: latent spikes drawn on the chip, seed {circuit.layout.seed}"
    images = options.images or DEFAULT_IMAGES
    return Entering("prior", about, network, images, steps, make, options, sampler=sampler)


def _from_spikes(
    network: Network, path: str | os.PathLike[str], options: InputOptions, *, window: int | None
) -> Entering:
    """Spikes of a file; ``window`` is the number of steps that it must have, None for any."""
    raster = mapped_raster(path, network.input_shape, network)[: options.images]
    if window is not None and raster.shape[1] != window:
        raise DataError(f"{path}: has {raster.shape[1]} steps, the network's window is {window}")
    steps = options.steps or raster.shape[1]
    about = f"spikes from {path}"

    def make(start: int, stop: int) -> np.ndarray:
        return as_zeros_and_ones(raster[start:stop], start)

    return Entering("file", about, network, len(raster), steps, make, options)


def _from_images(network: Network, path: str | os.PathLike[str], options: InputOptions) -> Entering:
    steps = options.steps or network.time_steps
    if str(path) == "zeros":
        pictures = np.zeros((options.images or 1, *network.input_shape), np.int32)
    else:
        # Left in the file, and copied where written to: torch takes no array that is read only.
        pictures = load_array(path, "images", mapped="c")[: options.images]
        if network.frame_encoder is not None and pictures.ndim == len(network.input_shape) + 2:  # one a step
            steps = options.steps or pictures.shape[1]
            pictures = pictures[:, :steps]
    if steps is None:
        raise DataError("--image: the file says no number of steps; give it with --steps")
    about = f"images from {path}" if str(path) != "zeros" else "images of zeros"
    return Entering("image", about, network, len(pictures), steps, _rows(pictures), options)


def _rows(values: np.ndarray) -> Callable[[int, int], np.ndarray]:
    """Gives images of an array by number."""
    return lambda start, stop: values[start:stop]


def _steps(network: Network, options: InputOptions) -> int:
    steps = options.steps or network.time_steps
    if steps is None:
        raise DataError("this file has neither a prior nor a window; say for how many steps to run it with --steps")
    return steps


def _lasting(raster: np.ndarray, steps: int) -> np.ndarray:
    """``raster`` cut to ``steps``, or followed by silence."""
    if raster.shape[1] >= steps:
        return raster[:, :steps]
    silence = np.zeros((len(raster), steps - raster.shape[1], *raster.shape[2:]), raster.dtype)
    return np.concatenate([raster, silence], axis=1)

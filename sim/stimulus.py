"""What enters a network, for how long, and when its neurons are reset: the same for every backend.

Time is counted in one of two ways. Aligned by sample, step t of every layer is what the sample's step t has come to
there, and every layer starts from rest. Staggered, it is Lava's: every synapse holds its sums back by one step, all
layers start from rest at the first step, and before a spike has reached a layer, that layer runs on its bias.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from esvae.arrays import Bool, Int32, UInt8
from esvae.chip.formats import BIAS, FRAME, IntFormat
from esvae.errors import ConfigError, DataError
from export.ir import Network
from export.rasters import as_zeros_and_ones

__all__ = [
    "Stimulus",
    "Timing",
    "as_stimulus",
    "check_frames",
    "check_images",
    "check_kind",
    "check_spikes",
    "with_read_phase",
]


@dataclass(frozen=True)
class Timing:
    """When neurons are reset, and how time is counted.

    Attributes:
        reset_interval: steps from one reset of current and potential to the next, or None for none. Spikes that a
            delay holds back are not reset, as in Lava.
        reset_offset: the first layer is reset at the steps congruent to ``1 + reset_offset``, counted from 1.  Where
            time is staggered, each later layer is a step later (netx: ``reset_interval``, ``reset_offset``).
        stagger: count time as Lava does.

    Raises:
        ConfigError: an interval below 1, an offset below 0.
    """

    reset_interval: int | None = None
    reset_offset: int = 0
    stagger: bool = False

    def __post_init__(self) -> None:
        if self.reset_interval is not None and self.reset_interval < 1:
            raise ConfigError(f"reset interval {self.reset_interval}: expected at least 1 step")
        if self.reset_offset < 0:
            raise ConfigError(f"reset offset {self.reset_offset}: expected at least 0 steps")

    def resets(self, layer: int, steps: int) -> Bool[np.ndarray, " steps"]:
        """At which steps the neurons of a layer are reset before they are updated.

        Args:
            layer: number among the layers with neurons, from 0.
            steps: length of the run.
        """
        if self.reset_interval is None:
            return np.zeros(steps, bool)
        phase = self.reset_offset + (layer if self.stagger else 0)
        return np.arange(steps) % self.reset_interval == phase % self.reset_interval


@dataclass(frozen=True, eq=False)
class Stimulus:
    """Spikes or images, one after the other, each into a network at rest.

    Attributes:
        spikes: 0 or 1, ``(images, steps, *input shape)``, or None.
        images: whole numbers ``(images, *input shape)``, the biases of the input neurons at every step, or None; for
            delta encoders frames ``(images, steps, *input shape)``, one a step, or one for all.
        steps: length of each run.
        timing: resets and alignment.
    """

    spikes: np.ndarray | None
    images: np.ndarray | None
    steps: int
    timing: Timing = Timing()

    @property
    def values(self) -> np.ndarray:
        """The spikes or the images, whichever there are.

        Raises:
            DataError: there are neither.
        """
        found = self.spikes if self.spikes is not None else self.images
        if found is None:
            raise DataError("the stimulus holds neither spikes nor images")
        return found

    @property
    def framed(self) -> bool:
        """Whether images are frames, one a step."""
        return self.images is not None and self.images.ndim in (3, 5)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.values)

    def part(self, start: int, stop: int) -> Stimulus:
        """Samples ``start`` to ``stop``, as a view."""
        spikes, images = (None if x is None else x[start:stop] for x in (self.spikes, self.images))
        return replace(self, spikes=spikes, images=images)


def as_stimulus(network: Network, given: np.ndarray | Stimulus) -> Stimulus:
    """Checks that ``given`` fits ``network``; an array is spikes, aligned by sample, without resets.

    Raises:
        DataError: values or shapes that do not fit, spikes for input neurons, or images for a network without them.
    """
    stimulus = _fitting(network, given)
    problem = network.window_problem(stimulus.steps)
    if problem is not None:
        raise DataError(problem)
    return stimulus


def _fitting(network: Network, given: np.ndarray | Stimulus) -> Stimulus:
    if not isinstance(given, Stimulus):
        given = Stimulus(np.asarray(given), None, np.shape(given)[1] if np.ndim(given) > 1 else 1)
    check_kind(network, images=given.images is not None)
    if network.sends_messages and given.timing.reset_interval is not None:
        raise DataError("sigma-delta neurons are not reset: netx passes over --reset-interval; leave it out")
    if given.images is not None:
        if given.steps < 1:
            raise DataError(f"{given.steps} steps: expected at least 1")
        if network.frame_encoder is not None:
            return replace(given, spikes=None, images=check_frames(network, given.images, given.steps))
        return replace(given, spikes=None, images=check_images(network, given.images))
    spikes = check_spikes(network, given.values)
    return replace(given, spikes=spikes, images=None, steps=spikes.shape[1])


def check_kind(network: Network, *, images: bool) -> None:
    """Passes a network that takes ``images``, or spikes where that is false.

    Raises:
        DataError: it takes the other; says which option gives it.
    """
    if network.input_neurons is not None and not images:
        raise DataError("the input layer has neurons, which take images and no spikes; give --image FILE.npy")
    if network.input_neurons is None and images:
        raise DataError("the input layer has no neurons to take images; give spikes with --spikes FILE.npy")


def check_spikes(network: Network, spikes: np.ndarray) -> UInt8[np.ndarray, "images steps *input"]:
    """Returns ``spikes`` as uint8, in the shape that the network takes.

    A latent ``(images, steps, features)`` raster is taken by a network whose input is ``(features, 1, 1)`` too, and by
    one that flattens its input first. Latents alone get the read phase of a spike readout behind them.

    Raises:
        DataError: wrong number of axes, wrong sizes, empty, or values other than 0 and 1.
    """
    spikes, wanted = with_read_phase(network, np.asarray(spikes)), network.input_shape
    if spikes.ndim == 3 and len(wanted) == 3 and spikes.shape[2] == np.prod(wanted):
        spikes = spikes.reshape(*spikes.shape[:2], *wanted)
    if spikes.shape[2:] != wanted or 0 in spikes.shape[:2]:
        axes = ", ".join(map(str, wanted))
        raise DataError(f"input spikes have shape {spikes.shape}, expected (images, steps, {axes}), none empty")
    return as_zeros_and_ones(spikes)


def with_read_phase(network: Network, spikes: np.ndarray) -> np.ndarray:
    """Latents ``(images, image steps, latents)`` followed by the steps in which the drives of a spike readout fire.

    Spikes of other shapes, and those for a network without such a readout, are given back as they are.
    """
    told = network.spike_readout
    if told is None or spikes.shape[1:] != (network.image_steps, network.latents):
        return spikes
    found = np.zeros((len(spikes), network.time_steps or 0, network.latents + told.drives), spikes.dtype)
    found[:, : spikes.shape[1], : network.latents] = spikes
    found[:, spikes.shape[1] :, network.latents :] = 1
    return found


def check_images(network: Network, images: np.ndarray) -> Int32[np.ndarray, " images *input"]:
    """Returns ``images`` as int32: the bias of each input neuron.

    Raises:
        DataError: wrong shape, empty, fractions, or beyond the 13 bit of a bias; says how to make integers of pixels.
    """
    images = np.asarray(images)
    wanted = network.input_shape
    if images.shape[1:] != wanted or len(images) == 0:
        axes = ", ".join(map(str, wanted))
        raise DataError(f"input images have shape {images.shape}, expected (images, {axes}), none empty")
    return _whole(network, images, BIAS)


def check_frames(network: Network, frames: np.ndarray, steps: int) -> Int32[np.ndarray, "images {steps} *input"]:
    """Returns ``frames`` as int32, one a step: what enters each delta encoder.

    Args:
        network: with delta encoders.
        frames: one a step, ``(images, steps, *input shape)``, or one for all steps ``(images, *input shape)``.
        steps: length of the run.

    Raises:
        DataError: wrong shape, empty, fractions, or more than a state holds.
    """
    frames = np.asarray(frames)
    wanted = network.input_shape
    if frames.shape[1:] == wanted:
        frames = np.broadcast_to(frames[:, None], (len(frames), steps, *wanted))
    if frames.shape[1:] != (steps, *wanted) or len(frames) == 0:
        axes = ", ".join(map(str, wanted))
        raise DataError(
            f"input frames have shape {frames.shape}, expected (images, {axes}) or (images, {steps} steps, {axes})"
        )
    return _whole(network, frames, FRAME)


def _whole(network: Network, images: np.ndarray, limits: IntFormat) -> Int32[np.ndarray, "*shape"]:
    """Images or frames as int32; raises DataError for fractions and what is outside of ``limits``."""
    neurons = network.input_neurons
    assert neurons is not None
    how = f"round(x * {neurons.weight} + {neurons.bias}) makes them of the pixels that the network was trained with"
    if images.dtype.kind not in "iub" and not (images.dtype.kind == "f" and (images == np.rint(images)).all()):
        raise DataError(f"input images must be whole numbers, the biases of the input neurons; {how}")
    if images.min() < limits.min or images.max() > limits.max:
        raise DataError(
            f"input images range from {images.min()} to {images.max()}, outside [{limits.min}, {limits.max}]; {how}"
        )
    return images.astype(np.int32)

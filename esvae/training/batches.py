"""Which images each step sees and which random numbers it draws: functions of the seed and the step's number alone.

So nothing of it has to be stored for a run to continue where it stopped, and any number of processes agree on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch

from esvae.arrays import Bool, Float, Integer
from esvae.errors import ConfigError

__all__ = ["Batches", "check_spread", "step_generator"]

_ORDER, _DRAWS, _FLIPS = 1, 2, 3


def step_generator(seed: int, step: int, purpose: int = _DRAWS) -> torch.Generator:
    """A generator of its own for one step (or epoch) of one seed."""
    state = np.random.SeedSequence([seed, purpose, step]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))


class Rows(Protocol):
    """What batches are taken of; an :class:`~esvae.data.ImageSet` is one."""

    def __len__(self) -> int: ...

    def batch(
        self, indices: Integer[torch.Tensor, " batch"], flip: Bool[torch.Tensor, " batch"] | None = None
    ) -> Float[torch.Tensor, " batch *row"]: ...


def check_spread(size: int, parts: int) -> None:
    """Refuses a batch that has no equal part for each of so many processes.

    Raises:
        ConfigError: as said.
    """
    if size % parts:
        raise ConfigError(f"train.batch_size {size} cannot be spread evenly over {parts} processes")


class Batches:
    """The batches of a training, from a step on, each image once an epoch and a last partial batch left out.

    Args:
        images: the training set.
        size: images to a batch, over all processes.
        seed: decides order and flips.
        flip: mirror each image with probability one half.
        first: number of the first step to yield.
        total: number of steps after the last.
        part, parts: yield only rows ``part * size / parts`` and following of every batch.

    Raises:
        ConfigError: fewer images than a batch, or a batch that cannot be spread evenly.
    """

    def __init__(
        self, images: Rows, size: int, seed: int, *, flip: bool = False, first: int = 0, total: int | None = None
    ) -> None:
        if len(images) < size:
            raise ConfigError(f"train.batch_size {size} is more than the {len(images)} training images; lower it")
        self.images, self.size, self.seed, self.flip = images, size, seed, flip
        self.epoch_steps = len(images) // size
        self.first, self.total = first, total
        self.part, self.parts = 0, 1

    def spread(self, part: int, parts: int) -> None:
        """Yields only the ``part``-th of ``parts`` equal shares of every batch from now on."""
        check_spread(self.size, parts)
        self.part, self.parts = part, parts

    def __len__(self) -> int:
        assert self.total is not None
        return max(0, self.total - self.first)

    def __iter__(self) -> Iterator[torch.Tensor]:
        """Float32 ``(size / parts, C, H, W)`` in [-1, 1]."""
        assert self.total is not None
        epoch, order = -1, torch.empty(0)
        share = self.size // self.parts
        for step in range(self.first, self.total):
            if step // self.epoch_steps != epoch:
                epoch = step // self.epoch_steps
                order = torch.randperm(len(self.images), generator=step_generator(self.seed, epoch, _ORDER))
            start = step % self.epoch_steps * self.size + self.part * share
            flip = None
            if self.flip:
                draws = torch.rand(self.size, generator=step_generator(self.seed, step, _FLIPS))
                flip = draws[self.part * share : (self.part + 1) * share] < 0.5
            yield self.images.batch(order[start : start + share], flip)

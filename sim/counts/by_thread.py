"""What one thread has counted of a run: a counter to a layer, and sums over some images at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from esvae.arrays import Int64
from sim.counts.kernel import Reach, SpikeCounter
from sim.counts.spread import QUANTITIES, StepMoments

__all__ = ["ThreadCounts"]

#: Images that are summed up at a time.
_BATCH = 1024


class ThreadCounts:
    """What one thread has counted.

    Attributes:
        counters, leaving: of each layer: of what entered, and of spikes that left and are not what enters the next.
        moments: of each layer.
        per_image: numbers of first images, and counts ``(layers, images, quantities)`` from there on.
        widest: the largest message that entered each layer, as a number of the same bits.
        input_neurons: how many.
    """

    def __init__(self, reach: Sequence[Reach], leaving: Sequence[Reach], steps: int) -> None:
        self.counters, self.leaving = ([SpikeCounter(each, steps) for each in side] for side in (reach, leaving))
        self.moments = [StepMoments(steps) for _ in reach]
        self.per_image: list[tuple[int, np.ndarray]] = []
        self.widest, self.input_neurons = [0] * len(reach), 0
        # In one place: what is kept of each chunk would lie where the next one's sums and spikes are to lie again.
        self._waiting = np.empty((len(reach), steps, len(QUANTITIES), _BATCH), np.int64)
        self._held = list[tuple[int, int]]()

    def keep(self, first: int, of_layers: Sequence[Sequence[Int64[np.ndarray, "steps images"]]]) -> None:
        """Takes counts of images from ``first`` on: of each layer and quantity int64 ``(steps, images)``."""
        images = of_layers[0][0].shape[1]
        for begin in range(0, images, _BATCH):
            end = min(images, begin + _BATCH)
            if self._images + end - begin > _BATCH:
                self.settle()
            place = self._waiting[..., self._images : self._images + end - begin]
            for k, quantities in enumerate(of_layers):
                for i, counted in enumerate(quantities):
                    place[k, :, i] = counted[:, begin:end]
            self._held.append((first + begin, end - begin))

    @property
    def _images(self) -> int:
        """That wait."""
        return sum(images for _, images in self._held)

    def settle(self) -> None:
        """Sums up what waits: a few images at a time would take longer to sum up than to count."""
        if not self._held:
            return
        table = self._waiting[..., : self._images]
        for moments, of_layer in zip(self.moments, table, strict=True):
            moments.add(of_layer)
        of_images, at = table.sum(axis=1).swapaxes(1, 2), 0
        for first, images in self._held:
            self.per_image.append((first, of_images[:, at : at + images]))
            at += images
        self._held = []

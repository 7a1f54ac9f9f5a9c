"""Images for training and evaluation, in memory, as float32 ``(N, C, H, W)`` in [-1, 1]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.datasets import load_digits

from esvae.config import DataConfig

__all__ = ["ImageSet", "ImageSplits", "load_images"]

#: Images of the digits held out for evaluation; which ones is fixed, so that every run is judged by the same.
_DIGITS_TEST = 297
_DIGITS_LEVELS = 16


@dataclass(frozen=True)
class ImageSet:
    pixels: torch.Tensor

    def __len__(self):
        return len(self.pixels)

    def batch(self, indices, flip=None):
        x = self.pixels[indices]
        return x if flip is None else torch.where(flip[:, None, None, None], x.flip(3), x)

    def tensor(self):
        return self.pixels

    def head(self, n):
        return ImageSet(self.pixels[:n])

    def split(self, batch):
        return iter(self.pixels.split(batch))


@dataclass(frozen=True)
class ImageSplits:
    """Training and test images, float32 ``(N, C, H, W)`` in [-1, 1]."""

    train: ImageSet
    test: ImageSet


def load_images(config: DataConfig) -> ImageSplits:
    """Loads and resizes a data set, split the same way every time."""
    pixels = torch.from_numpy(load_digits().images.astype(np.float32))[:, None] / _DIGITS_LEVELS
    size = config.image_size
    if pixels.shape[-1] != size:
        pixels = torch.nn.functional.interpolate(pixels, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
    images = (2 * pixels - 1).expand(-1, config.image_channels, -1, -1).contiguous()
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(images)))
    return ImageSplits(ImageSet(images[order[_DIGITS_TEST:]]), ImageSet(images[order[:_DIGITS_TEST]]))

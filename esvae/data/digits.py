"""Scikit-learn's digits: 1,797 images of 8x8 in 17 grey levels, inside its wheel."""

from __future__ import annotations

import functools

import numpy as np
import torch

from esvae.config import DataConfig
from esvae.data.images import ImageSet, ImageSplits

__all__ = ["embedded_digits"]

#: Images held out for evaluation; which ones is fixed, so that every run is judged by the same.
_TEST = 297
_LEVELS = 16


def embedded_digits(config: DataConfig) -> ImageSplits:
    """The digits, resized (bicubic) to the config's size, as float32, split the same way every time."""
    pixels = torch.from_numpy(_levels())[:, None] / _LEVELS
    size = config.image_size
    if pixels.shape[-1] != size:
        pixels = torch.nn.functional.interpolate(pixels, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
    images = (2 * pixels - 1).expand(-1, config.image_channels, -1, -1).contiguous()
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(images)))
    return ImageSplits(ImageSet(images[order[_TEST:]]), ImageSet(images[order[:_TEST]]))


@functools.cache
def _levels() -> np.ndarray:
    """Grey levels, ``(images, 8, 8)``; the wheel has them as text, which takes long to read."""
    from sklearn.datasets import load_digits  # here, as importing it takes seconds

    return load_digits().images.astype(np.float32)

"""Images in memory, or mapped from disk: 8 bit where the source has 8 bit, float32 in [-1, 1] where they are used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from esvae.arrays import Bool, Float32, Integer, UInt8

__all__ = ["ImageSet", "ImageSplits"]

_HALF_RANGE = 127.5


@dataclass(frozen=True)
class ImageSet:
    """Some images.

    Attributes:
        pixels: ``(N, C, H, W)``, uint8 in [0, 255] or float32 in [-1, 1].
    """

    pixels: UInt8[torch.Tensor, "images channels height width"] | Float32[torch.Tensor, "images channels height width"]

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(
        self, indices: Integer[torch.Tensor, " batch"], flip: Bool[torch.Tensor, " batch"] | None = None
    ) -> Float32[torch.Tensor, "batch channels height width"]:
        """Float32 ``(B, C, H, W)`` in [-1, 1] of the images ``indices``; those where ``flip`` holds are mirrored."""
        images = _float(self.pixels[indices])
        return images if flip is None else torch.where(flip.view(-1, 1, 1, 1), images.flip(3), images)

    def tensor(self) -> Float32[torch.Tensor, "images channels height width"]:
        """All images, float32 ``(N, C, H, W)`` in [-1, 1]."""
        return _float(self.pixels)

    def head(self, count: int) -> ImageSet:
        """The first ``count`` images."""
        return ImageSet(self.pixels[:count])

    def split(self, size: int) -> Iterator[Float32[torch.Tensor, "batch channels height width"]]:
        """All images in batches of ``size``, float32 in [-1, 1]; the last may be smaller."""
        return map(_float, self.pixels.split(size))


def _float(pixels: torch.Tensor) -> torch.Tensor:
    return pixels.float() / _HALF_RANGE - 1 if pixels.dtype == torch.uint8 else pixels


@dataclass(frozen=True)
class ImageSplits:
    """Training and test images."""

    train: ImageSet
    test: ImageSet

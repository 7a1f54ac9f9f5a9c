"""Drawn images, as a notebook shows them."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from esvae.arrays import Float32, Integer
from esvae.machine.outputs import output_file
from esvae.pictures import image_grid, save_grid

__all__ = ["Pictures"]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Drawn images; a notebook shows them as a grid.

    Attributes:
        images: float32 ``(N, C, H, W)`` in [-1, 1].
        potentials: what the chip's readout neurons hold, whole numbers ``(N, *layer shape)``.
        backend: that drew them.
        seconds: that took, loading included.
    """

    images: Float32[np.ndarray, "images channels height width"] = field(repr=False)
    potentials: Integer[np.ndarray, " images *layer"] = field(repr=False)
    backend: str
    seconds: float

    def __len__(self) -> int:
        return len(self.images)

    def save(self, target: str | os.PathLike[str]) -> None:
        """Writes the grid as PNG, whole or not at all.

        Raises:
            ConfigError: a name that does not end in .png, or nothing can be written there.
        """
        output_file(target, ".png", option="target")
        save_grid(self.images, target)

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(image_grid(self.images)).save(buffer, format="PNG")
        return buffer.getvalue()

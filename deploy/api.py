"""Three lines in a notebook::

import deploy

model = deploy.load("decoder.net")
model.generate(n=64, seed=0)
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from deploy.backends import BackendJob, LavaSettings, Loader, Progress, SamplerPlace, Target, run_backend
from deploy.entering import InputOptions, enter
from deploy.plan import Plan, plan
from deploy.verify import Verdict, verify
from esvae.errors import DataError
from esvae.pictures import image_grid, save_grid
from export.ir import Network
from export.netx import read_netx
from sim.readout import images_from_potentials

__all__ = ["Generator", "Pictures", "load"]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Drawn images; a notebook shows them as a grid.

    Attributes:
        images: float32 ``(N, C, H, W)`` in [-1, 1].
        potentials: what the chip's readout neurons hold, int32 ``(N, *layer shape)``.
        backend: that drew them.
        seconds: that took, loading included.
    """

    images: np.ndarray = field(repr=False)
    potentials: np.ndarray = field(repr=False)
    backend: str
    seconds: float

    def __len__(self) -> int:
        return len(self.images)

    def save(self, target: str | os.PathLike[str]) -> None:
        """Writes the grid as PNG, whole or not at all."""
        save_grid(self.images, target)

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(image_grid(self.images)).save(buffer, format="PNG")
        return buffer.getvalue()


class Generator:
    """A network file that draws images.

    Attributes:
        path: the file.
        network: the integer network in it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.network: Network = read_netx(path)

    def __repr__(self) -> str:
        shapes = " -> ".join("x".join(map(str, shape)) for shape in (self.network.input_shape, *self.network.shapes))
        return f"Generator({str(self.path)!r}: {shapes}, {self.network.time_steps} steps)"

    def generate(
        self,
        n: int = 64,
        seed: int = 0,
        backend: str = "twin",
        *,
        loader: Loader = "stock",
        sampler: SamplerPlace = "host",
        target: Target = "cpu",
        first: int = 0,
        progress: Progress | None = None,
    ) -> Pictures:
        """Draws images ``first`` to ``first + n - 1`` of a seed; every backend and setting gives the same integers.

        Args:
            n: how many.
            seed: of the prior and of the sampler.
            backend: one of :data:`deploy.backends.BACKENDS`.
            loader, sampler, target: of Lava, see :class:`deploy.backends.LavaSettings`.
            first: number of the first image.
            progress: called with the share done and what is being done.

        Raises:
            DataError: fewer than one image, a file without a prior or without a readout.
            EsvaeError: the backend failed.
        """
        if n < 1 or first < 0:
            raise DataError(f"{n} images from {first} on: expected at least 1, from 0 on")
        if self.network.readout is None:
            images_from_potentials(self.network, np.zeros(0))  # says so
        entering = enter(self.network, InputOptions(first + n, seed)).part(first, first + n)
        lava = LavaSettings(loader, sampler, target)
        run = run_backend(backend, BackendJob(self.path, entering, lava=lava, progress=progress))
        images = images_from_potentials(self.network, run.potentials)
        return Pictures(images, run.potentials, backend, round(run.seconds, 3))

    def plan(self, n: int = 1) -> Plan:
        """The time steps of ``n`` back-to-back images, see :func:`deploy.plan.plan`."""
        return plan(self.network, n)

    def verify(self, n: int = 4, seed: int = 0) -> Verdict:
        """Compares every integer across backends, see :func:`deploy.verify.verify`."""
        return verify(self.path, n, seed=seed)


def load(path: str | os.PathLike[str]) -> Generator:
    """Reads a ``.net`` file.

    Raises:
        NetFileError: missing, damaged or not understood.
    """
    return Generator(path)

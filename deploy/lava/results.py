"""What a Lava run tells as it goes on, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from esvae.arrays import Int32, Integer

__all__ = ["LavaProgress", "LavaRun"]


@dataclass(frozen=True)
class LavaProgress:
    """How far a run has come; given to ``progress`` whenever it has come further.

    Attributes:
        stage: ``starting``, ``importing``, ``building``, ``compiling``, ``running``, ``collecting`` or ``stopping``.
        step, steps: time steps done and to do, of all images together; 0 before ``running``.
        image, images: images done and to do; 0 before ``running``.
        processes: process ids of Lava's processes by name; empty before ``running``.
        job, jobs: which of the jobs that share an interpreter this is, from 0, and how many they are.
    """

    stage: str = "starting"
    step: int = 0
    steps: int = 0
    image: int = 0
    images: int = 0
    processes: dict[str, int] = field(default_factory=dict)
    job: int = 0
    jobs: int = 1

    def __str__(self) -> str:
        where = f" (time step {self.step} of {self.steps}, image {self.image} of {self.images} done)"
        return self.stage + (where if self.steps else "")


@dataclass(frozen=True)
class LavaRun:
    """What Lava computed.

    Attributes:
        readout: membrane potential v of the last layer at the end of each image's window, int32, shape
            ``(images, C, H, W)`` or ``(images, features)``.
        trace: ``None`` unless asked for; else by name, of ``layer 3 (conv)`` ``layer3.u``, ``.v`` (int32) and ``.s``
            (uint8); shape ``(images, steps, C, H, W)`` or ``(images, steps, features)``, aligned by sample, or by
            Lava's clock where time is staggered. A sampler in the graph has its spikes alone.
        versions: of ``lava-nc``, ``lava-dl``, ``python`` and ``numpy``.
        seconds: wall time by stage, and ``total``.
        measured: what a board's own probes measured, by name with unit; empty on a CPU.
    """

    readout: Int32[np.ndarray, " images *layer"]
    trace: dict[str, Integer[np.ndarray, "_images steps *_layer"]] | None
    versions: dict[str, str]
    seconds: dict[str, float]
    measured: dict[str, float] = field(default_factory=dict)

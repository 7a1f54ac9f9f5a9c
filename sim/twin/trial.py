"""What a form of a layer takes on this machine, tried out: of several, the fastest is then taken."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

import torch

from esvae.arrays import Real

__all__ = ["SumsOf", "least_seconds"]

#: A raster of spikes to what arrives at a layer's neurons.
SumsOf: TypeAlias = Callable[[torch.Tensor], torch.Tensor]

_REPEATS = 3


def least_seconds(*cases: tuple[SumsOf, Real[torch.Tensor, "_steps _images _inputs"]]) -> list[float]:
    """Of each form on its raster the fewest seconds of three calls, taken in turn; a first one may compile."""
    return [min(taken) for taken in zip(*([_seconds(*case) for case in cases] for _ in range(_REPEATS)), strict=True)]


def _seconds(sums_of: SumsOf, raster: torch.Tensor) -> float:
    start = time.perf_counter()
    sums_of(raster)
    return time.perf_counter() - start

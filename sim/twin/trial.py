"""What a form of a layer takes on this machine, tried out: of several, the fastest is then taken."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch

from esvae.arrays import UInt8

__all__ = ["Form", "SumsOf", "least_seconds", "raster_for"]

#: A raster of spikes to what arrives at a layer's neurons; or to whatever a form of a layer makes of it.
SumsOf: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
Form: TypeAlias = Callable[[torch.Tensor], object]

#: Calls one after the other, and how often the forms take turns.
_REPEATS, _ROUNDS = 3, 3
#: Rows to begin with, and their products, those of silent inputs among them.
_ROWS, _PRODUCTS = 64, 1 << 25
#: Seconds that a call takes at least: of fewer, how it begins is too large a part. And the most spikes, or neurons.
_SECONDS, _MOST = 1e-3, 1 << 21


def raster_for(
    form: Form, inputs: int, neurons: int, *, products: int, active: float
) -> UInt8[torch.Tensor, "steps 1 inputs"]:
    """Spikes at random, uint8 ``(steps, 1, inputs)``, of as many steps as keep a form busy that takes them all alike.

    Args:
        form: of a layer.
        inputs, neurons, products: of the layer.
        active: share of inputs that fire, to a 256th.
    """
    rng, most = np.random.default_rng(0), max(1, _MOST // max(inputs, neurons))
    steps = max(1, min(_ROWS, _PRODUCTS // products, most))
    form(torch.zeros(1, 1, inputs, dtype=torch.uint8))  # a first call may compile
    while True:
        draws = rng.integers(0, 256, (steps, 1, inputs), np.uint8)
        raster = torch.from_numpy((draws < round(256 * active)).view(np.uint8))
        form(raster)
        seconds = _seconds(form, raster)
        if seconds >= _SECONDS or steps == most:
            return raster
        steps = min(most, steps * max(2, math.ceil(_SECONDS / max(seconds, 1e-6))))


def least_seconds(
    *cases: tuple[Form, UInt8[torch.Tensor, "steps images inputs"]],
) -> list[float]:
    """Of each form on its raster the fewest seconds of a call.

    Three calls follow each other, as in a long run: behind calls of another form, what a form needs would be out of the
    caches. The forms take turns, as a machine may be slow for longer than three calls take.
    """
    rounds = [[min(_seconds(*case) for _ in range(_REPEATS)) for case in cases] for _ in range(_ROUNDS)]
    return [min(seconds) for seconds in zip(*rounds, strict=True)]


def _seconds(form: Form, raster: torch.Tensor) -> float:
    start = time.perf_counter()
    form(raster)
    return time.perf_counter() - start

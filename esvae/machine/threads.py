"""How many threads torch and numba compute with: sums in floats depend on how they are divided."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numba
import torch

__all__ = ["threads"]


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Computes with ``count`` threads inside (numba with at most as many as it began with), afterwards as before."""
    before = numba.get_num_threads(), torch.get_num_threads()  # in this order: numba, with OpenMP, sets torch's too
    _set(min(count, numba.config.NUMBA_NUM_THREADS), count)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        _set(*before)


def _set(of_numba: int, of_torch: int) -> None:
    numba.set_num_threads(of_numba)
    torch.set_num_threads(of_torch)

"""How many threads torch and numba compute with: sums in floats depend on how they are divided."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from typing import TypeVar

import numba
import torch

from esvae.machine.jit import pool

__all__ = ["each_in_a_thread", "threads"]

_Given = TypeVar("_Given")
_Found = TypeVar("_Found")


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


def each_in_a_thread(function: Callable[[_Given], _Found], items: Sequence[_Given]) -> list[_Found]:
    """What a function makes of each item: of a single one with all threads, of several each in one, all at once.

    Threads that share an operation wait for each other, and torch's spin while they do, on the core that a kernel of
    ours would have: where there are items for all, each to itself is faster by a third and more. A thread that is done
    takes the next item that none has. After an error none is begun.
    """
    hands = min(len(items), numba.get_num_threads())
    if hands < 2:
        return [function(item) for item in items]
    left, found = deque(enumerate(items)), dict[int, _Found]()

    def compute() -> None:
        _set(1, 1)
        while True:
            try:
                number, item = left.popleft()
            except IndexError:
                return
            try:
                found[number] = function(item)
            except BaseException:
                left.clear()
                raise

    with threads(1):  # which threads that begin inside take over
        waiting = [pool().submit(compute) for _ in range(1, hands)]
        try:
            compute()
        finally:
            wait(waiting)
    for each in waiting:
        each.result()
    return [found[number] for number in range(len(items))]

"""Kernels compiled by numba: once for all processes, where there is a place to keep them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numba

__all__ = ["hands", "kernel", "part", "pool", "side_by_side"]

#: Of a function that has no way in from Python.
_INSIDE: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
#: Nanoseconds of work for which a thread is worth its hand-over, which takes 40 microseconds where a core is free.
_SHARE = 250_000


def kernel(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """``numba.njit`` that keeps what it compiles beside the source, or in the user's cache.

    Where neither can be written (installed by another user, no home), every process compiles for itself. What is kept
    is made anew when the file of ``function`` has changed, not when that of a :func:`part` has which it calls: who
    works on one removes what is kept of its callers (``make clean``).

    Args:
        options: of ``numba.njit``.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError as error:
            if "no locator" not in str(error):
                raise
            return numba.njit(**options)(function)

    return decorate


def part(function: Callable[..., Any]) -> Any:
    """``numba.njit`` of what kernels alone call: it takes less to compile than what Python may call, too."""
    return numba.njit(**_INSIDE)(function)


def hands(count: int, nanoseconds: float) -> int:
    """Threads that are worth it for ``count`` pieces of work of so many nanoseconds each, about; as many at most as
    numba's loops take."""
    return max(1, int(min(count, numba.get_num_threads(), count * nanoseconds / _SHARE)))


def side_by_side(function: Callable[..., Any], count: int, *arguments: Any, nanoseconds: float = math.inf) -> None:
    """Calls ``function(first, last, *arguments)`` until all of ``count`` are done, each of ``nanoseconds``, about, in
    as many threads as are worth it.

    Compiled with ``nogil``, this takes a fraction of the time that numba needs to compile a parallel loop.
    """
    if count == 0:
        return
    size = -(-count // hands(count, nanoseconds))
    (begin, end), *others = [(first, min(count, first + size)) for first in range(0, count, size)]
    waiting = [pool().submit(function, *part, *arguments) for part in others]
    function(begin, end, *arguments)
    for each in waiting:
        each.result()


def pool() -> ThreadPoolExecutor:
    """The threads of this process in which kernels run beside the one that calls them."""
    return _pool(os.getpid())


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Threads that a process keeps; a fork has none of those before it."""
    return ThreadPoolExecutor(numba.config.NUMBA_NUM_THREADS, f"kernel-{process}")  # type: ignore[attr-defined]

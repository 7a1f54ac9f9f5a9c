"""Kernels compiled by numba: once for all processes, where there is a place to keep them."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numba

__all__ = ["kernel", "part", "side_by_side"]

#: Of a function that has no way in from Python.
_INSIDE: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def kernel(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """``numba.njit`` that keeps what it compiles beside the source, or in the user's cache.

    Where neither can be written (installed by another user, no home), every process compiles for itself.

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


def side_by_side(function: Callable[..., Any], count: int, *arguments: Any) -> None:
    """Calls ``function(first, last, *arguments)`` until all of ``count`` are done, in as many threads as numba's loops.

    Compiled with ``nogil``, this takes a fraction of the time that numba needs to compile a parallel loop.
    """
    threads = min(count, numba.get_num_threads())
    if threads <= 1:
        function(0, count, *arguments)
        return
    size = -(-count // threads)
    (begin, end), *others = [(first, min(count, first + size)) for first in range(0, count, size)]
    waiting = [_pool(os.getpid(), threads).submit(function, *part, *arguments) for part in others]
    function(begin, end, *arguments)
    for each in waiting:
        each.result()


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Threads that a process keeps; a fork has none of those before it."""
    return ThreadPoolExecutor(threads, f"kernel-{process}")

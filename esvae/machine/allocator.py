"""Lets glibc keep large blocks of memory instead of handing them back to the kernel after every operation.

Training and simulation free and allocate the same large tensors over and over; by default each comes as fresh pages
that the kernel zeroes first, which costs more than much of the arithmetic. The process then holds on to its largest use
of memory until it ends.
"""

from __future__ import annotations

import ctypes
import functools
import platform

__all__ = ["keep_large_blocks"]

#: Parameters of glibc's ``mallopt`` (``malloc.h``).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_BLOCK = 1 << 30
_NEVER_TRIM = (1 << 31) - 1


@functools.cache
def keep_large_blocks() -> bool:
    """Sets both thresholds, once a process.

    Returns:
        Whether it was done: False where the C library is another one.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    kept = libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_BLOCK) == 1
    return libc.mallopt(_M_TRIM_THRESHOLD, _NEVER_TRIM) == 1 and kept

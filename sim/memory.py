"""Keeps glibc from handing large blocks back to the system between two convolutions.

A fresh block costs a page fault for every 4 KB; for rasters of some megabytes, made and dropped once a layer, that is a
tenth of the whole run. The process then holds on to its largest use of memory until it ends.
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
    """Sets both thresholds, once a process; False where the C library is not glibc."""
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    kept = libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_BLOCK) == 1
    return libc.mallopt(_M_TRIM_THRESHOLD, _NEVER_TRIM) == 1 and kept

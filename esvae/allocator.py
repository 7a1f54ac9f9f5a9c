"""Lets glibc keep large blocks of memory instead of handing them back to the kernel after every operation.

Training frees and allocates the same large tensors at every step; by default each comes as fresh pages that the kernel
zeroes first, which costs more than much of the arithmetic.
"""

from __future__ import annotations

import ctypes
import platform

__all__ = ["keep_large_blocks"]

#: Parameters of glibc's ``mallopt`` (malloc.h), and the largest threshold that it takes.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST = 1 << 30


def keep_large_blocks() -> bool:
    """Asks glibc to serve blocks of up to a gigabyte from memory that it keeps; for the rest of the process.

    Returns:
        Whether it was done: False where the C library is another one.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST)) and bool(mallopt(_M_TRIM_THRESHOLD, _LARGEST))

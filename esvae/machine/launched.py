"""What a launcher of several processes says to each, before torch is imported."""

from __future__ import annotations

import os

__all__ = ["launched_rank"]


def launched_rank() -> int:
    """Number of this process among those that train together, from 0; 0 of one alone."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", 0)))

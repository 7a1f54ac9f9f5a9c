"""How far long work is, told to whoever wants to know."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

__all__ = ["Progress"]

#: Called with the share of the work done, 0 to 1, and what is being done.
Progress: TypeAlias = Callable[[float, str], None]

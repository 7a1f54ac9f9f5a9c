"""Arrays in annotations, by kind and axes: jaxtyping's names, for type checkers and for tests, which check every call.

Nothing else looks at an annotation, and importing jaxtyping takes as long as reading a small network does: elsewhere
the names stand for nothing.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    from jaxtyping import Bool, Float, Float32, Float64, Int32, Int64, Integer, Real, Shaped, UInt8, UInt32
else:

    def __getattr__(name: str) -> Any:
        """Any kind."""
        if name in __all__:
            return Any
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["Bool", "Float", "Float32", "Float64", "Int32", "Int64", "Integer", "Real", "Shaped", "UInt8", "UInt32"]

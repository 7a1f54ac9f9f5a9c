"""What the backends are called: apart from them, as to import those takes seconds and a shell completes at once."""

from __future__ import annotations

__all__ = ["BACKEND_NAMES"]

#: Those of :data:`deploy.backends.BACKENDS`, in its order.
BACKEND_NAMES = ("twin", "reference", "lava", "onnx")

"""From a trained model to integers that the chip holds, and to files that others load."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from export.ir import Network
    from export.netx import read_netx, write_netx
    from export.pipeline import Exported, Options, export_network, export_run, integer_network

__all__ = [
    "Exported",
    "Network",
    "Options",
    "export_network",
    "export_run",
    "integer_network",
    "read_netx",
    "write_netx",
]

_FROM = {"Network": "export.ir", "read_netx": "export.netx", "write_netx": "export.netx"}


def __getattr__(name: str) -> Any:
    """Imports what is asked for only then: reading a file takes no torch, which a trained model does."""
    if name in __all__:
        return getattr(import_module(_FROM.get(name, "export.pipeline")), name)
    raise AttributeError(f"module 'export' has no attribute {name!r}")

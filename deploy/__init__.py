"""Running and judging exported networks: Lava, verification, pictures, the command line.

For notebooks: ``deploy.load("decoder.net").generate(n=64)``.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deploy.api import Generator, Pictures, load

__all__ = ["Generator", "Pictures", "load"]


def __getattr__(name: str) -> Any:
    """Imports the interface for notebooks, and with it torch, only when it is asked for."""
    if name in __all__:
        from deploy import api

        return getattr(api, name)
    raise AttributeError(f"module 'deploy' has no attribute {name!r}")

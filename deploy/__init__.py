"""Running and judging exported networks: Lava, verification, pictures, the command line.

For notebooks: ``import esvae; esvae.load("decoder.net").generate(n=64)``.
"""

from typing import TYPE_CHECKING, Any

from esvae.own_packages import claim

if TYPE_CHECKING:
    from deploy.api import load
    from deploy.loaded import LoadedNetwork
    from deploy.pictures import Pictures

__all__ = ["LoadedNetwork", "Pictures", "load"]

claim(quiet=True)


def __getattr__(name: str) -> Any:
    """Imports the interface for notebooks, and with it torch, only when it is asked for."""
    if name not in __all__:
        raise AttributeError(f"module 'deploy' has no attribute {name!r}")
    from deploy import api, loaded, pictures

    return getattr({"load": api, "LoadedNetwork": loaded, "Pictures": pictures}[name], name)

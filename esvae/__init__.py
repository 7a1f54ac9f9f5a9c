"""Spiking variational autoencoders from PyTorch to Loihi 2: all that a notebook needs.

``esvae.load("decoder.net").generate(n=64)``; ``esvae.from_norse(network, (1, 28, 28))`` and the like take a network of
yours, ``esvae.export`` writes it, ``esvae.verify`` compares every integer. Each is imported when it is first asked for.
"""

import sys
from typing import Any

__version__ = "0.1.0"

__all__ = [
    "LoadedNetwork",
    "__version__",
    "compare",
    "energy",
    "export",
    "from_nir",
    "from_norse",
    "from_slayer",
    "from_snntorch",
    "from_spikingjelly",
    "load",
    "simulate",
    "train",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Imports what is offered, and with it torch, only when it is asked for."""
    if name in __all__:
        from esvae.doors import fetched

        return fetched(name)
    raise AttributeError(f"module 'esvae' has no attribute {name!r}", name=name, obj=sys.modules[__name__])


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

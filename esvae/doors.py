"""What ``import esvae`` offers of all four packages, each fetched where it is first asked for.

Imports run one way, ``esvae <- export <- sim <- deploy``, and this file imports none of the others: it is a table of
names for a person at a prompt, of which nothing below uses any. ``esvae/__init__.pyi`` says the same to type checkers.
"""

from __future__ import annotations

import importlib
from typing import Any

from esvae.own_packages import claim

__all__ = ["COMMAND_LINE", "DOORS", "fetched"]

#: Name: the module that has it.
DOORS = {
    "load": "deploy.api",
    "export": "deploy.api",
    "simulate": "deploy.api",
    "energy": "deploy.api",
    "verify": "deploy.api",
    "compare": "deploy.api",
    "train": "deploy.api",
    "LoadedNetwork": "deploy.loaded",
    "from_nir": "export.frontends",
    "from_norse": "export.frontends",
    "from_slayer": "export.frontends",
    "from_snntorch": "export.frontends",
    "from_spikingjelly": "export.frontends",
}
COMMAND_LINE = "deploy.cli"


def fetched(name: str) -> Any:
    """The object of such a name; imports what it needs.

    Raises:
        EsvaeError: a module that the caller has imported has a name of this project's packages.
    """
    claim()
    return getattr(importlib.import_module(DOORS[name]), name)

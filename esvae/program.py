"""Where the installed command starts: its packages are its own before anything else is imported.

A worker process imports this module again as it begins, so what is claimed here holds there too.
"""

from __future__ import annotations

import importlib

from esvae.doors import COMMAND_LINE
from esvae.own_packages import claim

__all__ = ["run_program"]

claim(quiet=True)


def run_program() -> None:
    """Runs the command line with the arguments of this process, which ends with it."""
    importlib.import_module(COMMAND_LINE).main()

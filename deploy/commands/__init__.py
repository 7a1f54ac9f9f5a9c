"""The verbs of the command line, one file each, thin over one public function of the packages below."""

from importlib import import_module
from typing import Any

__all__ = ["command"]


def command(verb: str) -> Any:
    """The function of a verb, or the group of those below it; its module is imported now."""
    return getattr(import_module(f"{__name__}.{verb}"), verb)

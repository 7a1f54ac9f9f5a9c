"""One HTML file that tells all about a run and its network file, and the same as JSON beside it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deploy.report.data import Wanted, gather
    from deploy.report.render import render_html, write_report

__all__ = ["Wanted", "gather", "render_html", "write_report"]

_FROM = {"Wanted": "data", "gather": "data", "render_html": "render", "write_report": "render"}


def __getattr__(name: str) -> Any:
    """Imports what is asked for only then: other commands print single sections, which take no torch."""
    if name in _FROM:
        return getattr(import_module(f"deploy.report.{_FROM[name]}"), name)
    raise AttributeError(f"module 'deploy.report' has no attribute {name!r}")

"""One HTML file that tells all about a run and its network file, and the same as JSON beside it."""

from deploy.report.data import Wanted, gather
from deploy.report.render import render_html, write_report

__all__ = ["Wanted", "gather", "render_html", "write_report"]

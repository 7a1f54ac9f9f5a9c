"""How results look in a notebook: the tables that the commands print, as HTML.

Results know nothing of it: IPython is told what to show of each type, where a notebook is running.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from deploy.compare import Comparison
from deploy.cost import Cost
from deploy.inspection import Inspection
from deploy.plan import Plan
from deploy.report import sections
from deploy.verify import Verdict
from deploy.view import tables
from deploy.view.html import tables_html
from deploy.view.table import Table, plain
from export.ir import Network
from sim.fit.adviser import Fit

__all__ = ["SHOWN", "html_of", "show_in_notebooks"]


def _of_network(found: Network) -> list[Table]:
    return [tables.network_table(sections.network(found))]


def _of_verdict(found: Verdict) -> list[Table]:
    return tables.verification_tables(sections.verification(dict.fromkeys(found.differences, found), {}))


def _of_fit(found: Fit) -> list[Table]:
    return tables.fit_tables(sections.fit(found))


def _of_cost(found: Cost) -> list[Table]:
    return tables.cost_tables(sections.counts(found), sections.energy(found))


#: By type of result, the tables that it is shown as.
SHOWN: dict[type, Callable[[Any], list[Table]]] = {
    Comparison: lambda found: tables.comparison_tables(plain(found)),
    Cost: _of_cost,
    Fit: _of_fit,
    Inspection: lambda found: tables.inspection_tables(plain(found), items=False),
    Network: _of_network,
    Plan: lambda found: tables.plan_tables(plain(found)),
    Verdict: _of_verdict,
}


def html_of(result: Any) -> str:
    """A result of one of the types of :data:`SHOWN` as HTML."""
    return tables_html(SHOWN[type(result)](result))


def show_in_notebooks() -> None:
    """Tells IPython, where this process is one of its."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None:
        for kind in SHOWN:
            shell.display_formatter.formatters["text/html"].for_type(kind, html_of)

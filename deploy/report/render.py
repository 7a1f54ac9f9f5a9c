"""From the plain content to one HTML file that needs nothing else, and the JSON beside it.

The page may load nothing: its Content-Security-Policy names the hashes of its own style sheet and script, and allows
pictures from within alone. All text from files is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from importlib import resources
from pathlib import Path
from typing import Any

from markupsafe import Markup

from deploy.report.figures import figures
from deploy.view import numbers, tables
from deploy.view.prose import binding_words
from deploy.view.table import Table
from esvae.errors import EsvaeError
from esvae.machine.files import write_text

__all__ = ["render_html", "write_report"]


def render_html(content: dict[str, Any]) -> str:
    """The page, from the report's content as :mod:`deploy.report.data` gives it.

    Raises:
        EsvaeError: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError:
        raise EsvaeError("a report needs jinja2; pip install 'esvae-loihi[report]'") from None
    from deploy.view.style import palette_css

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    for name in ("whole", "rounded", "interval", "between", "percent", "energy", "seconds", "shape"):
        environment.filters[name] = getattr(numbers, name)
    environment.filters.update(binds=binding_words, metric_name=tables.metric_name, filled=_filled, unbroken=_unbroken)
    style, script = palette_css() + _part("style.css"), _part("script.js")
    policy = "; ".join(
        (
            "default-src 'none'",
            "img-src data:",
            f"style-src 'sha256-{_sha256(style)}'",
            f"script-src 'sha256-{_sha256(script)}'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    return environment.from_string(_part("template.html")).render(
        report=content,
        tables={table.name: table for table in _tables(content)},
        figures=figures(content),
        style=Markup(style),
        script=Markup(script),
        policy=policy,
    )


def _tables(content: dict[str, Any]) -> list[Table]:
    """All tables of the page; one that has nothing to say has no rows."""
    versions = (content["provenance"][name] for name in ("versions", "trained_with"))
    return [
        *tables.comparison_tables(content["comparison"]),
        *tables.quantization_tables(content["layers"]),
        tables.fidelity_table(content["layers"]["fidelity"]),
        *tables.cost_tables(content["operations"], content["energy"]),
        *tables.fit_tables(content["fit"]),
        *tables.verification_tables(content["verification"]),
        tables.network_table(content["network"]),
        tables.versions_table(*versions),
        tables.training_table(content["training"]["epochs"]),
    ]


def _filled(table: Table) -> list[int]:
    """Numbers of the columns that hold a value in some row."""
    return [k for k in range(len(table.columns)) if any(row[k] not in (None, "") for row in table.rows)]


def _unbroken(text: str) -> str:
    """A number with its unit on one line, its interval may go to the next; with a minus for a hyphen."""
    return re.sub(r"(?<![\w.])-(?=\d)", "−", text).replace(" ", "\u00a0").replace("\u00a0[", " [")


def write_report(content: dict[str, Any], target: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Writes the page, and the JSON beside it with the ending ``.json``; each whole or not at all.

    Raises:
        EsvaeError: a file cannot be written, or jinja2 is missing.
    """
    page = Path(target)
    beside = page.with_suffix(".json")
    plain = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)  # soon done, where drawing is not
    html = render_html(content)
    write_text(beside, plain + "\n")
    write_text(page, html)
    return page, beside


def _part(name: str) -> str:
    return (resources.files("deploy.report") / name).read_text(encoding="utf-8")


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")

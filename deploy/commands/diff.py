"""``esvae diff``: where two network files differ."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.completion import complete_run
from deploy.commands.options import Csv, Json, network_argument

__all__ = ["diff"]


def diff(
    first: Annotated[
        Path,
        typer.Argument(
            metavar="A.net",
            help="A network file, a run, or pretrained:NAME.",
            parser=network_argument,
            autocompletion=complete_run,
        ),
    ],
    second: Annotated[
        Path, typer.Argument(metavar="B.net", help="Another.", parser=network_argument, autocompletion=complete_run)
    ],
    csv: Csv = None,
    json: Json = False,
) -> None:
    """List all that differs between two network files; exit 1 if anything does.

    [bold]Example:[/] esvae diff eight_bit.net four_bit.net
    """
    from deploy.view.console import print_tables, say, show_result
    from deploy.view.table import plain
    from deploy.view.tables import diff_tables
    from esvae.errors import ConfigError
    from export.netx.diff import diff_files
    from export.nir.read import is_nir

    if first.suffix != second.suffix and is_nir(first) != is_nir(second):
        raise ConfigError(f"{first}, {second}: a NIR graph and a network file; compare two of a kind, see esvae export")
    found = diff_files(first, second)
    same = all(each.origin for each in found)
    tables = diff_tables(plain(found), title=f"{first} | {second}")

    def people() -> None:
        if not found:
            say(f"{first} and {second} hold the same")
            return
        print_tables(tables)
        if same:
            say("they compute the same; only where they come from differs")

    result = {"first": first, "second": second, "equal": not found, "same_network": same, "differences": found}
    show_result(result, tables, json=json, csv=csv, people=people)
    if found:
        raise typer.Exit(1)

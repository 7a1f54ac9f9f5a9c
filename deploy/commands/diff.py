"""``esvae diff``: where two network files differ."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.options import Json, network_argument

__all__ = ["diff"]


def diff(
    first: Annotated[
        Path,
        typer.Argument(metavar="A.net", help="A network file, a run, or pretrained:NAME.", parser=network_argument),
    ],
    second: Annotated[Path, typer.Argument(metavar="B.net", help="Another.", parser=network_argument)],
    json: Json = False,
) -> None:
    """List all that differs between two network files; exit 1 if anything does.

    [bold]Example:[/] esvae diff eight_bit.net four_bit.net
    """
    from deploy.view.console import emit_json, print_tables, say
    from deploy.view.table import plain
    from deploy.view.tables import diff_tables
    from export.netx.diff import diff_files

    found = diff_files(first, second)
    same = all(each.origin for each in found)
    if json:
        emit_json({"first": first, "second": second, "equal": not found, "same_network": same, "differences": found})
    elif found:
        print_tables(diff_tables(plain(found), title=f"{first} | {second}"))
        if same:
            say("they compute the same; only where they come from differs")
    else:
        say(f"{first} and {second} hold the same")
    if found:
        raise typer.Exit(1)

"""``esvae check``: what stock netx would make of any network file."""

from __future__ import annotations

import typer

from deploy.commands.options import Json, Net

__all__ = ["check"]


def check(net: Net, json: Json = False) -> None:
    """List all that is wrong or surprising in a network file, foreign ones too; exit 1 if anything is an error.

    [bold]Example:[/] esvae check decoder.net
    """
    from deploy.console import emit_json, print_table, say
    from export.netx_check import check_file
    from export.netx_guard import check_readable

    check_readable(net, lambda: check_file(net))
    found = check_file(net)
    errors = sum(finding.severity == "error" for finding in found)
    if json:
        emit_json({"file": net, "errors": errors, "findings": found})
    elif found:
        print_table(str(net), ["", "where", "what"], [[f.severity, f.where, f.what] for f in found])
    else:
        say(f"{net}: nothing found")
    if errors:
        raise typer.Exit(1)

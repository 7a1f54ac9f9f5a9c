"""``esvae check``: what stock netx would make of any network file."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy.commands.options import Json, Net

__all__ = ["check"]


def check(
    net: Net,
    chip: Annotated[str | None, typer.Option(help="Also say whether this chip holds it: loihi2 or loihi1.")] = None,
    json: Json = False,
) -> None:
    """List all that is wrong or surprising in a network file, foreign ones too; exit 1 if anything is an error.

    [bold]Example:[/] esvae check decoder.net
    """
    from deploy.view.console import emit_json, print_tables, say
    from deploy.view.table import plain
    from deploy.view.tables import check_tables
    from export.netx.check import check_file

    if chip is None:
        found = check_file(net)
    else:
        from deploy.chip_gate import chip_findings
        from sim.fit.chips import chip_named

        named = chip_named(chip)
        found = check_file(net, lambda network: chip_findings(network, named))
    errors = sum(finding.severity == "error" for finding in found)
    if json:
        emit_json({"file": net, "errors": errors, "findings": found})
    elif found:
        print_tables(check_tables(plain(found), title=str(net)))
    else:
        say(f"{net}: nothing found")
    if errors:
        raise typer.Exit(1)

"""``esvae check``: what stock netx would make of any network file, and what exporting a NIR graph would come to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deploy.commands.options import Csv, Json, Net, NirReset, NirStep, NirWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from export.ir import Network
    from export.netx.check import Finding
    from sim.fit.chips import Chip

__all__ = ["check", "chip_findings"]


def check(
    net: Net,
    chip: Annotated[str | None, typer.Option(help="Also say whether this chip holds it: loihi2 or loihi1.")] = None,
    dt: NirStep = None,
    reset: NirReset = None,
    written_by: NirWriter = None,
    csv: Csv = None,
    json: Json = False,
) -> None:
    """List all that is wrong or surprising in a network file, foreign ones too; exit 1 if anything is an error.

    [bold]Example:[/] esvae check decoder.net
    """
    from deploy.view.console import print_tables, say, show_result
    from deploy.view.table import plain
    from deploy.view.tables import check_tables
    from esvae.errors import ConfigError
    from export.netx.check import check_file
    from export.nir.read import is_nir
    from sim.fit.chips import chip_named

    named = None if chip is None else chip_named(chip)
    more = None if named is None else lambda network: chip_findings(network, named)
    if is_nir(net):
        from export.frontends.nir import NirMeaning
        from export.nir.check import check_nir

        found = check_nir(net, NirMeaning(dt, reset, written_by), more)  # type: ignore[arg-type]
    elif (dt, reset, written_by) != (None, None, None):
        raise ConfigError(f"{net}: --dt, --reset and --written-by are for NIR graphs (.nir)")
    else:
        found = check_file(net, more)
    errors = sum(finding.severity == "error" for finding in found)
    tables = check_tables(plain(found), title=str(net))
    show_result(
        {"file": net, "errors": errors, "findings": found},
        tables,
        json=json,
        csv=csv,
        people=lambda: print_tables(tables) if found else say(f"{net}: nothing found"),
    )
    if errors:
        raise typer.Exit(1)


def chip_findings(network: Network, chip: Chip) -> Iterator[Finding]:
    """What there is to say of a network on a chip: an error where it does not fit, else what it takes.

    Args:
        network: that was read.
        chip: to hold it.
    """
    from export.netx.check import Finding
    from sim.fit.adviser import advise

    mapping, advice = advise(network, chip)
    if advice is not None:
        yield Finding("error", advice.layer, advice.line)
    else:
        yield Finding("note", "file", f"takes {mapping.cores} of the {chip.usable_cores} cores of {chip.title}")

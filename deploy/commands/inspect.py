"""``esvae inspect``: what a network file holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deploy.commands.options import Csv, Json, Net

if TYPE_CHECKING:
    from deploy.inspection import Inspection
    from deploy.view.table import Table

__all__ = ["inspect"]


def inspect(
    net: Net,
    items: Annotated[bool, typer.Option("--items", help="Also list every array and text of the file.")] = False,
    csv: Csv = None,
    json: Json = False,
) -> None:
    """Show what a network file holds, foreign ones too; exit 1 where it cannot be read as a network, and say why.

    [bold]Example:[/] esvae inspect decoder.net
    """
    from deploy.inspection import inspect_file
    from deploy.view.console import emit_json, say_written, write_csv
    from deploy.view.table import plain
    from deploy.view.tables import inspection_tables

    found = inspect_file(net)
    tables = inspection_tables(plain(found), items=items or found.refused is not None)
    written = write_csv(tables, csv)
    if json:
        emit_json(found)
    else:
        _print(found, tables)
        say_written(*written)
    if found.refused is not None:
        raise typer.Exit(1)


def _print(found: Inspection, tables: list[Table]) -> None:
    from deploy.view.console import print_tables, say
    from deploy.view.numbers import shape

    say(f"{found.file}: {found.bytes:,} bytes")
    if found.refused is not None:
        say(f"not read as a network: {found.refused}")
    print_tables(tables)
    if found.prior is not None and "neurons" in found.prior:
        p = found.prior
        groups = ", ".join(f"{count:,} {name}" for name, count in p["neurons"].items())
        say(f"prior on the chip: {groups}; {p['latents']} latents, seed {p['seed']}, images from step {p['start'] + 1}")
    elif found.prior is not None:
        p = found.prior
        rates = f"rate codes of {p['rate_bits']} bits" + ("" if p["levels"] is None else f", {p['levels']} levels")
        say(f"prior: {p['components']} components, {p['latents']} latents, {rates}, {p['sampler']} spikes")
    if found.readout is not None:
        r = found.readout
        say(f"picture: {shape(r['image_shape'])}, tanh(v / {r['unit']:g}), cells of {r['upscale']}x{r['upscale']}")
        if "read_steps" in r:
            say(f"read from first spikes in the last {r['read_steps']} steps, in which {r['drives']} inputs drive it")
    for name, text in found.provenance.items():
        if "\n" not in text:
            say(f"{name}: {text}")
    if found.content_hash is not None:
        say(f"content hash: {found.content_hash}")

"""``esvae inspect``: what a network file holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.commands.options import Csv, Json, Net

if TYPE_CHECKING:
    from deploy.inspection import Inspection
    from deploy.view.table import Table

__all__ = ["inspect"]


def inspect(
    net: Net,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Draw the network, with its cores of a Loihi 2, as .svg or .png.")
    ] = None,
    items: Annotated[bool, typer.Option("--items", help="Also list every array and text of the file.")] = False,
    csv: Csv = None,
    json: Json = False,
) -> None:
    """Show what a network file holds, foreign ones too; exit 1 where it cannot be read as a network, and say why.

    [bold]Example:[/] esvae inspect decoder.net -o network.svg
    """
    from deploy.inspection import inspect_file
    from deploy.view.console import show_result
    from deploy.view.table import plain
    from deploy.view.tables import inspection_tables
    from esvae.machine.outputs import output_file

    if out is not None:
        output_file(out, (".svg", ".png"), option="-o", inputs=(net,))
    found = inspect_file(net)
    tables = inspection_tables(plain(found), items=items or found.refused is not None)
    drawn = () if out is None or found.refused is not None else (out,)
    for picture in drawn:
        _draw(net, picture)
    show_result(found, tables, json=json, csv=csv, people=lambda: _print(found, tables), files=drawn)
    if found.refused is not None:
        raise typer.Exit(1)


def _draw(net: Path, out: Path) -> None:
    from deploy.outline import outline
    from deploy.view.outline import draw_outline
    from deploy.view.style import save_picture
    from deploy.view.table import plain
    from export.netx import read_netx
    from sim.fit.chips import chip_named

    save_picture(draw_outline(plain(outline(read_netx(net), chip_named("loihi2")))), out)


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

"""``esvae report``: all that is known of a run and its network file, as one page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.completion import complete_run
from deploy.commands.options import DataRoot, Json, Seed, network_argument

__all__ = ["report"]


def report(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run directory, or pretrained:NAME.", autocompletion=complete_run)
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="The HTML file; the same as JSON goes beside it.")],
    net: Annotated[
        Path | None,
        typer.Option(
            help="Its network file; else the run is exported beside the page.",
            parser=network_argument,
            autocompletion=complete_run,
        ),
    ] = None,
    images: Annotated[int, typer.Option("-n", "--images", help="Images to draw, compare and count.")] = 256,
    seed: Seed = 0,
    against: Annotated[
        str | None, typer.Option(help="Backends to verify on, by comma. Default: all that are installed.")
    ] = None,
    chip: Annotated[str, typer.Option(help="That it is to fit: loihi2 or loihi1.")] = "loihi2",
    data_root: DataRoot = None,
    force: Annotated[bool, typer.Option("--force", help="Even if the file was not made from the run.")] = False,
    json: Json = False,
) -> None:
    """Write one HTML page on pictures, errors, operations, energy, fit and verification; exit 0 only if all is equal.

    [bold]Example:[/] esvae report runs/digits -o report.html
    """
    from deploy.report import Wanted, gather, write_report
    from deploy.view.console import bar, emit_json, say
    from esvae.machine.outputs import output_file
    from esvae.shipped import RUN_FILES

    read = (net, *(Path(run, name) for name in RUN_FILES))
    output_file(out, (".html", ".htm"), option="-o", inputs=read)
    output_file(out.with_suffix(".json"), ".json", option="beside -o,", inputs=read)
    if net is None:
        output_file(out.with_suffix(".net"), ".net", option="beside -o,", inputs=read)
    wanted = Wanted(
        run=run,
        net=net,
        made_net=out.with_suffix(".net"),
        images=images,
        seed=seed,
        against=None if against is None else [name.strip() for name in against.split(",") if name.strip()],
        chip=chip,
        data_root=data_root,
        force=force,
        command=["esvae", *sys.argv[1:]],
    )
    with bar("report") as progress:
        content = gather(wanted, progress)
        progress(0.92, "drawing the page")
        page, beside = write_report(content, out)
    checked = content["verification"]
    if json:
        files = {"page": page, "json": beside, "network": content["network"]["file"]}
        emit_json({"files": files, "bytes": page.stat().st_size, "equal": checked["equal"], **content["summary"]})
    else:
        made = f"; exported the run to {content['network']['file']}" if net is None else ""
        say(f"{page}: {page.stat().st_size:,} bytes, and {beside}{made}")
        for row in checked["backends"]:
            say(f"{row['backend']}: {row['verdict']}" + (f" ({row['reason']})" if "reason" in row else ""))
        for note in content["comparison"]["notes"]:
            say(f"note: {note}")
    if not checked["equal"]:
        raise typer.Exit(1)

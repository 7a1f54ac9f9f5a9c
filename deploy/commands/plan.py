"""``esvae plan``: the time steps of a run of back-to-back images."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy.commands.options import Csv, Json, Net

__all__ = ["plan"]

_SHOWN_WINDOWS = 3


def plan(
    net: Net,
    images: Annotated[int, typer.Option("-n", "--images", help="How many, back to back.")] = 1,
    steps: Annotated[int | None, typer.Option(help="Window of one image, where the file does not say.")] = None,
    csv: Csv = None,
    json: Json = False,
) -> None:
    """Show when each layer works on each image: latency, resets, steps to run, and when to read the pictures.

    [bold]Example:[/] esvae plan decoder.net -n 64
    """
    from deploy.plan import plan as make_plan
    from deploy.view.console import print_tables, say, show_result
    from deploy.view.numbers import percent
    from deploy.view.table import plain
    from deploy.view.tables import plan_tables
    from export.netx import read_netx

    made = make_plan(read_netx(net), images, steps=steps)
    tables = plan_tables(plain(made), title=str(net))
    shown = [made.window(image) for image in range(min(images, _SHOWN_WINDOWS))]
    windows = ", ".join(f"{first:,}-{last:,}" for first, last in shown)
    more = ", ... {:,}-{:,}".format(*made.window(images - 1)) if images > _SHOWN_WINDOWS else ""

    def people() -> None:
        print_tables(tables)
        say(f"time steps to run: {made.total:,} ({percent(made.step_overhead)} of them fill the pipeline)")
        say(f"latency: {made.latency} time steps; netx: reset_interval={made.steps}, reset_offset={made.reset_offset}")
        say(f"the last layer's windows, potential to be read after the last step of each: {windows}{more}")

    result = {**vars(made), "windows": made.windows, "step_overhead": made.step_overhead} if json else None
    show_result(result, tables, json=json, csv=csv, people=people)

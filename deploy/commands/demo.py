"""``esvae demo``: the whole way in one call."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.completion import complete_config
from deploy.commands.options import Csv, Json

__all__ = ["demo"]


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for everything.")] = Path("demo"),
    config: Annotated[
        str, typer.Option(help="A YAML file, or the name of a shipped config.", autocompletion=complete_config)
    ] = "digits",
    max_steps: Annotated[int | None, typer.Option(min=1, help="Cut the training short.")] = None,
    csv: Csv = None,
    json: Json = False,
) -> None:
    """Train on real digits, export, draw with the chip's arithmetic, and verify against Lava: the whole way.

    [bold]Example:[/] esvae demo --out demo
    """
    from deploy.commands.verify import print_verdict
    from deploy.demo import run_demo
    from deploy.view.console import print_tables, say, show_result, stages
    from deploy.view.table import plain
    from deploy.view.tables import demo_tables
    from esvae.config import load_config
    from esvae.machine.locks import only_writer
    from esvae.machine.outputs import output_folder

    output_folder(out, option="--out")
    with only_writer(out), stages(width=9) as start:
        result = run_demo(load_config(config), out, max_steps=max_steps, progress=start)
    tables = demo_tables(plain(result))

    def people() -> None:
        print_tables(tables)
        print_verdict(result.verdict)
        if result.skipped:
            say(f"Lava skipped: {result.skipped}")
        say("written: " + ", ".join(result.files.values()))

    show_result({"equal": result.verdict.equal, **vars(result)}, tables, json=json, csv=csv, people=people)
    if not result.verdict.equal:
        raise typer.Exit(1)

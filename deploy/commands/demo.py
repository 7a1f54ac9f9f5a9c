"""``esvae demo``: the whole way in one call."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.options import Json

__all__ = ["demo"]


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for everything.")] = Path("demo"),
    config: Annotated[str, typer.Option(help="A YAML file, or the name of a shipped config.")] = "digits",
    max_steps: Annotated[int | None, typer.Option(min=1, help="Cut the training short.")] = None,
    json: Json = False,
) -> None:
    """Train on real digits, export, draw with the chip's arithmetic, and verify against Lava: the whole way.

    [bold]Example:[/] esvae demo --out demo
    """
    from deploy.commands.verify import print_verdict
    from deploy.demo import run_demo
    from deploy.view.console import emit_json, print_table, say, stages
    from esvae.config import load_config
    from esvae.machine.outputs import output_folder

    output_folder(out, option="--out")
    with stages() as start:
        result = run_demo(load_config(config), out, max_steps=max_steps, progress=start)
    if json:
        emit_json({"equal": result.verdict.equal, **vars(result)})
    else:
        total = [sum(getattr(layer, name) for layer in result.counts) for name in ("spikes", "synops")]
        rows = [
            ["reconstruction MSE in training", f"{result.training_mse:.4f}"],
            ["reconstruction MSE on held-out images", f"{result.test_mse:.4f}"],
            ["MSE between float and integer images", f"{result.float_integer_mse:.2e}"],
            ["network file", f"{result.file_bytes:,} bytes"],
            ["spikes an image", f"{total[0]:,.0f}"],
            ["synaptic operations an image", f"{total[1]:,.0f}"],
            *([f"seconds to {stage}", f"{seconds:.1f}"] for stage, seconds in result.seconds.items()),
        ]
        print_table("demo", ["", "measured"], rows)
        print_verdict(result.verdict)
        if result.skipped:
            say(f"Lava skipped: {result.skipped}")
        say("written: " + ", ".join(result.files.values()))
    if not result.verdict.equal:
        raise typer.Exit(1)

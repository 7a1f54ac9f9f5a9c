"""``esvae train``: a model from a config."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.options import Json

__all__ = ["train"]


def train(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="A YAML file, or the name of a shipped config.")],
    out: Annotated[Path, typer.Option("--out", help="The run directory to write.")],
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the config's.")] = None,
    max_steps: Annotated[int | None, typer.Option(min=1, help="Stop after so many optimizer steps.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Instead of the config's.")] = None,
    json: Json = False,
) -> None:
    """Train a model and leave it in a run directory.

    [bold]Example:[/] esvae train digits --out runs/digits
    """
    from deploy.console import bar, emit_json, say
    from esvae.config import config_from_dict, load_config
    from esvae.data import load_images
    from esvae.train import evaluate_mse
    from esvae.train import train as run_training

    content = load_config(config).model_dump()
    content["train"].update({k: v for k, v in (("epochs", epochs), ("seed", seed)) if v is not None})
    checked = config_from_dict(content, config)
    with bar(f"train {checked.name}") as report:
        run = run_training(
            checked,
            out,
            max_steps=max_steps,
            progress=lambda step, steps, mse: report(step / steps, f"reconstruction MSE {mse:.4f}"),
        )
    test_mse = evaluate_mse(run.model, load_images(checked.data).test)
    last = run.record["epochs"][-1]
    if json:
        emit_json({"run": out, "steps": run.record["steps"], "last_epoch": last, "test_mse": test_mse})
    else:
        say(
            f"{out}: {run.record['steps']} steps, reconstruction MSE {last['reconstruction_mse']:.4f} in training, "
            f"{test_mse:.4f} on held-out images"
        )

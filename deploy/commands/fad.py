"""``esvae fad``: the autoencoder in whose code images are compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.completion import complete_config
from deploy.commands.options import DataRoot, Json, with_data

__all__ = ["fad"]

fad = typer.Typer(name="fad", rich_markup_mode="rich")


@fad.callback()
def _group() -> None:
    """Train the autoencoder that FAD, KID, precision and recall are measured with, once for each data set.

    [bold]Example:[/] esvae fad train digits
    """


@fad.command()
def train(
    config: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG",
            help="A config: its data section says which images.",
            autocompletion=complete_config,
        ),
    ],
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training images; published: 150.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Decides the weights and the order.")] = 0,
    other: Annotated[
        str | None, typer.Option("--data", help="Another data set, as train's --data: its name, or a folder of images.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Instead of fad/ below the data root.")] = None,
    data_root: DataRoot = None,
    json: Json = False,
) -> None:
    """Train the autoencoder of a config's data set and keep it below the data root, where esvae evaluate finds it.

    [bold]Example:[/] esvae fad train digits

    [bold]Example:[/] esvae fad train celeba --data photos
    """
    from deploy.view.console import bar, emit_json, say
    from esvae.config import config_from_dict, load_config
    from esvae.data import load_images
    from esvae.errors import CheckpointError, ConfigError
    from esvae.machine.allocator import keep_large_blocks
    from esvae.machine.outputs import output_file
    from esvae.metrics.features import features_path, load_features
    from esvae.metrics.train_features import train_features

    keep_large_blocks()
    content, data_root = with_data(load_config(config).model_dump(), other, data_root)
    data = config_from_dict(content, config).data
    path = output_file(out or features_path(data, data_root), ".safetensors", option="--out")
    if path.exists():
        try:
            load_features(path)
        except CheckpointError:
            raise ConfigError(f"--out {path}: is there, and no FAD autoencoder; remove it or name another") from None
    with bar(f"fad train {data.name}") as report:
        images = load_images(data, data_root, report)
        _, mse = train_features(
            data,
            images,
            path,
            epochs=epochs,
            seed=seed,
            progress=lambda step, steps, loss: report(step / steps, f"reconstruction MSE {loss:.4f}"),
        )
    if json:
        emit_json({"file": path, "test_mse": mse})
    else:
        say(f"{path}: reconstruction MSE {mse:.4f} on test images")

"""``esvae import-official``: a run from a checkpoint of the reference implementation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.options import Json

__all__ = ["import_official"]


def import_official(
    state: Annotated[Path, typer.Argument(metavar="STATE.pth", help="A state dict of the official ESVAE code.")],
    out: Annotated[Path, typer.Option("--out", help="The run directory to write.")],
    data: Annotated[
        str | None, typer.Option(help="The data set that it was trained on; else guessed from its images.")
    ] = None,
    json: Json = False,
) -> None:
    """Make a run directory of an official ESVAE checkpoint, to evaluate and export it like any other.

    [bold]Example:[/] esvae import-official checkpoint.pth --out runs/official --data fashion_mnist
    """
    from deploy.view.console import emit_json, say
    from esvae.config import DATA_NAMES
    from esvae.errors import ConfigError
    from esvae.machine.files import sha256_file
    from esvae.machine.locks import only_writer
    from esvae.machine.outputs import output_folder
    from esvae.official import import_official as read
    from esvae.run import holds_run, read_record, save_run
    from esvae.shipped import kind_of_file

    output_folder(out, option="--out")
    if holds_run(out) and "imported" not in read_record(out):
        raise ConfigError(f"--out {out}: holds a run that was trained; name another folder")
    if state.suffix in (".net", ".nir", ".yaml"):
        raise ConfigError(f"{state}: {kind_of_file(state)}; expected a state dict of the official ESVAE code (.pth)")
    if data is not None and data not in DATA_NAMES:
        raise ConfigError(f"--data '{data}' is unknown; choose one of {', '.join(DATA_NAMES)}")
    model = read(state, data=data)  # type: ignore[arg-type]
    source = {"file": state.name, "sha256": sha256_file(state)}
    with only_writer(out):
        save_run(out, model, {"epochs": [], "steps": 0, "finished": True, "imported": source})
    settings = model.config
    if json:
        emit_json({"run": out, "data": settings.data.name, "time_steps": settings.model.time_steps})
    else:
        size, channels = settings.data.image_size, settings.data.image_channels
        say(
            f"{out}: {size}x{size}x{channels} images ({settings.data.name}), {settings.model.latent} latent neurons, "
            f"{settings.model.time_steps} time steps"
        )

"""The application behind the command line: its verbs are those of :mod:`deploy.commands`."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy import commands
from esvae import __version__

__all__ = ["app"]

app = typer.Typer(
    name="esvae",
    help="Spiking variational autoencoders from PyTorch to Loihi 2.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"esvae-loihi {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Spiking variational autoencoders from PyTorch to Loihi 2."""


for _verb in commands.__all__:
    _command = getattr(commands, _verb)
    if isinstance(_command, typer.Typer):
        app.add_typer(_command)  # a group of commands, such as `esvae lava install`
    else:
        app.command()(_command)

"""The application behind the command line: its verbs are those of :mod:`deploy.commands`."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy import commands
from deploy.commands.options import canonical
from esvae import __version__

__all__ = ["PANELS", "app"]

#: Commands as the work goes, by the headings of ``esvae --help``; each is under one.
PANELS = {
    "Train": ("demo", "train", "fad", "import_official"),
    "Export": ("export",),
    "Run": ("simulate", "generate", "autoencode", "verify"),
    "Judge": ("evaluate", "compare", "sweep", "energy", "fit", "probe", "report"),
    "Look": ("inspect", "check", "diff", "plan"),
    "Environment": ("config", "data", "pretrained", "lava"),
}

app = typer.Typer(
    name="esvae",
    help="Spiking variational autoencoders from PyTorch to Loihi 2.",
    no_args_is_help=True,
    context_settings={"token_normalize_func": canonical},
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


for _panel, _verbs in PANELS.items():
    for _verb in _verbs:
        _command = getattr(commands, _verb)
        if isinstance(_command, typer.Typer):
            app.add_typer(_command, rich_help_panel=_panel)  # a group of commands, such as `esvae lava install`
        else:
            app.command(rich_help_panel=_panel)(_command)

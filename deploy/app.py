"""The application behind the command line: its verbs are the modules of :mod:`deploy.commands`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from deploy.commands import command
from deploy.commands.options import canonical
from esvae import __version__

__all__ = ["PANELS", "application"]

#: Commands as the work goes, by the headings of ``esvae --help``; each is under one.
PANELS = {
    "Train": ("demo", "train", "fad", "import_official"),
    "Export": ("export",),
    "Run": ("simulate", "generate", "autoencode", "verify"),
    "Judge": ("evaluate", "compare", "sweep", "energy", "fit", "probe", "report"),
    "Look": ("inspect", "check", "diff", "plan"),
    "Environment": ("config", "data", "pretrained", "lava"),
}


def _version(show: bool) -> None:
    if show:
        typer.echo(f"esvae-loihi {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Spiking variational autoencoders from PyTorch to Loihi 2."""


def application(words: Sequence[str] = ()) -> typer.Typer:
    """All commands, or the one that a command line begins with: the others are then neither imported nor built.

    Args:
        words: the command line, without the program's name.
    """
    app = typer.Typer(
        name="esvae",
        help="Spiking variational autoencoders from PyTorch to Loihi 2.",
        no_args_is_help=True,
        context_settings={"token_normalize_func": canonical},
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    app.callback()(_root)
    panels = {verb: panel for panel, verbs in PANELS.items() for verb in verbs}
    first = words[0].replace("-", "_") if words else ""
    for verb in (first,) if first in panels else panels:
        made = command(verb)
        if isinstance(made, typer.Typer):
            app.add_typer(made, rich_help_panel=panels[verb])  # a group of commands, such as `esvae lava install`
        else:
            app.command(rich_help_panel=panels[verb])(made)
    return app

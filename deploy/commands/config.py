"""``esvae config list`` and ``esvae config show``: which configs there are, and what one holds."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy.commands.completion import complete_config_or_run
from deploy.commands.options import Csv, Json, Settings

__all__ = ["config"]

config = typer.Typer(name="config", rich_markup_mode="rich")


@config.callback()
def _group() -> None:
    """List the configs that come with the project, and show any config, as it was written or with every key.

    [bold]Example:[/] esvae config show digits --resolved
    """


@config.command("list")
def list_configs(csv: Csv = None, json: Json = False) -> None:
    """List the configs that come with the project, to be named where a CONFIG is taken.

    [bold]Example:[/] esvae config list
    """
    from deploy.view.console import show_result
    from deploy.view.table import plain
    from deploy.view.tables import configs_table
    from esvae.config_text import shipped_configs

    configs = shipped_configs()
    table = configs_table(plain(configs))
    show_result({"configs": configs}, [table], json=json, csv=csv)


@config.command()
def show(
    source: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG",
            help="A shipped config's name, a YAML file, a run directory, or pretrained:NAME.",
            autocompletion=complete_config_or_run,
        ),
    ],
    resolved: Annotated[
        bool, typer.Option("--resolved", help="Every key, also those that keep their default, which are marked.")
    ] = False,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Print a config that was checked: as it was written, comments too, or with every key.

    [bold]Example:[/] esvae config show fashion_mnist_fast --resolved

    [bold]Example:[/] esvae config show digits --set train.epochs=5 --set model.latent=64 > mine.yaml
    """
    from deploy.view.console import emit_json, say_text
    from esvae.config_text import show_config

    shown = show_config(source, settings or (), resolved=resolved)
    if json:
        emit_json({"file": shown.file, "resolved": resolved, "config": shown.content})
    else:
        say_text(shown.text)

"""``esvae data check``: whether a data set is there."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy.commands.completion import complete_data
from deploy.commands.options import Csv, DataRoot, Json

__all__ = ["data"]

data = typer.Typer(name="data", rich_markup_mode="rich")


@data.callback()
def _group() -> None:
    """See whether the images are there that a model is trained on and judged by.

    [bold]Example:[/] esvae data check mnist
    """


@data.command()
def check(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A data set (digits, mnist, fashion_mnist, cifar10, celeba), or a folder of images.",
            autocompletion=complete_data,
        ),
    ],
    data_root: DataRoot = None,
    csv: Csv = None,
    json: Json = False,
) -> None:
    """Say whether a data set is there, how many images of what size, and where it was looked for; exit 1 if it is not.

    Nothing is fetched; esvae train does that where there is a network.

    [bold]Example:[/] esvae data check mnist --data-root ~/data

    [bold]Example:[/] esvae data check photos
    """
    from deploy.view.console import bar, print_tables, say, show_result
    from deploy.view.table import plain
    from deploy.view.tables import data_table
    from esvae.data import look_for_data

    with bar(f"data check {name}") as report:
        found = look_for_data(name, data_root, report)
    table = data_table(plain(found))

    def people() -> None:
        if found.there:
            print_tables([table])
        else:
            say(f"{name}: not there; esvae train fetches it where there is a network, else {found.remedy}")
        if found.prepared:
            say(f"prepared, so that the files are not needed: {', '.join(found.prepared)}")

    show_result({"there": found.there, **vars(found)}, [table], json=json, csv=csv, people=people)
    if not found.there:
        raise typer.Exit(1)

"""``esvae pretrained``: the trained networks that come with the project."""

from __future__ import annotations

from deploy.commands.options import Csv, Json

__all__ = ["pretrained"]


def pretrained(csv: Csv = None, json: Json = False) -> None:
    """List the runs that come with the project, to be named pretrained:NAME where a run or a network file is taken.

    [bold]Example:[/] esvae pretrained --csv runs.csv
    """
    from deploy.pretrained import pretrained_runs
    from deploy.view.console import show_result
    from deploy.view.table import plain
    from deploy.view.tables import pretrained_table

    runs = pretrained_runs()
    table = pretrained_table(plain(runs))
    show_result({"runs": runs}, [table], json=json, csv=csv)

"""``esvae lava install`` and ``esvae lava doctor``: getting Lava, and seeing whether it works."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.options import Csv, Json

__all__ = ["lava"]

lava = typer.Typer(name="lava", rich_markup_mode="rich")


@lava.callback()
def _group() -> None:
    """Install Lava in an environment of its own, and see whether it works.

    [bold]Example:[/] esvae lava doctor
    """


@lava.command()
def install(
    path: Annotated[Path | None, typer.Option(help="Folder for it; below the user's data folder by default.")] = None,
    python: Annotated[str | None, typer.Option(help="A Python 3.10; found, or fetched by uv, by default.")] = None,
    small: Annotated[bool, typer.Option("--small", help="Without torch: enough for networks of LIF neurons.")] = False,
    json: Json = False,
) -> None:
    """Make a Python 3.10 environment with lava-dl 0.6.0, which every command finds from then on.

    [bold]Example:[/] esvae lava install --small
    """
    from deploy.lava.install import install_lava
    from deploy.view.console import bar, emit_json, say

    with bar("lava install") as report:
        done = install_lava(path, base=python, small=small, progress=report)
    if json:
        emit_json(done)
    else:
        how = "made" if done.made else "was there"
        say(f"{done.python}: {how}, {done.seconds:.1f} s; try it with: esvae lava doctor")


@lava.command()
def doctor(
    test: Annotated[bool, typer.Option(help="Run a tiny network and compare every integer.")] = True,
    csv: Csv = None,
    json: Json = False,
) -> None:
    """Say which interpreter has Lava, which versions, run a self-test, and print the fix; exit 0 only if it works.

    [bold]Example:[/] esvae lava doctor
    """
    from deploy.lava.doctor import examine
    from deploy.view.console import say, show_result
    from deploy.view.table import plain
    from deploy.view.tables import doctor_table

    checks = examine(test=test)
    good = all(check.good is not False for check in checks)

    def people() -> None:
        for check in checks:
            say(f"{ {True: 'good', False: 'BAD ', None: '    '}[check.good] }  {check.name}: {check.found}")
            if check.good is False and check.fix:
                say(f"      fix: {check.fix}")

    show_result({"good": good, "checks": checks}, [doctor_table(plain(checks))], json=json, csv=csv, people=people)
    if not good:
        raise typer.Exit(1)

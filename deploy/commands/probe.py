"""``esvae probe``: whether a generator's dice are fair."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy.commands.options import Csv, Json, Net, Seed

__all__ = ["probe"]


def probe(
    net: Net,
    images: Annotated[int, typer.Option("-n", "--images", min=1, help="How many to draw.")] = 100_000,
    seed: Seed = 0,
    csv: Csv = None,
    json: Json = False,
) -> None:
    """Probe the randomness of a generator's latent spikes, drawn on the host or on the chip; exit 0 only if all holds.

    [bold]Example:[/] esvae probe generator.net -n 100000
    """
    from deploy.view.console import bar, print_tables, say, show_result
    from deploy.view.prose import counted
    from deploy.view.table import plain
    from deploy.view.tables import probe_table
    from export.netx import read_netx
    from sim.probe import probe_generator
    from sim.randomness import ALARM

    network = read_netx(net)
    with bar("probe") as report:
        found = probe_generator(network, images, seed, report)
    table = probe_table(
        {**plain(found), "alarm": ALARM}, title=f"{net}: {counted(found.images, 'image')} drawn on the {found.sampler}"
    )

    def people() -> None:
        print_tables([table])
        say(f"spikes at {found.rate:.4f} of the steps; {found.silent:.4f} of the latents' windows are silent")
        if found.law_error:
            say(f"a spike's probability is within {found.law_error:.4f} of the logistic, exactly, from the weights")
        say(f"each check is failed by chance once in {1 / ALARM:,.0f} times")

    result = {"file": net, "holds": found.holds, "false_alarm_rate": ALARM, **vars(found)}
    show_result(result, [table], json=json, csv=csv, people=people)
    if not found.holds:
        raise typer.Exit(1)

"""``esvae energy``: exact counts, then estimates of energy and time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.commands.options import Csv, Json, Seed

if TYPE_CHECKING:
    from sim.energy.estimate import Estimate

__all__ = ["energy"]


def energy(
    net: Annotated[Path, typer.Argument(metavar="F.net", help="A network file, or a run directory.")],
    images: Annotated[int, typer.Option("-n", "--images", help="How many.")] = 64,
    seed: Seed = 0,
    profile: Annotated[
        list[str] | None, typer.Option(help="A shipped profile or a YAML file; may be repeated. Default: all shipped.")
    ] = None,
    latents: Annotated[Path | None, typer.Option(help="Latent spikes (images, steps, features) as .npy.")] = None,
    spikes: Annotated[Path | None, typer.Option(help="Input spikes (images, steps, C, H, W) as .npy.")] = None,
    image: Annotated[
        str | None, typer.Option(help="Biases of input neurons, integers (images, C, H, W) as .npy; or: zeros.")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Random input: spikes a step of each input, 0 to 1.")] = None,
    steps: Annotated[int | None, typer.Option(help="Window, where the file does not say.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for pictures.")] = None,
    csv: Csv = None,
    json: Json = False,
) -> None:
    """Count every operation exactly, then estimate energy and time by each profile, side by side.

    [bold]Example:[/] esvae energy decoder.net -n 256 --seed 0 --plot plots
    """
    from deploy.cost import cost_of, counted_input, open_network
    from deploy.entering import InputOptions
    from deploy.report import sections
    from deploy.view.console import bar, emit_json, print_tables, say, say_written, write_csv
    from deploy.view.tables import cost_tables

    options = InputOptions(images, seed, latents, spikes, image, rate, steps)
    entering = counted_input(open_network(net), options)
    with bar("count") as report:
        cost = cost_of(entering, profile or (), progress=report)
    operations, estimates = sections.operations(cost, entering), sections.energy(cost)
    tables = cost_tables(operations, estimates)
    plots: list[Path] = []
    if plot is not None:
        from deploy.view.plots import save_energy_plots

        plots = save_energy_plots(operations, cost.counts.raster, estimates, plot)
    written = [*plots, *write_csv(tables, csv)]
    if json:
        counts = cost.counts
        emit_json(
            {
                "file": net,
                "input": {"kind": entering.kind, "about": entering.about, "seed": seed, "rate": entering.rate},
                "images": counts.images,
                "steps": counts.steps,
                "counts": {"layers": counts.layers, "totals": counts.totals},
                "estimates": cost.estimates,
                "plots": plots,
            }
        )
        return
    say(f"{net}: {cost.counts.images} images of {cost.counts.steps} steps; {entering.about}")
    print_tables(tables)
    for one in cost.estimates:
        say(_about(one, operations["products"]))
    say_written(*written)


def _about(one: Estimate, products: float) -> str:
    """What a profile leaves out and rests on, in sentences."""
    from deploy.view.numbers import si

    about = [one.about, *(f"{note}." for note in one.notes)]
    if one.float_energy is not None:
        about.append(f"The float equivalent: {products:,} products, {si(one.float_energy.value, 'J')}.")
    if one.busiest is not None:
        about.append(f"{one.cores} cores, the busiest in {one.busiest}.")
    return f"{one.profile} (estimate, basis: {one.basis}): {' '.join(about)}"

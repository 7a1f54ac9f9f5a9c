"""``esvae energy``: exact counts, then estimates of energy and time."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.commands.completion import complete_profile, complete_run
from deploy.commands.options import Csv, Json, Seed
from esvae.errors import ConfigError

if TYPE_CHECKING:
    from sim.energy.estimate import EnergyEstimate

__all__ = ["energy"]


def energy(
    net: Annotated[
        Path | None,
        typer.Argument(
            metavar="F.net",
            help="A network file, a run directory, or pretrained:NAME; not with --validate.",
            autocompletion=complete_run,
        ),
    ] = None,
    images: Annotated[int, typer.Option("-n", "--images", help="How many.")] = 64,
    seed: Seed = 0,
    profile: Annotated[
        list[str] | None,
        typer.Option(
            help="A shipped profile or a YAML file; may be repeated. Default: all shipped.",
            autocompletion=complete_profile,
        ),
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
    validate: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Instead: the model against measured runs of the networks in a folder."),
    ] = None,
    json: Json = False,
) -> None:
    """Count every operation exactly, then estimate energy and time by each profile, side by side.

    [bold]Example:[/] esvae energy decoder.net -n 256 --seed 0 --plot plots

    [bold]Example:[/] esvae energy --validate lava-dl/tests
    """
    if validate is not None:
        if net is not None:
            raise ConfigError("--validate takes the networks from its folder; leave out F.net")
        _validate(validate, csv, json)
        return
    if net is None:
        raise ConfigError("give a network file or a run directory, or --validate FOLDER")
    from deploy.cost import cost_of, counted_input
    from deploy.entering import InputOptions
    from deploy.opening import open_network
    from deploy.report import sections
    from deploy.view.console import bar, emit_json, print_tables, say, say_written, write_csv
    from deploy.view.prose import counted
    from deploy.view.tables import cost_tables
    from esvae.machine.locks import only_writer
    from esvae.machine.outputs import output_folder

    if plot is not None:
        output_folder(plot, option="--plot")
    options = InputOptions(images, seed, latents, spikes, image, rate, steps)
    entering = counted_input(open_network(net), options)
    with bar("count") as report:
        cost = cost_of(entering, profile or (), progress=report)
    operations, estimates = sections.operations(cost, entering), sections.energy(cost)
    tables = cost_tables(operations, estimates)
    plots: list[Path] = []
    if plot is not None:
        from deploy.view.plots import save_energy_plots

        with only_writer(plot):
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
    say(f"{net}: {counted(cost.counts.images, 'image')} of {counted(cost.counts.steps, 'step')}; {entering.about}")
    print_tables(tables)
    for one in cost.estimates:
        say(_about(one, operations["products"]))
    say_written(*written)


def _validate(folder: Path, csv: Path | None, json: bool) -> None:
    from deploy.validate import validate_model
    from deploy.view.console import bar, print_tables, say, show_result
    from deploy.view.table import plain
    from deploy.view.tables import validation_tables

    with bar("validate") as report:
        results = validate_model(folder, progress=report)
    cases = [{"case": one.case.model_dump(), "file": one.file, "comparisons": one.comparisons} for one in results]
    tables = {
        one.case.name: validation_tables(
            plain(one.comparisons),
            [each.error for each in one.comparisons],
            title=f"{one.case.title}: model ({one.case.profile}) against measurement",
            name=one.case.name,
        )
        for one in results
        if one.file is not None
    }

    def people() -> None:
        for one in results:
            case = one.case
            if one.file is None:
                say(f"{case.title}: {case.network.file} is not in {folder}")
                continue
            print_tables(tables[case.name])
            say(f"{case.about.strip()} Source: {case.measured[0].source}")

    show_result({"cases": cases}, list(chain.from_iterable(tables.values())), json=json, csv=csv, people=people)


def _about(one: EnergyEstimate, products: float) -> str:
    """What a profile leaves out and rests on, in sentences."""
    from deploy.view.numbers import si
    from deploy.view.prose import counted

    about = [one.about, *(f"{note}." for note in one.notes)]
    if one.float_energy is not None:
        about.append(f"The float equivalent: {products:,} products, {si(one.float_energy.value, 'J')}.")
    if one.busiest is not None:
        about.append(f"{counted(one.cores or 0, 'core')}, the busiest in {one.busiest}.")
    return f"{one.profile} (estimate, basis: {one.basis}): {' '.join(about)}"

"""``esvae energy``: exact counts, then estimates of energy and time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.commands.options import Json, Seed
from esvae.errors import ConfigError

if TYPE_CHECKING:
    from deploy.cost import Cost
    from sim.counts.ops import Counts
    from sim.energy.estimate import EnergyEstimate, Quantity

__all__ = ["energy"]


def energy(
    net: Annotated[
        Path | None, typer.Argument(metavar="F.net", help="A network file, or a run directory; not with --validate.")
    ] = None,
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
        _validate(validate, json)
        return
    if net is None:
        raise ConfigError("give a network file or a run directory, or --validate FOLDER")
    from deploy.cost import cost_of, counted_input, open_network
    from deploy.entering import InputOptions
    from deploy.view.console import bar, emit_json, say
    from esvae.machine.outputs import output_folder

    if plot is not None:
        output_folder(plot, option="--plot")
    options = InputOptions(images, seed, latents, spikes, image, rate, steps)
    entering = counted_input(open_network(net), options)
    with bar("count") as report:
        cost = cost_of(entering, profile or (), progress=report)
    written = []
    if plot is not None:
        from deploy.view.plots import save_energy_plots

        written = save_energy_plots(cost.counts, cost.estimates, plot)
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
                "plots": written,
            }
        )
        return
    say(f"{net}: {cost.counts.images} images of {cost.counts.steps} steps; {entering.about}")
    _print_counts(cost.counts)
    _print_estimates(cost)
    if written:
        say("written: " + ", ".join(map(str, written)))


def _validate(folder: Path, json: bool) -> None:
    from deploy.validate import validate_model
    from deploy.view.console import bar, emit_json, print_table, say

    with bar("validate") as report:
        results = validate_model(folder, progress=report)
    if json:
        cases = [{"case": one.case.model_dump(), "file": one.file, "comparisons": one.comparisons} for one in results]
        emit_json({"cases": cases})
        return
    for result in results:
        case = result.case
        if result.file is None:
            say(f"{case.title}: {case.network.file} is not in {folder}")
            continue
        rows = [
            [one.quantity, f"{one.measured:,.4g}", f"{one.model:,.4g}", one.unit, f"{one.error:+.1%}"]
            for one in result.comparisons
        ]
        print_table(
            f"{case.title}: model ({case.profile}) against measurement",
            ["quantity", "measured", "model", "unit", "error"],
            rows,
        )
        say(f"{case.about.strip()} Source: {case.measured[0].source}")


def _print_counts(counts: Counts) -> None:
    from deploy.view.console import print_table

    names = ("neurons", "synapses", "spikes_in", "synops", "spikes", "updates")
    table = [[getattr(layer, name) for name in names] for layer in counts.layers]
    rows = [
        [layer.layer.removeprefix("layer "), *map(_whole, numbers)]
        for layer, numbers in zip(counts.layers, table, strict=True)
    ]
    rows.append(["all", *(_whole(sum(column)) for column in zip(*table, strict=True))])
    print_table(
        "counts an image, exact, mean over images",
        ["layer", "neurons", "synapses", "spikes in", "synaptic operations", "spikes out", "updates"],
        rows,
    )
    rows = []
    for layer in counts.layers:
        spread = layer.over_images["synops"]
        rows.append(
            [
                layer.layer.removeprefix("layer "),
                f"{layer.activity:.3f}",
                f"{layer.sparsity:.3f}",
                f"{layer.zero_weights:.3f}",
                *(f"{x or 0:,}" for x in (spread.min, spread.low, spread.median, spread.high, spread.max)),
                _whole(layer.macs.effective),
            ]
        )
    print_table(
        "synaptic operations over images, and products of the float equivalent",
        ["layer", "activity", "sparsity", "zero weights", "least", "5 %", "median", "95 %", "most", "MACs"],
        rows,
    )


def _whole(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def _print_estimates(cost: Cost) -> None:
    from deploy.view.console import print_table, say
    from deploy.view.units import si, si_range
    from sim.energy.estimate import part_names

    def rows_of(one: EnergyEstimate) -> list[str]:
        times = [si(t.value, "s") if t else "-" for t in (one.step_time, one.interval, one.latency)]
        share = f"{one.static_share.value:.0%}" if one.static_share else "-"
        energy = si_range(one.energy.low, one.energy.high, "J")
        return [one.profile, energy, si(one.energy.value, "J"), share, *times, _range(one.latency), one.basis]

    print_table(
        "energy and time, estimates",
        ["profile", "range", "an image", "static", "a step", "an image", "latency", "range", "basis"],
        [rows_of(one) for one in cost.estimates],
    )
    names = part_names(cost.estimates)
    table = []
    for one in cost.estimates:
        parts = {part.name: part.energy for part in one.parts}
        table.append([one.profile, *(si(parts[name].value, "J") if name in parts else "-" for name in names)])
    print_table("parts of the energy of an image, estimates", ["profile", *names], table)
    for one in cost.estimates:
        about = [one.about, *(f"{note}." for note in one.notes)]
        if one.float_energy is not None:
            products = sum(layer.macs.effective for layer in cost.counts.layers)
            about.append(f"The float equivalent: {products:,} products, {si(one.float_energy.value, 'J')}.")
        if one.busiest is not None:
            about.append(f"{one.cores} cores, the busiest in {one.busiest}.")
        say(f"{one.profile} (estimate, basis: {one.basis}): {' '.join(about)}")


def _range(quantity: Quantity | None) -> str:
    from deploy.view.units import si_range

    return "-" if quantity is None else si_range(quantity.low, quantity.high, "s")

"""``esvae compare``: what quantization did to the pictures."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.commands.completion import complete_run
from deploy.commands.options import Csv, DataRoot, Json, Net, Seed
from esvae.errors import ConfigError

if TYPE_CHECKING:
    from deploy.compare import Comparison, Divergence
    from deploy.view.table import Table

__all__ = ["compare"]


def compare(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run directory, or pretrained:NAME.", autocompletion=complete_run)
    ],
    net: Net,
    images: Annotated[int, typer.Option("-n", "--images", min=2, help="Images from the prior.")] = 5000,
    seed: Seed = 0,
    metrics: Annotated[str, typer.Option(help="Of fad, kid, precision, recall, fid; all; or none.")] = "all",
    protocol: Annotated[str, typer.Option(help="Of FAD's batch norm: eval, or published (batch statistics).")] = "eval",
    features: Annotated[Path | None, typer.Option(help="FAD's autoencoder; else the one below the data root.")] = None,
    data_root: DataRoot = None,
    layers: Annotated[bool, typer.Option(help="Compare spikes and potentials layer by layer.")] = True,
    attribution: Annotated[bool, typer.Option(help="Quantize one layer at a time.")] = True,
    noise: Annotated[bool, typer.Option(help="Also measure robustness to noise.")] = False,
    backends: Annotated[str, typer.Option(help="Others for the first images, by comma: lava, onnx, reference.")] = "",
    cross: Annotated[int, typer.Option(min=1, help="Images on these backends.")] = 4,
    force: Annotated[bool, typer.Option(help="Compare although the file was not made from this run.")] = False,
    plot: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for pictures.")] = None,
    csv: Csv = None,
    json: Json = False,
) -> None:
    """Give float and quantized decoder the same latent spikes and say how images, layers and distributions differ.

    Exit 0 only if every backend that ran computed the same integers.

    [bold]Example:[/] esvae compare runs/digits decoder.net -n 1000 --plot plots
    """
    from deploy.backends import other_backends
    from deploy.compare import ALL_PARTS, CompareOptions
    from deploy.compare import compare as run_comparison
    from deploy.compare.distribution import DISTANCES
    from deploy.view.console import bar, show_result
    from deploy.view.table import plain
    from deploy.view.tables import comparison_tables
    from esvae.machine.locks import only_writer
    from esvae.machine.outputs import output_folder
    from esvae.metrics.features import PROTOCOLS
    from esvae.metrics.generator import metrics_named

    if plot is not None:
        output_folder(plot, option="--plot")
    if protocol not in PROTOCOLS:
        raise ConfigError(f"--protocol '{protocol}' is unknown; choose {' or '.join(PROTOCOLS)}")
    wanted = () if metrics == "none" else metrics_named(metrics, DISTANCES)
    named = [name.strip() for name in backends.split(",") if name.strip()]
    others = other_backends(named, "--backends") if named else ()
    chosen = {"layers": layers, "attribution": attribution, "noise": noise, "distribution": bool(wanted)}
    with only_writer(plot), bar("compare") as report:
        found = run_comparison(
            run,
            net,
            CompareOptions(
                images=images,
                seed=seed,
                parts=frozenset(part for part in ALL_PARTS if chosen.get(part, True)),
                metrics=wanted,
                protocol=protocol,  # type: ignore[arg-type]
                force=force,
            ),
            data_root=data_root,
            features=features,
            backends=others,
            cross=cross,
            progress=report,
        )
        plots: list[Path] = []
        if plot is not None:
            from deploy.compare.pictures import save_comparison_plots

            plots = save_comparison_plots(found, run, net, plot)
    tables = comparison_tables(plain(found))
    show_result(
        {**asdict(found), "plots": plots},
        tables,
        json=json,
        csv=csv,
        people=lambda: print_comparison(found, tables),
        files=plots,
    )
    if any(check.equal is False for check in found.cross):
        raise typer.Exit(1)


def print_comparison(found: Comparison, tables: list[Table]) -> None:
    """The tables, and what no table says."""
    from deploy.view.console import print_tables, say
    from deploy.view.prose import counted
    from deploy.view.tables import metric_name

    if not found.belongs:
        say(f"{found.file} was not made from {found.run} as it is; compared all the same, as asked")
    print_tables(tables)
    if found.divergence is not None:
        say(_parting(found.divergence, [layer.name for layer in found.layers]))
    if found.distribution is not None:
        for name, reason in found.distribution.missing.items():
            say(f"{metric_name(name)}: {reason}")
        for note in found.distribution.notes:
            say(note)
    for check in found.cross:
        equal = (
            f"the twin's integers, {counted(check.images, 'image')}" if check.equal else f"differs: {check.difference}"
        )
        say(f"{check.backend}: {equal if check.skipped is None else f'skipped: {check.skipped}'}")
    for note in found.notes:
        say(note)


def _parting(first: Divergence, names: list[str]) -> str:
    """Where the spikes of both sides part first."""
    from deploy.view.prose import counted

    text = f"spikes part in {first.images - first.never:,} of {counted(first.images, 'image')}"
    if (at := first.earliest) is not None:
        steps = ", ".join(f"{count:,} at step {step}" for step, count in enumerate(first.by_step) if count)
        by_layer = zip(names, first.by_layer, strict=False)  # the readout has no spikes
        where = ", ".join(f"{count:,} in {name}" for name, count in by_layer if count)
        who = "float" if at.float_fired else "integer"
        text += (
            f", of which {steps} and {where}; earliest in image {at.image} at step {at.step}, "
            f"{at.name}, neuron {at.neuron}, where only {who} fired at {at.float_potential:.4f} thresholds"
        )
    return text

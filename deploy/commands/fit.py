"""``esvae fit``: whether a network fits a chip."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.commands.options import Json

if TYPE_CHECKING:
    from sim.fit.adviser import Fit, Option

__all__ = ["fit"]

_FIELDS = ("layer", "kind", "shape", "neurons", "weight_bits", "words", "binding", "problem")


def fit(
    net: Annotated[Path, typer.Argument(metavar="F.net", help="A network file, or a run directory.")],
    chip: Annotated[str, typer.Option(help="loihi2 or loihi1.")] = "loihi2",
    plot: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for pictures.")] = None,
    json: Json = False,
) -> None:
    """Map each layer to cores, say which limit binds and what would help; exit 0 only if one chip holds the network.

    [bold]Example:[/] esvae fit decoder.net --chip loihi2
    """
    from deploy.cost import open_network
    from deploy.view.console import emit_json, say
    from esvae.machine.outputs import output_folder
    from sim.fit.adviser import fit_network
    from sim.fit.chips import chip_named

    if plot is not None:
        output_folder(plot, option="--plot")
    answer = fit_network(open_network(net), chip_named(chip))
    written = []
    if plot is not None:
        from deploy.view.plots import save_fit_plots

        written = save_fit_plots(answer.mapping, plot)
    mapping = answer.mapping
    if json:
        layers = [
            {
                **{name: getattr(layer, name) for name in _FIELDS},
                "cores": len(layer.cores),
                "groups_per_core": layer.groups,
                "use": layer.use(mapping.chip),
            }
            for layer in mapping.layers
        ]
        emit_json(
            {
                "file": net,
                "chip": mapping.chip,
                "fits": mapping.fits,
                "cores": mapping.cores,
                "chips": mapping.chips,
                "binding": mapping.binding,
                "layers": layers,
                "lowerings": answer.lowerings,
                "remedies": answer.advice.remedies if answer.advice else [],
                "advice": answer.advice.sentences if answer.advice else [],
                "step_bound": answer.step,
                "plots": written,
            }
        )
    else:
        _print_fit(net, answer)
        if written:
            say("written: " + ", ".join(map(str, written)))
    if not mapping.fits:
        raise typer.Exit(1)


def _print_fit(net: Path, answer: Fit) -> None:
    from deploy.view.console import print_table, say
    from deploy.view.units import si

    mapping, chip = answer.mapping, answer.mapping.chip
    rows = []
    for layer in mapping.layers:
        use = layer.use(chip)
        shares = [f"{use[name]:.0%}" if layer.cores else "-" for name in ("neurons", "words", "axons")]
        name = layer.layer.removeprefix("layer ")
        cores = str(len(layer.cores)) if layer.cores else "impossible"
        row = [name, layer.kind, f"{layer.neurons:,}", f"{layer.weight_bits}", f"{layer.words:,}", cores]
        rows.append([*row, *shares, f"{layer.groups}/{chip.groups}", layer.binding])
    print_table(
        f"{net} on {chip.title}; shares are of the fullest core",
        ["layer", "synapses", "neurons", "bits", "words", "cores", "neurons", "memory", "axons", "groups", "binding"],
        rows,
    )
    remedies, sentences = (answer.advice.remedies, answer.advice.sentences) if answer.advice else ((), ())
    answers = [*answer.lowerings, *remedies]
    if answers:
        print_table("other ways", ["", "cores", "chips", "fits"], [_option_row(option) for option in answers])
    if not answer.lowerings:
        say("every layer is dense or unrolled; give the run directory to compare with shared kernels")
    verdict = "fits" if mapping.fits else "does not fit"
    say(f"{verdict}: {mapping.cores} of {chip.usable_cores} usable cores; {mapping.binding} binds")
    for sentence in sentences:
        say(sentence)
    if answer.step is not None:
        bound = answer.step
        say(
            f"busiest core: {bound.layer}, {bound.synops:,} synaptic operations a step if every input spikes; "
            f"then a step takes {si(bound.seconds.value, 's')} (estimate by {bound.profile})"
        )


def _option_row(option: Option) -> list[str]:
    numbers = ["impossible" if n is None else str(n) for n in (option.cores, option.chips)]
    return [option.what, *numbers, "yes" if option.fits else "no"]

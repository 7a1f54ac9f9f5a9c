"""``esvae fit``: whether a network fits a chip."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.commands.completion import complete_run
from deploy.commands.options import Csv, Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deploy.view.table import Table
    from sim.fit.adviser import Fit
    from sim.fit.board import Crossing

__all__ = ["fit"]

_FIELDS = ("layer", "kind", "shape", "neurons", "weight_bits", "words", "binding", "problem")


def fit(
    net: Annotated[
        Path,
        typer.Argument(
            metavar="F.net", help="A network file, a run directory, or pretrained:NAME.", autocompletion=complete_run
        ),
    ],
    chip: Annotated[str, typer.Option(help="loihi2 or loihi1.")] = "loihi2",
    chips: Annotated[int, typer.Option(min=1, help="On the board: 8 on Kapoho Point, 32 on Alia Point.")] = 1,
    plot: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for pictures.")] = None,
    csv: Csv = None,
    json: Json = False,
) -> None:
    """Map each layer to cores, say which limit binds and what would help; exit 0 only if the chips hold the network.

    [bold]Example:[/] esvae fit decoder.net --chip loihi2

    [bold]Example:[/] esvae fit large.net --chips 8
    """
    from deploy.opening import open_network
    from deploy.report import sections
    from deploy.view.console import emit_json, say_written, write_csv
    from deploy.view.tables import fit_tables
    from esvae.machine.locks import only_writer
    from esvae.machine.outputs import output_folder
    from sim.fit.adviser import fit_network
    from sim.fit.board import crossings
    from sim.fit.chips import chip_named

    if plot is not None:
        output_folder(plot, option="--plot")
    network = open_network(net)
    answer = fit_network(network, chip_named(chip))
    links = () if answer.mapping.problems else crossings(network, answer.mapping)
    fits = answer.mapping.chips is not None and answer.mapping.chips <= chips
    content = sections.fit(answer)
    plots: list[Path] = []
    if plot is not None:
        from deploy.view.plots import save_fit_plots

        with only_writer(plot):
            plots = save_fit_plots(content, plot)
    tables = fit_tables(content)
    written = [*plots, *write_csv(tables, csv)]
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
                "fits": fits,
                "cores": mapping.cores,
                "least_cores": answer.least,
                "chips": mapping.chips,
                "board": {"chips": chips, "shares": mapping.shares, "links": links},
                "binding": mapping.binding,
                "layers": layers,
                "lowerings": answer.lowerings,
                "remedies": answer.advice.remedies if answer.advice else [],
                "advice": answer.advice.sentences if answer.advice else [],
                "step_bound": answer.step,
                "plots": plots,
            }
        )
    else:
        _print_fit(answer, tables, chips, links)
        say_written(*written)
    if not fits:
        raise typer.Exit(1)


def _print_fit(answer: Fit, tables: list[Table], chips: int, links: Sequence[Crossing]) -> None:
    from deploy.view.console import print_tables, say
    from deploy.view.numbers import si
    from deploy.view.prose import binding_words, counted

    mapping, chip = answer.mapping, answer.mapping.chip
    print_tables(tables)
    if not answer.lowerings:
        say("every layer is dense or unrolled; give the run directory to compare with shared kernels")
    fits = mapping.chips is not None and mapping.chips <= chips
    verdict = "fits" if fits else "does not fit"
    room = f"{chips * chip.usable_cores:,} usable cores" + (f" of {counted(chips, 'chip')}" if chips > 1 else "")
    least = "" if answer.least is None else f" (as the compiler cuts it; {answer.least:,} would do by capacity)"
    say(f"{verdict}: {mapping.cores:,} of {room}{least}; {binding_words(mapping.binding)}")
    for link in links:
        say(f"chip {link.source} to chip {link.target}: {link.neurons:,} neurons have targets there")
    for sentence in answer.advice.sentences if answer.advice and not fits else ():
        say(sentence)
    if answer.step is not None:
        bound = answer.step
        say(
            f"busiest core: {bound.layer}, {bound.synops:,} synaptic operations a step if every input spikes; "
            f"then a step takes {si(bound.seconds.value, 's')} (estimate by {bound.profile})"
        )

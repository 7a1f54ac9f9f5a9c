"""``esvae export``: a trained network, or a NIR graph, as a netx file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.commands.completion import complete_run
from deploy.commands.options import Csv, Json, NirReset, NirStep, NirWriter
from esvae.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from deploy.view.table import Table
    from export.frontends.nir import NirMeaning
    from export.ir import Network
    from export.ir.floats import FloatNetwork
    from export.pipeline import Exported

__all__ = ["export"]

#: How pictures leave.
READOUTS = ("potential", "spikes")
_READ_STEPS = 16  # of a readout by spikes, where nobody says


def export(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="A run directory, pretrained:NAME, an official state dict (.pth), a NIR graph (.nir), or a .net file.",
            autocompletion=complete_run,
        ),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="The .net file to write.")],
    weight_bits: Annotated[
        int | None,
        typer.Option(
            help="2 to 8, sign included; else those it was trained with, 8, or a .net file's own integers.",
            show_default=False,
        ),
    ] = None,
    lowering: Annotated[str, typer.Option(help="auto, none, subpixel, dense (unrolled), native.")] = "auto",
    calibration: Annotated[
        str,
        typer.Option(help="How weights are scaled and rounded: max, percentile, mse, spikes, feedback (few bits)."),
    ] = "mse",
    calibration_latents: Annotated[
        Path | None,
        typer.Option(help="An .npy file of input spikes to calibrate and judge with; else drawn from the prior."),
    ] = None,
    generator: Annotated[
        str, typer.Option(help="Who draws the latent spikes: host, or chip (neurons of the file itself).")
    ] = "host",
    generator_seed: Annotated[int, typer.Option(help="Of a generator on the chip; a part of the file.")] = 0,
    factors: Annotated[
        int | None, typer.Option(help="Of a generator on the chip: held bits of the logits; fewer take fewer neurons.")
    ] = None,
    shared_factor: Annotated[
        bool, typer.Option("--shared-factor", help="Of a generator on the chip: one factor for all components.")
    ] = False,
    components: Annotated[
        int | None, typer.Option(help="Of a generator on the chip: kinds of images; the nearest are merged.")
    ] = None,
    readout: Annotated[
        str, typer.Option(help="How pictures leave: potential (the host reads it), or spikes (pixels fire).")
    ] = "potential",
    read_steps: Annotated[
        int | None,
        typer.Option(help="Of a spikes readout: steps behind the image's in which pixels fire for the first time; 16."),
    ] = None,
    chip: Annotated[
        str | None, typer.Option(help="Write only what one such chip holds (loihi2, loihi1), else say what would fit.")
    ] = None,
    onnx: Annotated[
        Path | None,
        typer.Option(
            help="Also write the integer twin to this .onnx file, the float decoder to .float.onnx beside it."
        ),
    ] = None,
    nir: Annotated[
        Path | None, typer.Option("--nir", help="Also write the float network as a NIR graph, for other simulators.")
    ] = None,
    dt: NirStep = None,
    reset: NirReset = None,
    written_by: NirWriter = None,
    time_steps: Annotated[
        int | None, typer.Option(help="Of a NIR graph: how long an input lasts, where that is fixed.")
    ] = None,
    csv: Csv = None,
    json: Json = False,
) -> None:
    """Quantize a trained network and write it as a Lava-DL netx file; or lower a netx file, its integers as they are.

    [bold]Example:[/] esvae export runs/digits -o decoder.net --weight-bits 8
    """
    from deploy.circuit import circuit_options, print_circuit, write_beside
    from deploy.rasters import load_raster
    from deploy.view.console import bar, emit_json, say, say_written, warn, write_csv
    from export.frontends import is_netx
    from export.frontends.nir import NirMeaning
    from export.nir.write import write_nir
    from export.onnx.write import write_onnx_pair
    from export.pipeline import Options, compiled, warnings_of
    from export.relower import relower_file

    circuit = circuit_options(generator, generator_seed, factors, shared_factor, components)
    reading = _steps_of_readout(readout, read_steps)
    options = Options(weight_bits, lowering, calibration, None, circuit, reading)  # type: ignore[arg-type]
    _check_outputs(out, onnx, nir, (source, calibration_latents))
    kept = weight_bits is None and is_netx(source) and circuit is None and reading is None
    meaning = NirMeaning(dt, reset, written_by, time_steps)  # type: ignore[arg-type]
    network, notes = _float_network(source, meaning, needed=not kept or nir is not None or onnx is not None)
    gate = None if chip is None else _gate(chip)
    if kept:
        done = relower_file(source, out, lowering=lowering, before_writing=gate)  # type: ignore[arg-type]
    else:
        assert network is not None
        spikes = None if calibration_latents is None else load_raster(calibration_latents, network.input_shape)
        with bar("export", shown=not json and calibration in ("spikes", "feedback")) as report:
            options = replace(options, spikes=spikes)
            done = compiled(network, options, report).written(out, gate)
        for text in warnings_of(done, network, options):
            warn(text)
    beside = write_beside(done.network, out)
    twins = graph = None
    integer = done.plain if reading is None else done.network  # pixels that fire are made of lowered layers
    if network is not None and onnx is not None:
        twins = write_onnx_pair(network, integer, onnx)
    if network is not None and nir is not None:
        with bar("NIR", shown=not json) as report:
            graph = write_nir(network, nir, progress=report)
    tables = _tables(done, kept=kept)
    written = write_csv(tables, csv)
    if json:
        emit_json(
            {
                "file": done.path,
                "bytes": done.path.stat().st_size,
                "content_hash": done.network.content_hash(),
                "weight_bits": None if kept else done.bits,
                "lowering": done.lowering,
                "lowering_costs": done.costs,
                "quantization": done.quantization,
                "ranges": done.ranges,
                "fidelity": done.fidelity,
                "onnx": twins and {**vars(twins), "content_hash": integer.content_hash()},
                "nir": graph,
                "generator": generator,
                "beside": beside,
                "notes": notes,
            }
        )
        return
    for text in notes:
        say(f"{source}: {text}")
    _print(done, tables, kept=kept)
    print_circuit(done.network, beside)
    if twins is not None:
        say(f"{twins.integer}: the integer twin; {twins.float}: the float decoder")
    if graph is not None:
        say(f"{nir}: the float network as a NIR graph")
    say_written(*written)


def _steps_of_readout(readout: str, read_steps: int | None) -> int | None:
    """Steps in which pixels fire; None where potentials are read."""
    if readout not in READOUTS:
        raise ConfigError(f"--readout {readout}: expected {' or '.join(READOUTS)}")
    if readout == "spikes":
        return _READ_STEPS if read_steps is None else read_steps
    if read_steps is not None:
        raise ConfigError("--read-steps needs --readout spikes")
    return None


def _check_outputs(out: Path, onnx: Path | None, nir: Path | None, read: tuple[Path | None, ...]) -> None:
    """What is to be written has a name of its kind, and is none of what is read."""
    from esvae.machine.outputs import output_file
    from export.onnx.write import check_target

    output_file(out, ".net", option="-o", inputs=read)
    for target in () if onnx is None else (onnx, check_target(onnx)):
        output_file(target, ".onnx", option="--onnx", inputs=read)
    if nir is not None:
        output_file(nir, (".nir", ".h5", ".hdf5"), option="--nir", inputs=read)


def _float_network(source: Path, meaning: NirMeaning, *, needed: bool) -> tuple[FloatNetwork | None, tuple[str, ...]]:
    """The source in floats, where it is needed, and what is to be said of a NIR graph; warns of what is odd in it."""
    from deploy.view.console import warn
    from export.frontends import is_nir, load_source, read_nir
    from export.frontends.nir import NirMeaning

    network: FloatNetwork | None = None
    notes: tuple[str, ...] = ()
    if is_nir(source):
        taken = read_nir(source, meaning)
        network, notes = taken.network, taken.notes
        for text in taken.warnings:
            warn(f"{source}: {text}")
    elif meaning != NirMeaning():
        raise ConfigError(f"{source}: --dt, --reset, --written-by and --time-steps are for NIR graphs (.nir)")
    elif needed:
        network = load_source(source)
    if network is not None and "unfinished" in network.provenance:
        warn(f"{source}: its training is not finished ({network.provenance['unfinished']}); the file says so too")
    return network, notes


def _gate(chip: str) -> Callable[[Network, Network], None]:
    """Refuses an integer network that the chip does not hold."""
    from sim.fit.adviser import check_fits
    from sim.fit.chips import chip_named

    named = chip_named(chip)
    return lambda integer, plain: check_fits(integer, named, plain)


def _tables(done: Exported, *, kept: bool) -> list[Table]:
    """What rounding did; of integers that stay as they were, how full the registers can get."""
    from deploy.report.sections import layers
    from deploy.view.table import plain
    from deploy.view.tables import fidelity_table, quantization_tables

    title = f"{done.path}: {done.path.stat().st_size:,} bytes, {done.bits} bit weights, lowering {done.lowering}"
    judged = [fidelity_table(plain(done.fidelity))] if done.fidelity and not kept else []
    return [*quantization_tables(layers(done.quantization or None, done.ranges), title=title), *judged]


def _print(done: Exported, tables: list[Table], *, kept: bool) -> None:
    from deploy.view.console import print_tables, say

    if kept:
        size = done.path.stat().st_size
        say(f"{done.path}: {size:,} bytes, integers as they were, lowering {done.lowering}")
    else:
        print_tables(tables)
    for cost in done.costs if len(done.costs) > 1 else []:
        load = f", {cost.load_bytes / 2**30:.2f} GiB for netx to load its largest layer" if cost.load_bytes else ""
        refused = f"; {cost.refused}" if cost.refused else ""
        chosen = ">" if cost.lowering == done.lowering else " "
        say(f"{chosen} {cost.lowering}: {cost.weights:,} weights{load}{refused}")

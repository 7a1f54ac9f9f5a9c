"""``esvae sweep``: a grid of exports, each compared and costed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.completion import complete_run
from deploy.commands.options import Csv, DataRoot, Json, Seed

__all__ = ["sweep"]


def sweep(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run directory, or pretrained:NAME.", autocompletion=complete_run)
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the points and the summary.")],
    weight_bits: Annotated[str, typer.Option(help="By comma, 2 to 8, sign included.")] = "8,6,4,3,2",
    steps: Annotated[str | None, typer.Option(help="Windows, by comma. Default: that of the training.")] = None,
    lowering: Annotated[str, typer.Option(help="By comma: auto, none, subpixel, dense, native.")] = "auto",
    calibration: Annotated[
        str, typer.Option(help="How scales are chosen, by comma: mse, max, percentile, spikes, feedback.")
    ] = "mse",
    qat: Annotated[
        bool, typer.Option("--qat", help="Also fine-tune the run in integers, for each number of bits.")
    ] = False,
    images: Annotated[int, typer.Option("-n", "--images", help="Drawn from the prior for each point.")] = 256,
    test_images: Annotated[int, typer.Option(help="Held-out images to reconstruct, at most.")] = 512,
    seed: Seed = 0,
    metrics: Annotated[
        str, typer.Option(help="Beside the images' MSE, by comma: reconstruction, fad.")
    ] = "reconstruction",
    quality: Annotated[
        str | None, typer.Option(help="Of the front: reconstruction, image_mse or fad. Default: the first there is.")
    ] = None,
    profile: Annotated[
        list[str] | None, typer.Option(help="Energy profile; may be repeated, the first decides the front.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes, which share the cores.")] = 1,
    ray: Annotated[bool, typer.Option("--ray", help="On a Ray cluster, begun here with --jobs workers.")] = False,
    ray_address: Annotated[str | None, typer.Option(help="On the Ray cluster at this address; auto finds it.")] = None,
    data_root: DataRoot = None,
    csv: Csv = None,
    json: Json = False,
) -> None:
    """Export a run with every combination of settings, compare, count and cost each, and find the Pareto front.

    Finished points are kept in the folder: an interrupted sweep goes on where it was. Exit 0 only if no point failed.

    [bold]Example:[/] esvae sweep runs/digits -o sweeps/digits --weight-bits 8,6,4,3,2 --steps 8,4,2 --jobs 2
    """
    from deploy.sweep import (
        Grid,
        SweepProtocol,
        Workers,
        as_json,
        in_processes,
        in_this_process,
        on_ray,
        parse_names,
        parse_numbers,
        save_summary,
        threads_each,
    )
    from deploy.sweep import sweep as run_sweep
    from deploy.view.console import bar, emit_json, print_tables, say, say_written, write_csv
    from deploy.view.prose import counted
    from deploy.view.table import plain
    from deploy.view.tables import sweep_tables
    from esvae.machine.locks import only_writer
    from esvae.machine.outputs import output_folder
    from esvae.run import load_run
    from esvae.shipped import names_pretrained

    output_folder(out, option="-o")
    windows = (load_run(run).config.model.time_steps,) if steps is None else parse_numbers(steps, "--steps")
    grid = Grid(
        parse_numbers(weight_bits, "--weight-bits"), windows, parse_names(lowering), parse_names(calibration), qat
    )
    root = None if data_root is None else str(data_root.resolve())
    profiles = tuple(profile or ("loihi2_anchored", "loihi1_sanafe2025"))
    protocol = SweepProtocol(images, test_images, seed, parse_names(metrics), profiles, root)
    cluster = ray or ray_address is not None
    executor = on_ray(ray_address, workers=jobs) if cluster else in_processes(jobs)
    if not cluster and len(grid.points()) == 1:
        executor = in_this_process  # it can take no other with it, and need not import all of this anew
    place = run if names_pretrained(run) else str(Path(run).resolve())
    with only_writer(out), bar("sweep") as report:
        found = run_sweep(
            place,
            grid,
            out,
            protocol,
            quality=quality,
            workers=Workers(executor, threads=1 if cluster else threads_each(jobs)),
            progress=report,
        )
        written = save_summary(found, out)
    title = (
        f"{run}: {counted(len(found.points), 'point')}, {found.counted('evaluated')} evaluated, "
        f"{found.counted('kept')} kept, {found.counted('failed')} failed"
    )
    tables = sweep_tables(plain(as_json(found)), [entry.point.label for entry in found.points], title=title)
    written += write_csv(tables, csv)
    if json:
        emit_json(as_json(found))
    else:
        print_tables(tables)
        quality = found.quality.replace("_", " ")
        say(
            f"front: no other point has less {quality} for less energy; quantization, window: MSE of images "
            "against float with the same window, and of that against float with the trained window of "
            f"{found.trained_steps} steps; operations: exact, an image; energy ({found.profile}) and cores (Loihi 2): "
            "estimates"
        )
        for note in found.notes:
            say(f"note: {note}")
        say_written(*written)
    for entry in found.failed if not json else ():
        say(f"failed: {entry.point.label}: {entry.error}")
    if found.failed:
        raise typer.Exit(1)

"""``esvae autoencode``: images through the whole spiking autoencoder, on the twin or as one Lava graph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.completion import complete_run
from deploy.commands.options import DataRoot, Json, Seed

__all__ = ["autoencode"]


def autoencode(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="A run directory, or pretrained:NAME; test images of its data set are used.",
            autocompletion=complete_run,
        ),
    ],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="PNG: the images, and what came back.")] = None,
    images: Annotated[int, typer.Option("-n", "--images", help="How many.")] = 4,
    seed: Seed = 0,
    backend: Annotated[str, typer.Option(help="twin, or lava: one graph, verified against the twin.")] = "twin",
    data_root: DataRoot = None,
    json: Json = False,
) -> None:
    """Image, encoder, spike counter, sampler, decoder, image: in the chip's integers throughout.

    [bold]Example:[/] esvae autoencode runs/digits -n 4 --backend lava -o back.png
    """
    from deploy.autoencode import autoencode_run
    from deploy.view.console import bar, emit_json, say
    from deploy.view.prose import counted
    from esvae.machine.outputs import output_file

    if out is not None:
        output_file(out, ".png", option="-o")
    with bar(f"autoencode ({backend})") as report:
        done = autoencode_run(
            run, images, seed=seed, backend=backend, data_root=data_root, picture=out, progress=report
        )
    if json:
        emit_json(done)
    else:
        drawn = counted(done.images, "image") + (", all that the test set holds" if done.images < images else "")
        say(f"{drawn}, reconstruction MSE {done.mse:.4f}, {done.seconds:.2f} s on {done.backend}")
        if done.integers:
            say(f"twin {'=' if done.equal else '≠'} lava: {done.integers:,} integers compared")
    if not done.equal:
        raise typer.Exit(1)

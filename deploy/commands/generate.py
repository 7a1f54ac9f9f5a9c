"""``esvae generate``: many images into a folder, chunk by chunk, to be continued after any interruption."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.options import BackendOption, Json, LoaderOption, Net, Sampler, Seed, StallTimeout, TargetOption

__all__ = ["generate"]


def generate(
    net: Net,
    out: Annotated[Path, typer.Option("--out", help="Folder for the images; one that was begun is continued.")],
    images: Annotated[int, typer.Option("-n", "--images", help="How many in all.")] = 1000,
    seed: Seed = 0,
    backend: BackendOption = "twin",
    loader: LoaderOption = "stock",
    sampler: Sampler = "host",
    target: TargetOption = "cpu",
    stall_timeout: StallTimeout = 60.0,
    chunk: Annotated[int | None, typer.Option(help="Images to a file (1024; 64 on reference and Lava).")] = None,
    json: Json = False,
) -> None:
    """Draw many images; a run that was killed goes on where it stopped, with the same pictures.

    [bold]Example:[/] esvae generate decoder.net -n 10000 --out generated --backend lava --loader native
    """
    from deploy.backends import LavaSettings
    from deploy.generate import generate_file
    from deploy.view.console import bar, emit_json, say
    from deploy.view.prose import counted
    from esvae.machine.outputs import output_folder

    output_folder(out, option="--out")
    settings = LavaSettings(loader, sampler, target, stall_timeout)  # type: ignore[arg-type]
    with bar(f"generate ({backend})") as report:
        done = generate_file(net, images, out, seed=seed, backend=backend, lava=settings, chunk=chunk, progress=report)
    if json:
        emit_json(done)
    else:
        say(f"{counted(done.images, 'image')} in {done.folder}, {done.drawn} of them drawn now in {done.seconds:.2f} s")
        if done.damaged:
            say(f"damaged, so drawn again: {', '.join(done.damaged)}")

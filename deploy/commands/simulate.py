"""``esvae simulate``: a network file on one backend."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.options import Json, Loader, Net, Sampler, Seed, Target

__all__ = ["simulate"]


def simulate(
    net: Net,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="PNG file for the pictures.")] = None,
    images: Annotated[int, typer.Option("-n", "--images", help="How many.")] = 64,
    seed: Seed = 0,
    backend: Annotated[str, typer.Option(help="twin, reference or lava.")] = "twin",
    latents: Annotated[Path | None, typer.Option(help="Latent spikes (images, steps, features) as .npy.")] = None,
    save_latents: Annotated[Path | None, typer.Option(help="Write the latent spikes that were used, as .npy.")] = None,
    trace: Annotated[Path | None, typer.Option(help="Write u, v and s of every layer and step, as .npz.")] = None,
    loader: Loader = "stock",
    sampler: Sampler = "host",
    target: Target = "cpu",
    json: Json = False,
) -> None:
    """Draw images with a network file, in the chip's integers.

    [bold]Example:[/] esvae simulate decoder.net -n 64 --seed 0 -o images.png --trace trace.npz
    """
    from deploy.console import bar, emit_json, say
    from deploy.lava_run import LavaSettings
    from deploy.simulate import simulate_file

    with bar(f"simulate ({backend})") as report:
        result = simulate_file(
            net,
            images,
            seed=seed,
            backend=backend,
            latents=latents,
            picture=out,
            save_latents=save_latents,
            trace=trace,
            lava=LavaSettings(loader, sampler, target),  # type: ignore[arg-type]
            progress=report,
        )
    if json:
        emit_json(result)
    else:
        where = ", ".join(map(str, result.files.values())) or "nothing written (give -o, --trace or --save-latents)"
        say(f"{result.images} images in {result.seconds:.2f} s on {result.backend}: {where}")

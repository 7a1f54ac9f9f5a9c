"""``esvae simulate``: a network file on one backend."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.options import BackendOption, Json, LoaderOption, Net, Sampler, Seed, StallTimeout, TargetOption

__all__ = ["simulate"]


def simulate(
    net: Net,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Pictures as .png, or how they emerge step by step as .gif.")
    ] = None,
    images: Annotated[
        int | None, typer.Option("-n", "--images", help="How many to draw (64), or to take of those given (all).")
    ] = None,
    seed: Seed = 0,
    backend: BackendOption = "twin",
    latents: Annotated[Path | None, typer.Option(help="Latent spikes (images, steps, features) as .npy.")] = None,
    save_latents: Annotated[Path | None, typer.Option(help="Write the latent spikes that were used, as .npy.")] = None,
    trace: Annotated[
        Path | None, typer.Option(help="Write u, v and s of every layer and step, as .npz or .h5.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda, for the twin.")] = "cpu",
    spikes: Annotated[
        Path | None, typer.Option(help="Spikes for any network, (images, steps, C, H, W) or (..., features) as .npy.")
    ] = None,
    image: Annotated[
        str | None, typer.Option(help="Biases of input neurons, integers (images, C, H, W) as .npy; or: zeros.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps to run; spikes are cut or padded.")] = None,
    layers: Annotated[int | None, typer.Option(min=1, help="Run only so many of the file's layer groups.")] = None,
    reset_interval: Annotated[int | None, typer.Option(help="Reset the neurons every so many steps.")] = None,
    reset_offset: Annotated[int, typer.Option(help="Reset the first layer at steps 1 + this, + interval, ...")] = 0,
    stagger: Annotated[bool, typer.Option(help="Count time as Lava does: each layer a step later.")] = False,
    loader: LoaderOption = "stock",
    sampler: Sampler = "host",
    target: TargetOption = "cpu",
    stall_timeout: StallTimeout = 60.0,
    json: Json = False,
) -> None:
    """Draw images with a network file, in the chip's integers.

    [bold]Example:[/] esvae simulate decoder.net -n 64 --seed 0 -o images.png --trace trace.npz

    [bold]As they emerge:[/] esvae simulate decoder.net -n 16 -o images.gif

    [bold]Any LIF network:[/] esvae simulate foreign.net --image pixels.npy --steps 32 --trace trace.h5
    """
    from deploy.backends import LavaSettings
    from deploy.entering import InputOptions
    from deploy.simulate import OutputFiles, simulate_file
    from deploy.view.console import bar, emit_json, say
    from deploy.view.prose import counted
    from esvae.errors import ConfigError
    from esvae.machine.outputs import output_file
    from sim.stimulus import Timing

    read = (net, latents, spikes, image)
    if out is not None:
        output_file(out, (".png", ".gif"), option="-o", inputs=read)
    if save_latents is not None:
        output_file(save_latents, ".npy", option="--save-latents", inputs=read)
    if trace is not None:
        output_file(trace, (".npz", ".h5", ".hdf5"), option="--trace", inputs=read)
    if reset_interval is None and reset_offset:
        raise ConfigError("--reset-offset goes with --reset-interval; give both")
    timing = Timing(reset_interval, reset_offset, stagger)
    lava = LavaSettings(loader, sampler, target, stall_timeout)  # type: ignore[arg-type]
    with bar(f"simulate ({backend})") as report:
        result = simulate_file(
            net,
            InputOptions(images, seed, latents, spikes, image, steps=steps, timing=timing),
            OutputFiles(out, save_latents, trace),
            backend=backend,
            layers=layers,
            device=device,
            lava=lava,
            progress=report,
        )
    if json:
        emit_json(result)
    else:
        where = ", ".join(map(str, result.files.values())) or "nothing written (give -o, --trace or --save-latents)"
        say(f"{counted(result.images, 'image')} in {result.seconds:.2f} s on {result.backend}: {where}")

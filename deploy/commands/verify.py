"""``esvae verify``: a network file across backends."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from deploy.backend_names import BACKEND_NAMES
from deploy.commands.options import Csv, Json, LoaderOption, Net, Sampler, Seed, StallTimeout, TargetOption

__all__ = ["verify"]

#: Version numbers that are printed; --json gives all.
_TOLD = ("lava-nc", "lava-dl", "onnxruntime")


def verify(
    net: Net,
    images: Annotated[int, typer.Option("-n", "--images", help="How many.")] = 4,
    seed: Seed = 0,
    against: Annotated[
        str, typer.Option(help=f"Backends, by comma: {', '.join(name for name in BACKEND_NAMES if name != 'twin')}.")
    ] = "reference,lava",
    steps: Annotated[int | None, typer.Option(min=1, help="Steps to run, where the file has no window.")] = None,
    layers: Annotated[int | None, typer.Option(min=1, help="Run only so many of the file's layer groups.")] = None,
    loader: LoaderOption = "stock",
    sampler: Sampler = "host",
    target: TargetOption = "cpu",
    stall_timeout: StallTimeout = 60.0,
    csv: Csv = None,
    json: Json = False,
) -> None:
    """Run the same latent spikes on several backends and compare every integer; exit 0 only if all are equal.

    [bold]Example:[/] esvae verify decoder.net -n 4
    """
    from deploy.backends import LavaSettings, check_heeded, other_backends
    from deploy.report import sections
    from deploy.verify import verify as run_verify
    from deploy.view.console import bar, show_result
    from deploy.view.tables import verification_tables

    names = other_backends(name.strip() for name in against.split(",") if name.strip())
    settings = LavaSettings(loader, sampler, target, stall_timeout)  # type: ignore[arg-type]
    check_heeded(names, ["lava"] if settings != LavaSettings() else [], "--against")
    with bar("verify") as report:
        verdict = run_verify(
            net,
            images,
            seed=seed,
            steps=steps,
            layers=layers,
            against=names,
            lava=settings,
            progress=report,
        )
    tables = verification_tables(sections.verification(dict.fromkeys(verdict.differences, verdict), {}))
    result = {"equal": verdict.equal, **vars(verdict)}
    show_result(result, tables, json=json, csv=csv, people=lambda: print_verdict(verdict))
    if not verdict.equal:
        raise typer.Exit(1)


def print_verdict(verdict: Any) -> None:
    from deploy.view.console import say
    from deploy.view.prose import counted

    for name, difference in verdict.differences.items():
        sizes = {"image": verdict.images, "step": verdict.steps, "layer": verdict.layers}
        what = " x ".join(counted(size, noun) for noun, size in sizes.items())
        versions = [f"{k} {verdict.about[name][k]}" for k in _TOLD if k in verdict.about[name]]
        about = " with " + ", ".join(versions) if versions else ""
        if difference is None:
            say(f"twin = {name}: all {verdict.integers:,} integers equal ({what}){about}")
        else:
            say(f"twin ≠ {name}: first at {difference}")

"""``esvae export``: a run as a netx file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.options import Json
from esvae.errors import ConfigError

__all__ = ["export"]


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The .net file to write.")],
    weight_bits: Annotated[int, typer.Option(help="2 to 8, sign included.")] = 8,
    lowering: Annotated[str, typer.Option(help="auto, none, subpixel, dense (unrolled), native.")] = "auto",
    json: Json = False,
) -> None:
    """Quantize a trained decoder and write it as a Lava-DL netx file.

    [bold]Example:[/] esvae export runs/digits -o decoder.net --weight-bits 8
    """
    from deploy.console import emit_json, print_table, say
    from esvae.run import load_run
    from export.pipeline import LOWERINGS, export_run

    if lowering not in LOWERINGS:
        raise ConfigError(f"--lowering {lowering}: expected {', '.join(LOWERINGS)}")
    done = export_run(load_run(run), out, weight_bits=weight_bits, lowering=lowering)  # type: ignore[arg-type]
    size = done.path.stat().st_size
    if json:
        emit_json(
            {
                "file": done.path,
                "bytes": size,
                "content_hash": done.network.content_hash(),
                "lowering": done.lowering,
                "lowering_costs": done.costs,
                "quantization": done.quantization,
                "ranges": done.ranges,
            }
        )
        return
    print_table(
        f"{done.path}: {size:,} bytes, {weight_bits} bit weights, lowering {done.lowering}",
        ["layer", "scale", "bound by", "clipped", "weight", "bias", "threshold", "|u|", "|v|"],
        [
            [
                q.layer.removeprefix("layer "),
                f"{q.scale:.0f}",
                q.bound_by,
                str(q.clipped),
                f"{q.weight_error:.2%}",
                f"{q.bias_error:.2%}",
                f"{q.threshold_error:.2%}",
                f"{r.u_share:.0%}",
                f"{r.v_share:.0%}",
            ]
            for q, r in zip(done.quantization, done.ranges, strict=True)
        ],
    )
    for cost in done.costs if len(done.costs) > 1 else []:
        load = f", {cost.load_bytes / 2**30:.2f} GiB for netx to load its largest layer" if cost.load_bytes else ""
        refused = f"; {cost.refused}" if cost.refused else ""
        chosen = ">" if cost.lowering == done.lowering else " "
        say(f"{chosen} {cost.lowering}: {cost.weights:,} weights{load}{refused}")
    say("weight, bias, threshold: relative rounding error; |u|, |v|: largest possible, of the register")

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
    onnx: Annotated[
        Path | None,
        typer.Option(
            help="Also write the integer twin to this .onnx file, the float decoder to .float.onnx beside it."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Quantize a trained decoder and write it as a Lava-DL netx file.

    [bold]Example:[/] esvae export runs/digits -o decoder.net --weight-bits 8
    """
    from deploy.console import emit_json, print_table, say
    from esvae.run import load_run
    from export.frontends import from_run
    from export.onnx_write import check_target, write_onnx_pair
    from export.pipeline import LOWERINGS, export_run

    if lowering not in LOWERINGS:
        raise ConfigError(f"--lowering {lowering}: expected {', '.join(LOWERINGS)}")
    if onnx is not None:
        check_target(onnx)  # before any work is done
    trained = load_run(run)
    done = export_run(trained, out, weight_bits=weight_bits, lowering=lowering)  # type: ignore[arg-type]
    twins = None if onnx is None else write_onnx_pair(from_run(trained), done.plain, onnx)
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
                "onnx": twins and {**vars(twins), "content_hash": done.plain.content_hash()},
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
    if twins is not None:
        say(f"{twins.integer}: the integer twin; {twins.float}: the float decoder")
    say("weight, bias, threshold: relative rounding error; |u|, |v|: largest possible, of the register")

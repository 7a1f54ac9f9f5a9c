"""``esvae compare``: what quantization did to the pictures."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.commands.options import DataRoot, Json, Net, Seed
from esvae.errors import ConfigError

if TYPE_CHECKING:
    from deploy.compare import Comparison, PairedFigure

__all__ = ["compare"]

_NAMES = {"fad": "FAD", "kid": "KID", "fid": "FID", "inception_score": "Inception score"}


def compare(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, or pretrained:NAME.")],
    net: Net,
    images: Annotated[int, typer.Option("-n", "--images", min=2, help="Images from the prior.")] = 5000,
    seed: Seed = 0,
    metrics: Annotated[str, typer.Option(help="Of fad, kid, precision, recall, inception; all; or none.")] = "all",
    protocol: Annotated[str, typer.Option(help="Of FAD's batch norm: eval, or published (batch statistics).")] = "eval",
    features: Annotated[Path | None, typer.Option(help="FAD's autoencoder; else the one below the data root.")] = None,
    data_root: DataRoot = None,
    layers: Annotated[bool, typer.Option(help="Compare spikes and potentials layer by layer.")] = True,
    attribution: Annotated[bool, typer.Option(help="Quantize one layer at a time.")] = True,
    noise: Annotated[bool, typer.Option(help="Also measure robustness to noise.")] = False,
    backends: Annotated[str, typer.Option(help="Others for the first images, by comma: lava, onnx, reference.")] = "",
    cross: Annotated[int, typer.Option(min=1, help="Images on these backends.")] = 4,
    force: Annotated[bool, typer.Option(help="Compare although the file was not made from this run.")] = False,
    plot: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for pictures.")] = None,
    json: Json = False,
) -> None:
    """Give float and quantized decoder the same latent spikes and say how images, layers and distributions differ.

    Exit 0 only if every backend that ran computed the same integers.

    [bold]Example:[/] esvae compare runs/digits decoder.net -n 1000 --plot plots
    """
    from deploy.backends import other_backends
    from deploy.compare import ALL_PARTS, CompareOptions
    from deploy.compare import compare as run_comparison
    from deploy.compare.pictures import save_comparison_plots
    from deploy.view.console import bar, emit_json
    from esvae.machine.outputs import output_folder
    from esvae.metrics.features import PROTOCOLS
    from esvae.metrics.generator import METRICS

    if plot is not None:
        output_folder(plot, option="--plot")
    if protocol not in PROTOCOLS:
        raise ConfigError(f"--protocol '{protocol}' is unknown; choose {' or '.join(PROTOCOLS)}")
    wanted = {"all": METRICS, "none": ()}.get(metrics, tuple(name.strip() for name in metrics.split(",")))
    if unknown := set(wanted) - set(METRICS):
        raise ConfigError(f"--metrics: unknown '{min(unknown)}'; choose of {', '.join(METRICS[1:])}, all or none")
    named = [name.strip() for name in backends.split(",") if name.strip()]
    others = other_backends(named, "--backends") if named else ()
    chosen = {"layers": layers, "attribution": attribution, "noise": noise, "distribution": bool(wanted)}
    with bar("compare") as report:
        found = run_comparison(
            run,
            net,
            CompareOptions(
                images=images,
                seed=seed,
                parts=frozenset(part for part in ALL_PARTS if chosen.get(part, True)),
                metrics=wanted,
                protocol=protocol,  # type: ignore[arg-type]
                force=force,
            ),
            data_root=data_root,
            features=features,
            backends=others,
            cross=cross,
            progress=report,
        )
        written = [] if plot is None else save_comparison_plots(found, run, net, plot)
    if json:
        emit_json({**asdict(found), "plots": written})
    else:
        print_comparison(found)
        if written:
            from deploy.view.console import say

            say("written: " + ", ".join(map(str, written)))
    if any(check.equal is False for check in found.cross):
        raise typer.Exit(1)


def print_comparison(found: Comparison) -> None:
    """The tables."""
    from deploy.view.console import print_table, say

    if not found.belongs:
        say(f"{found.file} was not made from {found.run} as it is; compared all the same, as asked")
    quality = found.quality
    spreads = {"MSE": quality.mse, "PSNR, dB": quality.psnr, "SSIM": quality.ssim}
    print_table(
        f"{found.images} images of the same latent spikes, quantized against float ({quality.identical} identical)",
        ["", "mean [95 %]", "5 %", "median", "95 %", "worst", "image"],
        [
            [name, str(s.mean), *(f"{x:.4g}" for x in (s.p05, s.median, s.p95, s.worst)), str(s.worst_image)]
            for name, s in spreads.items()
            if s is not None
        ],
    )
    if found.layers:
        _print_layers(found)
    if found.attribution is not None and found.attribution.layers:
        part = found.attribution
        rows = [
            [share.name.removeprefix("layer "), str(share.alone), f"{share.share:.1%}", f"{share.added:.1%}"]
            for share in part.layers
        ]
        rows.append(["together, less the sum", "", f"{part.remainder:.1%}", ""])
        print_table(
            f"image MSE with one layer quantized at a time, {part.images} images; all together {part.total}",
            ["layer", "alone [95 %]", "share", "added in order"],
            rows,
        )
    _print_against_real(found)
    for curve in found.noise:
        analogue = [str(x) for x in curve.analogue] or [""] * len(curve.levels)
        print_table(
            f"reconstruction MSE with Gaussian noise on the {curve.kind}, {curve.images} test images",
            ["deviation", "float", "quantized", "difference", "float, real numbers"],
            [
                [f"{level:g}", *_pair(pair), more]
                for level, pair, more in zip(curve.levels, curve.loss, analogue, strict=True)
            ],
        )
    for check in found.cross:
        equal = f"the twin's integers, {check.images} images" if check.equal else f"differs: {check.difference}"
        say(f"{check.backend}: {equal if check.skipped is None else f'skipped: {check.skipped}'}")
    for note in found.notes:
        say(note)


def _print_layers(found: Comparison) -> None:
    from deploy.view.console import print_table, say

    rows = []
    for layer in found.layers:
        figures = (layer.mismatch, layer.missing, layer.extra, layer.rate_float, layer.rate_quantized, layer.rate_rms)
        texts = ["-" if x is None else f"{x:.4f}" for x in figures]
        ends = [layer.membrane_by_step[0], layer.membrane_by_step[-1]] if layer.membrane_by_step else []
        held = layer.layout or "not known"
        rows.append([layer.name.removeprefix("layer "), held, *texts, *([f"{x:.3f}" for x in ends] or ["-", "-"])])
    print_table(
        "layers: shares of spikes that differ, rates a step, and RMS difference of potentials in thresholds",
        ["layer", "held", "differ", "missing", "extra", "rate, float", "quantized", "drift RMS", "first step", "last"],
        rows,
    )
    if (first := found.divergence) is not None:
        text = f"spikes part in {first.images - first.never} of {first.images} images"
        if (at := first.earliest) is not None:
            steps = ", ".join(f"{step}: {count}" for step, count in enumerate(first.by_step) if count)
            names = [layer.name for layer in found.layers]
            by_layer = zip(names, first.by_layer, strict=False)  # the readout has no spikes
            where = ", ".join(f"{name.removeprefix('layer ')}: {count}" for name, count in by_layer if count)
            who = "float" if at.float_fired else "quantized"
            text += (
                f"; first by step {{{steps}}} and by layer {{{where}}}; earliest at image {at.image}, step {at.step}, "
                f"{names[at.layer]}, neuron {at.neuron}, where only {who} fired at {at.float_potential:.4f} thresholds"
            )
        say(text)


def _print_against_real(found: Comparison) -> None:
    from deploy.view.console import print_table, say

    rows = []
    if (pair := found.reconstruction) is not None:
        rows.append(["reconstruction MSE", *_pair(pair), "", ""])
    distribution = found.distribution
    for name, one in ({} if distribution is None else distribution.distances).items():
        bias = "" if one.bias is None else f"{one.bias:.3g}"
        floor = "" if one.floor is None else str(one.floor)
        rows.append([_NAMES.get(name, name), str(one.float), str(one.quantized), str(one.difference), floor, bias])
    if rows:
        against = (
            "" if distribution is None else f", {distribution.images} images against {distribution.real} real ones"
        )
        header = ["", "float [95 %]", "quantized", "difference", "real images", "bias"]
        print_table(f"against the test images of {found.data}{against}", header, rows)
    if distribution is not None:
        for name, reason in distribution.missing.items():
            say(f"{_NAMES.get(name, name)}: {reason}")
        for note in distribution.notes:
            say(note)


def _pair(pair: PairedFigure) -> list[str]:
    return [str(pair.float), str(pair.quantized), str(pair.difference)]

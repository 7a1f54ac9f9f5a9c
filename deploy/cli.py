"""The command line: verbs, each thin over one public function.

Exit status: 0 where what was asked is done and holds, 1 where it failed or does not hold, 2 for wrong usage, 130 when
interrupted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from esvae import __version__
from esvae.errors import ConfigError, EsvaeError

__all__ = ["app", "main"]

app = typer.Typer(
    name="esvae",
    help="Spiking variational autoencoders from PyTorch to Loihi 2.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Seed = Annotated[int, typer.Option(help="Seed of the latent spikes; with the image number it decides each image.")]
Net = Annotated[Path, typer.Argument(metavar="F.net", help="A network file.")]


def _version(show: bool) -> None:
    if show:
        typer.echo(f"esvae-loihi {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Spiking variational autoencoders from PyTorch to Loihi 2."""


@app.command()
def train(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="A YAML file, or the name of a shipped config.")],
    out: Annotated[Path, typer.Option("--out", help="The run directory to write.")],
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the config's.")] = None,
    max_steps: Annotated[int | None, typer.Option(min=1, help="Stop after so many optimizer steps.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Instead of the config's.")] = None,
    json: Json = False,
) -> None:
    """Train a model and leave it in a run directory.

    [bold]Example:[/] esvae train digits --out runs/digits
    """
    from deploy.console import bar, emit_json
    from deploy.console import out as console
    from esvae.config import config_from_dict, load_config
    from esvae.data import load_images
    from esvae.train import evaluate_mse
    from esvae.train import train as run_training

    content = load_config(config).model_dump()
    content["train"].update({k: v for k, v in (("epochs", epochs), ("seed", seed)) if v is not None})
    checked = config_from_dict(content, config)
    with bar(f"train {checked.name}") as report:
        run = run_training(
            checked,
            out,
            max_steps=max_steps,
            progress=lambda step, steps, mse: report(step / steps, f"reconstruction MSE {mse:.4f}"),
        )
    test_mse = evaluate_mse(run.model, load_images(checked.data).test)
    last = run.record["epochs"][-1]
    if json:
        emit_json({"run": out, "steps": run.record["steps"], "last_epoch": last, "test_mse": test_mse})
    else:
        console.print(
            f"{out}: {run.record['steps']} steps, reconstruction MSE {last['reconstruction_mse']:.4f} in training, "
            f"{test_mse:.4f} on held-out images"
        )


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The .net file to write.")],
    weight_bits: Annotated[int, typer.Option(help="2 to 8, sign included.")] = 8,
    lowering: Annotated[str, typer.Option(help="auto, none or dense (every layer unrolled).")] = "auto",
    json: Json = False,
) -> None:
    """Quantize a trained decoder and write it as a Lava-DL netx file.

    [bold]Example:[/] esvae export runs/digits -o decoder.net --weight-bits 8
    """
    from deploy.console import emit_json, print_table
    from deploy.console import out as console
    from esvae.run import load_run
    from export.pipeline import export_run

    if lowering not in ("auto", "none", "dense"):
        raise ConfigError(f"--lowering {lowering}: expected auto, none or dense")
    done = export_run(load_run(run), out, weight_bits=weight_bits, lowering=lowering)  # type: ignore[arg-type]
    size = done.path.stat().st_size
    if json:
        emit_json(
            {
                "file": done.path,
                "bytes": size,
                "content_hash": done.network.content_hash(),
                "lowering": done.lowering,
                "quantization": done.quantization,
                "ranges": done.ranges,
            }
        )
        return
    print_table(
        f"{done.path}: {size:,} bytes, {weight_bits} bit weights, lowering {done.lowering}",
        [
            "layer",
            "scale",
            "bound by",
            "clipped",
            "weight error",
            "bias error",
            "threshold error",
            "|u| max",
            "|v| max",
        ],
        [
            [
                q.layer,
                f"{q.scale:.1f}",
                q.bound_by,
                str(q.clipped),
                f"{q.weight_error:.2%}",
                f"{q.bias_error:.2%}",
                f"{q.threshold_error:.2%}",
                f"{r.u_share:.1%}",
                f"{r.v_share:.1%}",
            ]
            for q, r in zip(done.quantization, done.ranges, strict=True)
        ],
    )
    console.print("errors: relative; |u|, |v|: largest possible, as a share of the register")


@app.command()
def simulate(
    net: Net,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="PNG file for the pictures.")] = None,
    images: Annotated[int, typer.Option("-n", "--images", help="How many.")] = 64,
    seed: Seed = 0,
    backend: Annotated[str, typer.Option(help="twin, reference or lava.")] = "twin",
    latents: Annotated[Path | None, typer.Option(help="Latent spikes (images, steps, features) as .npy.")] = None,
    save_latents: Annotated[Path | None, typer.Option(help="Write the latent spikes that were used, as .npy.")] = None,
    trace: Annotated[Path | None, typer.Option(help="Write u, v and s of every layer and step, as .npz.")] = None,
    json: Json = False,
) -> None:
    """Draw images with a network file, in the chip's integers.

    [bold]Example:[/] esvae simulate decoder.net -n 64 --seed 0 -o images.png --trace trace.npz
    """
    from deploy.console import bar, emit_json
    from deploy.console import out as console
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
            progress=report,
        )
    if json:
        emit_json(result)
    else:
        where = ", ".join(map(str, result.files.values())) or "nothing written (give -o, --trace or --save-latents)"
        console.print(f"{result.images} images in {result.seconds:.2f} s on {result.backend}: {where}")


@app.command()
def verify(
    net: Net,
    images: Annotated[int, typer.Option("-n", "--images", help="How many.")] = 4,
    seed: Seed = 0,
    against: Annotated[str, typer.Option(help="Backends, by comma: reference, lava.")] = "reference,lava",
    json: Json = False,
) -> None:
    """Run the same latent spikes on several backends and compare every integer; exit 0 only if all are equal.

    [bold]Example:[/] esvae verify decoder.net -n 4
    """
    from deploy.backends import BACKENDS
    from deploy.console import bar, emit_json
    from deploy.verify import verify as run_verify

    names: list[Any] = [name.strip() for name in against.split(",") if name.strip()]
    if not names or not set(names) <= set(BACKENDS) - {"twin"}:
        raise ConfigError(f"--against {against}: expected some of reference, lava")
    with bar("verify") as report:
        verdict = run_verify(net, images, seed=seed, against=names, progress=report)
    if json:
        emit_json({"equal": verdict.equal, **vars(verdict)})
    else:
        _print_verdict(verdict)
    if not verdict.equal:
        raise typer.Exit(1)


def _print_verdict(verdict: Any) -> None:
    from deploy.console import out as console

    for name, difference in verdict.differences.items():
        what = f"{verdict.images} images x {verdict.steps} steps x {verdict.layers} layers"
        about = ", ".join(f"{k} {v}" for k, v in verdict.about[name].items())
        if difference is None:
            console.print(
                f"twin = {name}: all {verdict.integers:,} integers equal ({what}) {about and f'[{about}]'}",
                markup=False,
            )
        else:
            console.print(f"twin ≠ {name}: first at {difference}", markup=False)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for everything.")] = Path("demo"),
    config: Annotated[str, typer.Option(help="A YAML file, or the name of a shipped config.")] = "digits",
    max_steps: Annotated[int | None, typer.Option(min=1, help="Cut the training short.")] = None,
    json: Json = False,
) -> None:
    """Train on real digits, export, draw with the chip's arithmetic, and verify against Lava: the whole way.

    [bold]Example:[/] esvae demo --out demo
    """
    from deploy.console import emit_json, print_table, stages
    from deploy.console import out as console
    from deploy.demo import run_demo
    from esvae.config import load_config

    with stages() as start:
        result = run_demo(load_config(config), out, max_steps=max_steps, progress=start)
    if json:
        emit_json({"equal": result.verdict.equal, **vars(result)})
    else:
        total = [sum(getattr(layer, name) for layer in result.counts) for name in ("spikes", "synops")]
        rows = [
            ["reconstruction MSE in training", f"{result.training_mse:.4f}"],
            ["reconstruction MSE on held-out images", f"{result.test_mse:.4f}"],
            ["MSE between float and integer images", f"{result.float_integer_mse:.2e}"],
            ["network file", f"{result.file_bytes:,} bytes"],
            ["spikes an image", f"{total[0]:,.0f}"],
            ["synaptic operations an image", f"{total[1]:,.0f}"],
            *([f"seconds to {stage}", f"{seconds:.1f}"] for stage, seconds in result.seconds.items()),
        ]
        print_table("demo", ["", "measured"], rows)
        _print_verdict(result.verdict)
        if result.skipped:
            console.print(f"Lava skipped: {result.skipped}", markup=False)
        console.print("written: " + ", ".join(result.files.values()), markup=False)
    if not result.verdict.equal:
        raise typer.Exit(1)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the console script; turns a user's mistakes into one line."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = app(args=arguments, standalone_mode=False)
    except EsvaeError as error:
        _fail(str(error), arguments)
        code = 1
    except KeyboardInterrupt:
        _fail("interrupted", arguments)
        code = 130
    except typer.Abort:
        code = 130
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        _fail(error.format_message(), arguments)
        code = 2
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, arguments: list[str]) -> None:
    from deploy.console import emit_json

    line = " ".join(message.split())
    if "--json" in arguments:
        emit_json({"error": line})
    print(f"error: {line}", file=sys.stderr)


if __name__ == "__main__":
    main()

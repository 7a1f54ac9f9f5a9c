"""``esvae train``: a model from a config."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.commands.completion import complete_config, complete_data, complete_run
from deploy.commands.options import DataRoot, Json, Settings, with_data

if TYPE_CHECKING:
    from esvae.run import Run

__all__ = ["train"]


def train(
    config: Annotated[
        str | None,
        typer.Argument(
            metavar="CONFIG",
            help="A YAML file, or the name of a shipped config; with --from, the run's.",
            autocompletion=complete_config,
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="The run directory to write.")] = ...,  # type: ignore[assignment]
    qat: Annotated[
        bool, typer.Option("--qat", help="Train the decoder in the chip's integers; see --weight-bits and --from.")
    ] = False,
    weight_bits: Annotated[
        int | None, typer.Option(min=2, max=8, help="Of the decoder's weights with --qat, sign included; 8.")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="RUN",
            help="Start from this run's weights: half of its epochs, a falling rate.",
            autocompletion=complete_run,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Another data set, resized to the config's size: its name, or a folder of images.",
            autocompletion=complete_data,
        ),
    ] = None,
    data_root: DataRoot = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the config's.")] = None,
    max_steps: Annotated[int | None, typer.Option(min=1, help="Stop after so many optimizer steps.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Instead of the config's.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run, if there is one.")] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace the run in --out, a finished one at the end."),
    ] = False,
    checkpoint_steps: Annotated[
        int | None, typer.Option(min=1, help="Write a checkpoint after so many steps too, not only after every epoch.")
    ] = None,
    accelerator: Annotated[str, typer.Option(help="auto, cpu or gpu.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="Processes, each with a part of every batch.")] = 1,
    precision: Annotated[
        str | None, typer.Option(help="auto, 32, 64, bf16-mixed or 16-mixed, instead of the config's.")
    ] = None,
    settings: Settings = None,
    samples_every: Annotated[int, typer.Option(min=0, help="Epochs between grids of samples; 0 for none.")] = 10,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write TensorBoard's events too.")] = False,
    json: Json = False,
) -> None:
    """Train a model and leave it in a run directory.

    [bold]Example:[/] esvae train digits --out runs/digits

    [bold]Example:[/] esvae train fashion_mnist --out runs/fashion --data-root ~/data --resume

    [bold]Example:[/] esvae train --qat --from runs/digits --weight-bits 4 --out runs/digits_4bit
    """
    from deploy.view.console import bar, emit_json, say, stages, tell
    from deploy.view.prose import training_line
    from esvae.config import config_from_dict, given_by, with_settings
    from esvae.errors import ConfigError
    from esvae.machine.outputs import output_folder

    output_folder(out, option="--out")
    if weight_bits is not None and not qat:
        raise ConfigError("--weight-bits goes with --qat; without it, give the bits to esvae export")
    initial, content = _started(config, start, weight_bits, qat=qat)
    changes = {"epochs": epochs, "seed": seed, "precision": precision}
    content["train"].update({key: value for key, value in changes.items() if value is not None})
    content, data_root = with_data(with_settings(content, settings or ()), data, data_root)
    by = {**({} if precision is None else {"train.precision": f"--precision {precision}"}), **given_by(settings or ())}
    checked = config_from_dict(content, config or str(start), given=by)
    # What trains is imported once all is well that can be wrong without it.
    from esvae.data import load_images
    from esvae.machine.distributed import rank
    from esvae.training import Machine, TrainingCallbacks, check_machine, evaluate_mse, settled_precision
    from esvae.training import train as run_training
    from esvae.training.place import check_place

    machine = Machine(
        accelerator,  # type: ignore[arg-type]
        devices,
        max_steps,
        checkpoint_steps,
        samples_every,
        tensorboard,
        data_root,
    )
    checked, why = settled_precision(checked, gpu=check_machine(machine, checked.train))
    if why and rank() == 0:
        tell(why)
    check_place(out, resume=resume, overwrite=overwrite)
    with bar("images") as report:
        images = load_images(checked.data, data_root, report)
    with stages(shown=rank() == 0) as another:
        report = another(f"train {checked.name}")

        def begin(stage: str) -> None:
            nonlocal report
            report = another(stage)

        run = run_training(
            checked,
            out,
            initial=initial,
            images=images,
            resume=resume,
            overwrite=overwrite,
            machine=machine,
            callbacks=TrainingCallbacks(
                lambda step, steps, mse, epoch: report(step / steps, training_line(mse, epoch)), begin
            ),
        )
    if rank() != 0:
        return
    test_mse = evaluate_mse(run.model, images.test)
    last = run.record["epochs"][-1]
    if json:
        emit_json({"run": out, "steps": run.record["steps"], "last_epoch": last, "test_mse": test_mse})
    else:
        say(
            f"{out}: {run.record['steps']} steps, reconstruction MSE {last['reconstruction_mse']:.4f} in training, "
            f"{test_mse:.4f} on held-out images"
        )


def _started(
    config: str | None, start: Path | None, weight_bits: int | None, *, qat: bool
) -> tuple[Run | None, dict[str, Any]]:
    """The run to start from, if any, and the content of the config to train by."""
    from esvae.config import QuantizationConfig, load_config
    from esvae.errors import ConfigError

    content = None if config is None else load_config(config).model_dump()
    initial = None
    if start is not None:
        from esvae.run import load_run

        initial = load_run(start)
    bits = (weight_bits or QuantizationConfig().weight_bits) if qat else None
    if content is None:
        if initial is None:
            raise ConfigError("give a CONFIG, or a run to start from with --from RUN")
        from esvae.training import fine_tuning

        return initial, fine_tuning(initial.config, bits).model_dump()
    if bits is not None:
        quantization = content["model"]["quantization"] or QuantizationConfig().model_dump()
        quantization["weight_bits"] = bits
        content["model"]["quantization"] = quantization if initial is None else {**quantization, "start": 0.0}
    return initial, content

"""Training a model from a config into a run directory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from esvae.allocator import keep_large_blocks
from esvae.config import Config
from esvae.data import ImageSet, ImageSplits, load_images
from esvae.distributed import processes, rank
from esvae.errors import CheckpointError, ConfigError
from esvae.model import ESVAE
from esvae.run import Run, load_run, read_record, save_record, save_run
from esvae.training.batches import Batches
from esvae.training.evaluate import fit_prior
from esvae.training.fit import CHECKPOINT, Machine, Progress, fit
from esvae.training.monitor import WATCHED, Monitor

__all__ = ["train"]


def train(
    config: Config,
    directory: str | os.PathLike[str],
    *,
    images: ImageSplits | None = None,
    max_steps: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    machine: Machine | None = None,
    samples_every: int = 10,
    tensorboard: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Trains a model and leaves it in ``directory``; the same config gives the same weights on one machine.

    Args:
        config: what to train; ``config.train.seed`` decides the initial weights, the order and all draws.
        directory: the run directory; a finished run in it is replaced.
        images: the data set; the config's where None.
        max_steps: stop after so many optimizer steps.
        resume: continue an interrupted run from its last checkpoint, to the weights that it would have reached
            uninterrupted; begins where there is no checkpoint, returns at once where the run is finished.
        overwrite: replace an unfinished run.
        machine: device, processes, interval of checkpoints; one process on the CPU by default.
        samples_every: epochs between grids of samples in ``samples/``; 0 for none.
        tensorboard: write TensorBoard's events too.
        progress: called after every step.

    Raises:
        EsvaeError: the loss is not finite, or the directory cannot be written.
        CheckpointError: ``directory`` holds an unfinished run, or, to be resumed, one of other settings.
        ConfigError: the batch does not fit the data or the processes.
    """
    keep_large_blocks()
    directory, settings = Path(directory), config.train
    if not resume and rank() == 0:
        _clear(directory, overwrite=overwrite)
    images = images or load_images(config.data)
    training, validation = _held_out(images.train, settings.validation_images)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = ESVAE(config)
    model.arrange()
    batches = Batches(training, settings.batch_size, settings.seed, flip=config.data.flip)
    total = settings.epochs * batches.epoch_steps
    total = total if max_steps is None else min(max_steps, total)
    watched = training.head(WATCHED).tensor()
    mixture = config.model.prior.kind == "mixture"

    def save(record: dict[str, Any], weights: bool) -> None:
        record["finished"] = record["finished"] and not mixture
        if weights:
            save_run(directory, model, record)
        else:
            save_record(directory, record)

    def monitor(first: int) -> Monitor:
        events = tensorboard and rank() == 0
        return Monitor(model, watched, validation, directory, every=samples_every, tensorboard=events, first=first)

    fit(
        model,
        settings,
        batches,
        directory,
        save,
        total=total,
        fingerprint=_fingerprint(config, total),
        machine=machine or Machine(),
        monitor=monitor,
        resume=resume,
        progress=progress,
    )
    if mixture and rank() == 0 and not read_record(directory).get("finished"):
        run = load_run(directory)
        fit_prior(run.model, training.head(config.model.prior.images))
        save_run(directory, run.model, {**run.record, "finished": True})
    if processes() > 1:
        torch.distributed.barrier()
    return load_run(directory)


def _clear(directory: Path, *, overwrite: bool) -> None:
    """Makes room for a new run, unless an unfinished one would be lost."""
    checkpoint = directory / CHECKPOINT
    if not checkpoint.exists():
        return
    if not overwrite and not read_record(directory).get("finished"):
        raise CheckpointError(
            f"{directory}: holds an unfinished run; continue it with --resume, or replace it with --overwrite"
        )
    checkpoint.unlink()


def _held_out(images: ImageSet, count: int) -> tuple[ImageSet, torch.Tensor | None]:
    """The training set without its last ``count`` images, and those as ``(count, C, H, W)``."""
    if not count:
        return images, None
    kept = len(images) - count
    if kept < 1:
        raise ConfigError(f"train.validation_images {count} leaves none of the {len(images)} training images; lower it")
    return images.head(kept), images.batch(torch.arange(kept, len(images)))


def _fingerprint(config: Config, total: int) -> dict[str, Any]:
    """What decides the course of a training: all of the config but its name and length, unless the length shapes it."""
    content = config.model_dump(mode="json")
    del content["name"], content["train"]["epochs"]
    if config.train.schedule != "constant":
        content["train"]["epochs or max_steps"] = total
    return content

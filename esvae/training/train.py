"""Training a model from a config into a run directory."""

from __future__ import annotations

import functools
import operator
import os
import shutil
from typing import Any

import torch

from esvae.config import Config, config_from_dict, load_config
from esvae.data import ImageSet, ImageSplits, load_images
from esvae.errors import ConfigError
from esvae.machine.allocator import keep_large_blocks
from esvae.machine.arguments import shown
from esvae.machine.distributed import processes, rank
from esvae.machine.locks import only_writer
from esvae.metrics.features import features_of, frozen
from esvae.model import ESVAE
from esvae.model.learned import LEARNED_NUMBERS
from esvae.run import Run, is_finished, load_run, save_record, save_run
from esvae.training.batches import Batches
from esvae.training.evaluate import fit_prior
from esvae.training.finish import FOLDER, choose_gain, tune_decoder
from esvae.training.fit import Keeping, Machine, TrainingCallbacks, check_machine, fit
from esvae.training.monitor import WATCHED, Monitor
from esvae.training.place import training_place
from esvae.training.precision import settled_precision

__all__ = ["fine_tuning", "train"]

#: Ends of the names of what says how weights are rounded.
_ROUNDING = (".log_scale", ".active")
#: Keys that came later, and the value of configs before them.
_LATER_KEYS: dict[str, Any] = {
    "model.sampler": "poisson",
    "model.decoder.readout_kernel": 3,
    "model.decoder.readout_init": "uniform",
    "model.learned": [],
    "train.edge_weight": 0.0,
    "train.coarse_weight": 0.0,
    "train.feature_weight": 0.0,
}
#: Fine-tuning takes this share of the epochs that the run took, with this share of its learning rate.
_FINE_EPOCHS, _FINE_RATE = 0.5, 2 / 3


def fine_tuning(config: Config, weight_bits: int | None) -> Config:
    """The config with which a run of ``config`` is trained on: half of its epochs, the learning rate falling from
    two thirds of what it was; with weights of ``weight_bits`` bits from the first step on, or in floats where None.
    """
    content = config.model_dump()
    content["model"]["quantization"] = None if weight_bits is None else {"weight_bits": weight_bits, "start": 0.0}
    content["train"].update(
        epochs=max(1, round(config.train.epochs * _FINE_EPOCHS)),
        learning_rate=config.train.learning_rate * _FINE_RATE,
        schedule="cosine",
        warmup_steps=0,
    )
    return config_from_dict(content, config.name)


def train(
    config: Config | str | os.PathLike[str],
    directory: str | os.PathLike[str],
    *,
    initial: Run | None = None,
    images: ImageSplits | None = None,
    resume: bool = False,
    overwrite: bool = False,
    machine: Machine | None = None,
    callbacks: TrainingCallbacks | None = None,
) -> Run:
    """Trains a model and leaves it in ``directory``; the same config gives the same weights on one machine
    with the same number of threads. Its config there says which precision ``auto`` took.

    Args:
        config: what to train, or the name or path of a config; ``config.train.seed`` decides the initial weights, the
            order and all draws.
        directory: the run directory.
        initial: a run whose weights training starts from, of the same model; its scales are not taken over.
        images: the data set; the config's where None.
        resume: continue an interrupted run from its last checkpoint, to the weights that it would have reached
            uninterrupted; begins where there is no checkpoint, returns at once where the run is finished. With
            ``overwrite`` it continues the training that is to replace a finished run.
        overwrite: replace the run that is there: an unfinished one now, a finished one when the new one is finished.
        machine: device, processes, number of steps, what is written while it trains, where data are; one process on the
            CPU by default.
        callbacks: called as the training goes on.

    Raises:
        EsvaeError: the loss is not finite, the directory cannot be written, or another process writes there.
        CheckpointError: ``directory`` holds a run that may not be replaced, or, to be resumed, one of other settings;
            there is no autoencoder for ``train.feature_weight``.
        ConfigError: the batch does not fit the data or the processes; ``initial`` is of another model; a finish over
            several processes.
    """
    keep_large_blocks()
    if not isinstance(config, Config):
        if not isinstance(config, str | os.PathLike):  # a caller without types
            raise ConfigError(f"config {shown(config)}: expected a Config, or the name or path of one")
        config = load_config(config)
    machine, callbacks = machine or Machine(), callbacks or TrainingCallbacks()
    config, _ = settled_precision(config, gpu=check_machine(machine, config.train))
    encode = frozen(features_of(config.data, machine.data_root)) if config.train.feature_weight else None
    if config.train.finish is not None and machine.devices > 1:
        raise ConfigError("train.finish tunes the decoder in one process; leave --devices out, or set it to null")
    with only_writer(directory if rank() == 0 else None):
        place, settings = training_place(directory, resume=resume, overwrite=overwrite), config.train
        work = place.work
        images = images or load_images(config.data, machine.data_root)
        training, validation = _held_out(images.train, settings.validation_images)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            model = ESVAE(config)
        if initial is not None:
            _take_over(model, initial)
        model.arrange().encode = encode
        batches = Batches(training, settings.batch_size, settings.seed, flip=config.data.flip)
        total = settings.epochs * batches.epoch_steps
        total = total if machine.max_steps is None else min(machine.max_steps, total)
        watched = training.head(WATCHED).tensor()
        mixture = config.model.prior.kind == "mixture"
        last = mixture or settings.finish is not None  # a stage that makes the run what it is to be

        def save(record: dict[str, Any], weights: bool) -> None:
            record["finished"] = record["finished"] and not last
            if weights:
                shutil.rmtree(work / FOLDER, ignore_errors=True)  # of other weights
                save_run(work, model, record)
            else:
                save_record(work, record)

        def monitor(first: int) -> Monitor:
            every, events = machine.samples_every, machine.tensorboard and rank() == 0
            return Monitor(model, watched, validation, work, every=every, tensorboard=events, first=first)

        keeping = Keeping(work, save, _fingerprint(config, total, initial), resume)
        progress = callbacks.progress
        fit(model, settings, batches, keeping, total=total, machine=machine, monitor=monitor, progress=progress)
        if last and rank() == 0 and not is_finished(work):
            run = load_run(work)
            run.model.encode, record = encode, dict(run.record)
            if settings.finish is not None:
                callbacks.stage("tuning the decoder")
                course = {**_fingerprint(config, total, initial), "of": run.weights_hash}
                record["finish"] = tune_decoder(run.model, training, work, course, resume=resume, progress=progress)
            if mixture:
                callbacks.stage("fitting the prior")
                fit_prior(run.model, training.head(config.model.prior.images))
            if settings.finish is not None and settings.finish.gain:
                callbacks.stage("choosing the gain")
                record["finish"]["gain"] = choose_gain(run.model, training)
            save_run(work, run.model, {**record, "finished": True})
        if last and rank() == 0:
            shutil.rmtree(work / FOLDER, ignore_errors=True)
        place.finish()
        if processes() > 1:
            torch.distributed.barrier()
        return load_run(place.directory)


def _held_out(images: ImageSet, count: int) -> tuple[ImageSet, torch.Tensor | None]:
    """The training set without its last ``count`` images, and those as ``(count, C, H, W)``."""
    if not count:
        return images, None
    kept = len(images) - count
    if kept < 1:
        raise ConfigError(f"train.validation_images {count} leaves none of the {len(images)} training images; lower it")
    return images.head(kept), images.batch(torch.arange(kept, len(images)))


def _take_over(model: ESVAE, initial: Run) -> None:
    """The weights of another run, all but what says how they are rounded; numbers of neurons that are learned now and
    were not there begin at the config's."""
    given = {name: value for name, value in initial.model.state_dict().items() if not name.endswith(_ROUNDING)}
    own = {name: value for name, value in model.state_dict().items() if not name.endswith(_ROUNDING)}
    begun = {name for name in own if name.endswith(LEARNED_NUMBERS) and name not in given}
    wanted = {name: tuple(value.shape) for name, value in own.items() if name not in begun}
    found = {name: tuple(value.shape) for name, value in given.items()}
    if wrong := sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)):
        name = wrong[0]
        raise ConfigError(
            f"the run to start from is of another model: '{name}' has shape {found.get(name, 'none')}, expected "
            f"{wanted.get(name, 'none')}; use its own config"
        )
    model.load_state_dict(given, strict=False)


def _fingerprint(config: Config, total: int, initial: Run | None) -> dict[str, Any]:
    """What decides the course of a training: where it started and all of the config but its name and length, unless
    the length shapes it."""
    content = config.model_dump(mode="json")
    del content["name"], content["train"]["epochs"]
    del content["train"]["finish"], content["model"]["prior"]["snap"]  # of what follows the training
    if config.train.schedule != "constant" or config.model.quantization is not None:
        content["train"]["epochs or max_steps"] = total
    if config.model.quantization is None:
        del content["model"]["quantization"]  # so that checkpoints whose config knows no such key can be continued
    for key, value in _LATER_KEYS.items():
        *above, last = key.split(".")
        section = functools.reduce(operator.getitem, above, content)
        if section[last] == value:
            del section[last]  # likewise
    if initial is not None:
        content["from"] = initial.weights_hash
    return content

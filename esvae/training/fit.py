"""The loop: Lightning steps, a record and a usable run after every epoch, and a checkpoint to continue from."""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from lightning.pytorch.strategies import DDPStrategy, Strategy

from esvae.config import TrainConfig
from esvae.errors import ConfigError
from esvae.model.layers import set_half
from esvae.training.batches import Batches, check_spread
from esvae.training.checkpoint import load_state, save_state
from esvae.training.module import OptimizationModule
from esvae.training.monitor import Monitor, write_history
from esvae.training.resume import Progressed, continued, epochs_without_gain

__all__ = ["CHECKPOINT", "Keeping", "Machine", "TrainingCallbacks", "TrainingProgress", "fit"]

CHECKPOINT = "checkpoint.safetensors"

#: Called after every step with: steps done, steps in all, reconstruction MSE of the step, and what is recorded of the
#: last epoch (``rates`` and ``synops`` by layer, and more), empty before the first has ended.
TrainingProgress = Callable[[int, int, float, Mapping[str, Any]], None]
#: Writes the run: its record so far, and whether the weights go with it.
Save = Callable[[dict[str, Any], bool], None]


@dataclass(frozen=True)
class TrainingCallbacks:
    """Who is told how a training goes on; nobody by default.

    Attributes:
        progress: called after every step.
        stage: called when something else than the training's own steps begins, with what it is: ``fitting the prior``.
    """

    progress: TrainingProgress | None = None
    stage: Callable[[str], None] = lambda _: None


@dataclass(frozen=True)
class Machine:
    """Where a training runs, how far, and what it leaves beside the weights; none of it changes a step's numbers, as
    long as one process computes on one device.

    Attributes:
        accelerator: ``auto`` takes a GPU where there is one.
        devices: processes, each with a device (on the CPU, a share of the cores) and an equal part of every batch.
        max_steps: stop after so many optimizer steps.
        checkpoint_steps: write a checkpoint after so many steps too, not only after every epoch.
        samples_every: epochs between grids of samples in ``samples/``; 0 for none.
        tensorboard: write TensorBoard's events too.
        data_root: below which the data set and the autoencoder of ``train.feature_weight`` are looked for, see
            :func:`esvae.data.data_root`.
    """

    accelerator: Literal["auto", "cpu", "gpu"] = "cpu"
    devices: int = 1
    max_steps: int | None = None
    checkpoint_steps: int | None = None
    samples_every: int = 10
    tensorboard: bool = False
    data_root: str | os.PathLike[str] | None = None


@dataclass(frozen=True)
class Keeping:
    """Where a training is kept, and what it goes on from.

    Attributes:
        directory: of the run; gets ``checkpoint.safetensors`` and ``metrics.csv``.
        save: writes the run; called by one process alone.
        fingerprint: what has to be the same for a run to be continued.
        resume: continue from the checkpoint, if there is one.
    """

    directory: Path
    save: Save
    fingerprint: dict[str, Any]
    resume: bool = False


def fit(
    model: torch.nn.Module,
    settings: TrainConfig,
    batches: Batches,
    keeping: Keeping,
    *,
    total: int,
    machine: Machine,
    monitor: Callable[[int], Monitor] | None = None,
    progress: TrainingProgress | None = None,
) -> None:
    """Trains ``model`` and keeps its directory in a state that it can be continued from.

    Args:
        model: has ``losses(images, generator)``, see :class:`~esvae.training.module.Trainable`.
        settings: optimizer, precision, early stopping; its seed decides order and draws.
        batches: of the training set; yields from the first step that is left.
        keeping: where, and whether to continue.
        total: steps in all.
        machine: that it runs on.
        monitor: makes what looks at the model after every epoch, from the number of the first step.
        progress: called after every step.

    Raises:
        EsvaeError: the loss is not finite, a file cannot be written.
        CheckpointError: the checkpoint is damaged or of another training.
        ConfigError: the machine has no such device.
    """
    done, state, path = Progressed(), None, keeping.directory / CHECKPOINT
    if keeping.resume and path.exists():
        state = load_state(path)
        done = continued(model, state, keeping.fingerprint, path)
    stopped = settings.patience is not None and epochs_without_gain(done.history) >= settings.patience
    if done.step >= total or stopped:
        return
    batches.first, batches.total = done.step, total
    module = OptimizationModule(
        model,
        settings,
        done.step,
        total,
        None if state is None else state["optimizer"],  # type: ignore[arg-type]
    )
    if state is not None:
        module.sums = dict(state["sums"])
    keeper = _Keeper(done, state, batches, keeping, machine.checkpoint_steps, monitor, progress)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # Lightning advises worker processes and parallel data loading, which images in memory do not need.
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        trainer = _trainer(settings, machine, total - done.step, keeper)
        half = settings.precision == "bf16-mixed" and not check_machine(machine, settings)
        set_half(module, half, hands_on=not settings.activity_weight)
        try:
            trainer.fit(module, batches)
        except SystemExit:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from None


def check_machine(machine: Machine, settings: TrainConfig) -> bool:
    """Whether a training runs on a GPU.

    Raises:
        ConfigError: there is none, or not as many as are asked for; an arithmetic that the device does not have; a
            batch that cannot be spread evenly.
    """
    if machine.devices > 1:
        check_spread(settings.batch_size, machine.devices)
    if machine.accelerator not in ("auto", "cpu", "gpu"):
        raise ConfigError(f"accelerator '{machine.accelerator}' is unknown; choose auto, cpu or gpu")
    found = torch.cuda.device_count() or int(torch.backends.mps.is_available())
    if machine.accelerator == "gpu" and found < machine.devices:
        built = "" if torch.version.cuda else f" (torch {torch.__version__} has no CUDA: install another build)"
        have = f"{found} of {machine.devices} GPUs are here" if found else "no GPU is here that torch can use"
        raise ConfigError(f"accelerator gpu: {have}{built}; choose cpu, or auto for what there is")
    gpu = machine.accelerator == "gpu" or (machine.accelerator == "auto" and torch.cuda.is_available())
    if settings.precision == "16-mixed" and not gpu:
        raise ConfigError("train.precision 16-mixed needs a GPU; use bf16-mixed or 32 on the CPU")
    return gpu


def _trainer(settings: TrainConfig, machine: Machine, steps: int, keeper: lightning.Callback) -> lightning.Trainer:
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    precision = {"32": "32-true", "64": "64-true"}.get(settings.precision, settings.precision)
    gpu = check_machine(machine, settings)
    if settings.precision == "bf16-mixed" and not gpu:
        precision = "32-true"  # but for what the layers compute in bfloat16 themselves
    strategy: str | Strategy = "auto"
    if machine.devices > 1:
        # Every process keeps the running statistics of the whole batch, so there is nothing to broadcast.
        strategy = DDPStrategy(process_group_backend="nccl" if gpu else "gloo", broadcast_buffers=False)
    try:
        return lightning.Trainer(
            max_steps=steps,
            max_epochs=-1,
            accelerator="gpu" if gpu else "cpu",
            devices=machine.devices,
            strategy=strategy,
            precision=precision,  # type: ignore[arg-type]
            gradient_clip_val=settings.gradient_clip,
            use_distributed_sampler=False,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[keeper],
        )
    except (MisconfigurationException, ValueError) as error:
        raise ConfigError(f"cannot train here: {str(error).splitlines()[0]}") from None


class _Keeper(lightning.Callback):
    """Records, saves, and tells how far it got."""

    def __init__(
        self,
        done: Progressed,
        state: dict[str, Any] | None,
        batches: Batches,
        keeping: Keeping,
        checkpoint_steps: int | None,
        monitor: Callable[[int], Monitor] | None,
        progress: TrainingProgress | None,
    ) -> None:
        self.done, self.state, self.batches, self.keeping = done, state, batches, keeping
        self.checkpoint_steps, self.make_monitor, self.progress = checkpoint_steps, monitor, progress
        self.monitor: Monitor | None = None
        self.counted = done.step % batches.epoch_steps

    def on_fit_start(self, trainer: lightning.Trainer, module: Any) -> None:
        self.batches.spread(trainer.global_rank, trainer.world_size)
        if self.state is not None:
            trainer.precision_plugin.load_state_dict(self.state["precision"])
            module.sums = {name: value.to(module.device) for name, value in module.sums.items()}
        self.state = None
        self.monitor = None if self.make_monitor is None else self.make_monitor(self.done.step)

    def on_train_batch_end(self, trainer: lightning.Trainer, module: Any, *ignored: Any) -> None:
        self.done.step = step = module.step
        self.counted += 1
        if step % self.batches.epoch_steps == 0 or step == module.total:
            self._end_epoch(trainer, module)
        elif self.checkpoint_steps and step % self.checkpoint_steps == 0:
            self._checkpoint(trainer, module)
        if self.progress is not None and module.writes:
            last = self.done.history[-1] if self.done.history else {}
            self.progress(step, module.total, module.last_mse, last)

    def on_train_end(self, trainer: lightning.Trainer, module: Any) -> None:
        if self.monitor is not None:
            self.monitor.close()

    def _end_epoch(self, trainer: lightning.Trainer, module: Any) -> None:
        number = math.ceil(self.done.step / self.batches.epoch_steps)
        losses = {name: float(trainer.strategy.reduce(total)) / self.counted for name, total in module.sums.items()}
        losses["reconstruction_mse"] = losses.pop("reconstruction")
        losses["learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
        record: dict[str, Any] = {"epoch": number, "step": self.done.step, **losses}
        if self.monitor is not None:
            record = self.monitor.epoch(number, self.done.step, losses, writes=module.writes)
        self.done.history.append(record)
        module.sums, self.counted = {}, 0
        idle = epochs_without_gain(self.done.history)
        better = idle == 0
        if better:
            self.done.weights_epoch = number
        stop = module.settings.patience is not None and idle >= module.settings.patience
        # All processes have computed the same, yet one that differed by a rounding would leave the others waiting.
        trainer.should_stop = trainer.strategy.reduce_boolean_decision(stop, all=False)
        if module.writes:
            finished = trainer.should_stop or self.done.step >= module.total
            self.keeping.save(self.record(finished), better)
            write_history(self.keeping.directory / "metrics.csv", self.done.history)
        self._checkpoint(trainer, module)

    def record(self, finished: bool) -> dict[str, Any]:
        done = self.done
        return {
            "epochs": done.history,
            "steps": done.step,
            "weights_epoch": done.weights_epoch,
            "finished": finished,
        }

    def _checkpoint(self, trainer: lightning.Trainer, module: Any) -> None:
        sums = {name: trainer.strategy.reduce(total) for name, total in module.sums.items()}
        if not module.writes:
            return
        state = {
            "fingerprint": self.keeping.fingerprint,
            "step": self.done.step,
            "history": self.done.history,
            "weights_epoch": self.done.weights_epoch,
            "sums": sums,
            "model": module.model.state_dict(),
            "optimizer": trainer.optimizers[0].state_dict(),
            "precision": trainer.precision_plugin.state_dict(),
        }
        save_state(self.keeping.directory / CHECKPOINT, state)

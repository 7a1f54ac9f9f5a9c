"""Training with Lightning: seeded, with the weights on disk after every epoch."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

from esvae.allocator import keep_large_blocks
from esvae.config import Config
from esvae.data import load_images
from esvae.errors import EsvaeError
from esvae.model import ESVAE
from esvae.run import Run, load_run, save_run

__all__ = ["Progress", "evaluate_mse", "fit_prior", "train"]

#: Called after every step with: steps done, steps in all, reconstruction MSE of the step.
Progress = Callable[[int, int, float], None]


@dataclass
class _Epoch:
    """Sums over the steps of an epoch."""

    steps: int = 0
    reconstruction: float = 0.0
    mmd: float = 0.0
    started: float = field(default_factory=time.perf_counter)

    def summary(self, number: int) -> dict[str, float]:
        return {
            "epoch": number,
            "reconstruction_mse": self.reconstruction / self.steps,
            "mmd": self.mmd / self.steps,
            "seconds": round(time.perf_counter() - self.started, 3),
        }


class _Module(lightning.LightningModule):
    """The optimization of an ESVAE, as Lightning wants it."""

    def __init__(self, model: ESVAE, total_steps: int, generator: torch.Generator) -> None:
        super().__init__()
        self.model, self.total_steps, self.draws = model, total_steps, generator
        self.epoch = _Epoch()
        self.history: list[dict[str, float]] = []

    def configure_optimizers(self) -> Any:
        settings = self.model.config.train
        prior = list(self.model.prior.parameters())
        rest = [p for name, p in self.model.named_parameters() if not name.startswith("prior.")]
        groups: list[dict[str, Any]] = [
            {"params": rest},
            {"params": prior, "lr": settings.learning_rate * settings.prior_rate_factor},
        ]
        optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay)
        if settings.schedule == "constant":
            return optimizer
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.total_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: list[torch.Tensor], batch_index: int) -> torch.Tensor:
        losses = self.model.losses(batch[0], self.draws)
        if not torch.isfinite(losses.total):
            raise EsvaeError(f"the loss is not finite at step {self.global_step}; lower train.learning_rate")
        self.epoch.steps += 1
        self.epoch.reconstruction += losses.reconstruction.item()
        self.epoch.mmd += losses.mmd.item()
        self.last_mse = losses.reconstruction.item()
        return losses.total


class _Recorder(lightning.Callback):
    """Writes the run directory after every epoch and tells how far it got after every step."""

    def __init__(self, directory: Path, progress: Progress | None) -> None:
        self.directory, self.progress = directory, progress

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.progress is not None:
            self.progress(trainer.global_step, module.total_steps, module.last_mse)

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        if module.epoch.steps:
            module.history.append(module.epoch.summary(trainer.current_epoch + 1))
            module.epoch = _Epoch()
        save_run(self.directory, module.model, {"epochs": module.history, "steps": trainer.global_step})


def train(
    config: Config,
    directory: str | os.PathLike[str],
    *,
    max_steps: int | None = None,
    progress: Progress | None = None,
) -> Run:
    """Trains a model and leaves it in ``directory``; the same config gives the same weights on one machine.

    Args:
        config: what to train; ``config.train.seed`` decides the initial weights, the order and all draws.
        directory: the run directory; an earlier run in it is replaced.
        max_steps: stop after so many optimizer steps.
        progress: called after every step.

    Raises:
        EsvaeError: the loss is not finite, or the directory cannot be written.
    """
    keep_large_blocks()
    directory = Path(directory)
    settings = config.train
    images = load_images(config.data)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = ESVAE(config)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    order, draws = (torch.Generator().manual_seed(settings.seed + k) for k in (1, 2))
    batches = BatchSampler(RandomSampler(images.train, generator=order), settings.batch_size, drop_last=True)  # type: ignore[arg-type]
    loader = DataLoader(TensorDataset(images.train), sampler=batches, batch_size=None)
    total = settings.epochs * len(batches) if max_steps is None else min(max_steps, settings.epochs * len(batches))
    module = _Module(model, total, draws)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # Lightning advises worker processes and parallel data loading, which images in memory do not need.
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        trainer = lightning.Trainer(
            max_steps=total,
            max_epochs=-1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[_Recorder(directory, progress)],
        )
        try:
            trainer.fit(module, loader)
        except SystemExit:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from None
    if model.prior.mixture:
        fit_prior(model, images.train)
        save_run(directory, model, {"epochs": module.history, "steps": trainer.global_step})
    return load_run(directory)


@torch.inference_mode()
def fit_prior(model: ESVAE, images: torch.Tensor, *, batch: int = 256) -> None:
    """Fits the model's mixture to the posterior rates of training images ``(N, C, H, W)``."""
    was_training = model.training
    model.eval()
    model.prior.fit(torch.cat([model.posterior_rates(part) for part in images.split(batch)]), model.config.train.seed)
    model.train(was_training)


@torch.inference_mode()
def evaluate_mse(model: ESVAE, images: torch.Tensor, *, seed: int = 0, batch: int = 256) -> float:
    """Mean squared error per pixel of reconstructions, pixels in [-1, 1].

    Args:
        model: in evaluation mode.
        images: ``(N, C, H, W)``.
        seed: of the posterior's spikes.
        batch: images to a pass.
    """
    draws = torch.Generator().manual_seed(seed)
    total = 0.0
    for part in images.split(batch):
        total += float((model(part, draws) - part).square().mean()) * len(part)
    return total / len(images)

"""The optimization as Lightning wants it: losses, optimizer, learning rate."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Protocol

import lightning
import torch
from torch import nn

from esvae.arrays import Float
from esvae.config import TrainConfig
from esvae.errors import EsvaeError
from esvae.machine.distributed import rank
from esvae.model.esvae import Losses
from esvae.model.learned import LEARNED_NUMBERS
from esvae.training.batches import step_generator
from esvae.training.resume import optimizer_state

__all__ = ["OptimizationModule", "Trainable", "rate_factor"]

_DECAY = 1 / 4  # share of the steps over which ``stable_decay`` lets the learning rate fall
_UNDECAYED = (".log_scale", *LEARNED_NUMBERS)  # a scale has no reason to be near 1, a decay or threshold none either
_SYNC_STEPS = 20  # on a GPU, steps between looks at the loss, each of which waits for the device


class Trainable(Protocol):
    """What can be trained: a module that has losses."""

    def losses(
        self, images: Float[torch.Tensor, " batch *row"], generator: torch.Generator | None = None
    ) -> Losses: ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...


def rate_factor(settings: TrainConfig, step: int, total: int) -> float:
    """The learning rate of a step over the config's: warm-up, then constant, and where the schedule says so a half
    cosine down to zero."""
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    if settings.schedule == "constant":
        return 1.0
    first = settings.warmup_steps if settings.schedule == "cosine" else total - round(total * _DECAY)
    done = (step - first) / max(1, total - first)
    return (1 + math.cos(math.pi * min(1.0, max(0.0, done)))) / 2


class OptimizationModule(lightning.LightningModule):
    """Counts its steps from ``first``, so that a continued run draws, anneals and records as if it had never stopped.

    Attributes:
        step: number of the next step.
        sums: of the losses since they were last taken, on the device.
    """

    def __init__(self, model: Trainable, settings: TrainConfig, first: int, total: int, state: Any = None) -> None:
        super().__init__()
        self.model, self.settings, self.total, self._state = model, settings, total, state
        self.first, self.step = first, first
        self.sums: dict[str, torch.Tensor] = {}
        self.last_mse = math.nan
        self.begin_step = getattr(model, "begin_step", None)

    def configure_optimizers(self) -> Any:
        settings = self.settings
        named = [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]
        prior = [p for name, p in named if name.startswith("prior.")]
        numbers = [p for name, p in named if name.endswith(_UNDECAYED)]
        groups: list[dict[str, Any]] = [
            {"params": [p for name, p in named if not name.startswith("prior.") and not name.endswith(_UNDECAYED)]},
            {"params": prior, "lr": settings.learning_rate * settings.prior_rate_factor},
            {"params": numbers, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate_factor(settings, self.first + step, self.total)
        )
        if self._state is not None:
            optimizer.load_state_dict(optimizer_state(self._state, optimizer))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: Float[torch.Tensor, " batch *row"], batch_index: int) -> Float[torch.Tensor, ""]:
        if self.begin_step is not None:
            self.begin_step(self.step, self.total)
        # The same on every process, each of which takes its rows of what is drawn.
        losses = self.model.losses(batch, step_generator(self.settings.seed, self.step))
        for name, value in losses.parts().items():
            self.sums[name] = self.sums.get(name, 0) + value.detach()
        if batch.device.type == "cpu" or self.step % _SYNC_STEPS == 0:
            self.last_mse = float(losses.reconstruction.detach())
            if not math.isfinite(float(losses.total.detach())):
                raise EsvaeError(f"the loss is not finite at step {self.step}; lower train.learning_rate")
        self.step += 1
        return losses.total

    @property
    def writes(self) -> bool:
        """Whether this process is the one that writes files."""
        return rank() == 0

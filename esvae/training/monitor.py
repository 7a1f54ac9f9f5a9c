"""What is recorded after every epoch: losses, validation, activity of the layers, a grid of samples, TensorBoard."""

from __future__ import annotations

import csv
import io
import math
import time
from pathlib import Path
from typing import Any

import torch

from esvae.arrays import Float
from esvae.errors import ConfigError
from esvae.machine.files import write_text
from esvae.model import ESVAE
from esvae.model.activity import model_activity
from esvae.model.learned import LearnedLif
from esvae.pictures import image_grid, save_grid
from esvae.training.batches import step_generator
from esvae.training.evaluate import evaluate_mse

__all__ = ["WATCHED", "Monitor", "write_history"]

WATCHED = 256  #: training images that the activity of the layers is taken from
_SAMPLES = 64  # images of a grid
_PURPOSE = 4
#: What is recorded of each layer, and what its columns begin with; the last two where they are learned.
_GROUPS = {"rates": "rate", "dead": "dead", "synops": "synops", "keep": "keep", "threshold": "threshold"}


class Monitor:
    """Looks at a model after an epoch, on the model's device, in evaluation mode, with the same draws every time.

    Args:
        model: what is trained.
        watched: training images whose activity is recorded, ``(N, C, H, W)``.
        validation: images that were held out, or None.
        directory: the run directory; grids go to ``samples/``.
        every: epochs between grids of samples; 0 for none.
        tensorboard: write TensorBoard's events to ``tensorboard/`` too.

    Raises:
        ConfigError: TensorBoard is asked for and missing.
    """

    def __init__(
        self,
        model: ESVAE,
        watched: Float[torch.Tensor, "images channels height width"],
        validation: Float[torch.Tensor, "held_out channels height width"] | None,
        directory: Path,
        *,
        every: int,
        tensorboard: bool,
        first: int,
    ) -> None:
        self.model, self.validation, self.every, self.directory = model, validation, every, directory
        self.watched = watched
        self.events = _events(directory / "tensorboard", first) if tensorboard else None
        self._since = time.perf_counter()

    def epoch(self, number: int, step: int, losses: dict[str, float], *, writes: bool) -> dict[str, Any]:
        """The record of an epoch that ends with ``step`` steps; writes pictures and events where ``writes``."""
        seed = self.model.config.train.seed
        record: dict[str, Any] = {"epoch": number, "step": step, **losses}
        if self.validation is not None:
            record["validation_mse"] = evaluate_mse(self.model, self.validation, seed=seed)
        device = next(self.model.parameters()).device
        dtype = next(self.model.parameters()).dtype
        draws = step_generator(seed, 0, _PURPOSE)
        activity = model_activity(self.model, self.watched.to(device, dtype), draws)
        record["rates"] = {layer.name: round(layer.rate, 5) for layer in activity.layers}
        record["dead"] = {layer.name: round(layer.dead, 5) for layer in activity.layers}
        record["synops"] = {name: round(count, 1) for name, count in activity.synops.items()}
        for name, module in self.model.named_modules():
            for key, value in module.learned.items() if isinstance(module, LearnedLif) else ():
                record.setdefault(key, {})[name.removesuffix("lif")[:-1]] = round(value, 5)
        record["seconds"] = round(time.perf_counter() - self._since, 3)
        self._since = time.perf_counter()
        if writes:
            self._show(number, step, record)
        return record

    def _show(self, number: int, step: int, record: dict[str, Any]) -> None:
        wanted = self.every and number % self.every == 0
        samples = self._samples() if wanted else None
        if samples is not None:
            save_grid(samples, self.directory / "samples" / f"epoch_{number:04d}.png")
        if self.events is not None:
            for name, value in flat(record).items():
                self.events.add_scalar(name, value, step)
            if samples is not None:
                self.events.add_image("samples", image_grid(samples), step, dataformats="HWC")
            self.events.flush()

    @torch.no_grad()
    def _samples(self) -> Any:
        """Images of the prior while it trains (its bottleneck), the same noise every time."""
        model, was_training = self.model, self.model.training
        model.eval()
        draws = step_generator(model.config.train.seed, 1, _PURPOSE)
        images = model.decoder(model.sample(model.prior(_SAMPLES, draws), draws))
        model.train(was_training)
        return images.float().cpu().numpy()

    def close(self) -> None:
        """Ends TensorBoard's writer."""
        if self.events is not None:
            self.events.close()


def _events(folder: Path, first: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ConfigError("TensorBoard is not installed; run: pip install 'esvae-loihi[tensorboard]'") from None
    return SummaryWriter(str(folder), purge_step=first or None)


def flat(record: dict[str, Any]) -> dict[str, float]:
    """A record with the layers' entries as ``rate/decoder.layers.0``."""
    numbers = {name: value for name, value in record.items() if not isinstance(value, dict)}
    for name, prefix in _GROUPS.items():
        numbers.update({f"{prefix}/{layer}": value for layer, value in record.get(name, {}).items()})
    return numbers


def write_history(path: Path, history: list[dict[str, Any]]) -> None:
    """Writes all epochs as a table, whole or not at all."""
    rows = [flat(record) for record in history]
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    table = csv.DictWriter(text, names, restval=math.nan, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_text(path, text.getvalue())

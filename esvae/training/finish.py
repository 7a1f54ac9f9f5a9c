"""What follows the training: the decoder alone learns on, on rates that the encoder gives once, and drawn pictures get
their gain."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from esvae.arrays import Float
from esvae.data import ImageSet
from esvae.metrics.distances import frechet_distance, moments
from esvae.model import ESVAE
from esvae.model.esvae import Losses
from esvae.model.texture import texture_error
from esvae.training.batches import Batches
from esvae.training.checkpoint import load_state
from esvae.training.evaluate import posterior_rates
from esvae.training.fit import CHECKPOINT, Keeping, Machine, TrainingProgress, fit

__all__ = ["FOLDER", "choose_gain", "tune_decoder"]

FOLDER = "finish"  #: below the run directory, for what is needed to go on
_BATCH = 256
_GAINS = tuple(1 + k / 20 for k in range(9))  # that are tried
_EQUAL = 1.03  # distances of less than this ratio are taken for one: other draws change them by as much
_JUDGED = 5000  # pictures that a gain is chosen by, and training images


def tune_decoder(
    model: ESVAE,
    images: ImageSet,
    directory: str | os.PathLike[str],
    course: dict[str, Any],
    *,
    rates: Float[torch.Tensor, "images latents"] | None = None,
    resume: bool = False,
    progress: TrainingProgress | None = None,
) -> dict[str, Any]:
    """Trains the decoder on, with the encoder's rates as they are; ``train.finish`` of the config says how.

    Args:
        model: the weights that the training kept.
        images: the training set.
        directory: of the run; a folder in it keeps what is needed to go on.
        course: what has to be the same for that.
        rates: of the images that are kept, ``(N, latent)``; the encoder's where None.
        resume: go on from there.
        progress: called after every step.

    Returns:
        For the record: the losses by epoch.
    """
    settings = model.config.train
    finish = settings.finish
    assert finish is not None
    shown = images.head(finish.images)
    pairs = _Pairs(shown, posterior_rates(model, shown) if rates is None else rates)
    changes = {"learning_rate": finish.learning_rate, "schedule": "cosine", "warmup_steps": 0, "patience": None}
    batches = Batches(pairs, min(settings.batch_size, len(pairs)), settings.seed)
    folder = Path(directory) / FOLDER
    total = finish.epochs * batches.epoch_steps
    fit(
        _DecoderAlone(model),
        settings.model_copy(update=changes),
        batches,
        Keeping(folder, lambda record, weights: None, {**course, "finish": finish.model_dump()}, resume),
        total=total,
        machine=Machine(),
        progress=progress,
    )
    model.eval()
    return {"epochs": load_state(folder / CHECKPOINT)["history"]}


class _Pairs:
    """Rates and images side by side, as rows of one tensor."""

    def __init__(self, images: ImageSet, rates: torch.Tensor) -> None:
        self.images, self.rates = images, rates

    def __len__(self) -> int:
        return len(self.rates)

    def batch(self, indices: torch.Tensor, flip: torch.Tensor | None = None) -> torch.Tensor:
        """``(B, latent + C * H * W)``."""
        return torch.cat([self.rates[indices], self.images.batch(indices).flatten(1)], 1)


class _DecoderAlone(nn.Module):
    """A model of which only the decoder learns, on rows of :class:`_Pairs`."""

    def __init__(self, model: ESVAE) -> None:
        super().__init__()
        self.model, finish = model, model.config.train.finish
        self.consistency_weight = 0.0 if finish is None else finish.consistency_weight

    def train(self, mode: bool = True) -> _DecoderAlone:
        super().train(mode)
        self.model.encoder.eval()
        return self

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Parameter]]:
        """Of the decoder."""
        yield from self.model.decoder.named_parameters(*args, **kwargs)

    def losses(self, rows: torch.Tensor, generator: torch.Generator | None = None) -> Losses:
        """The mean squared error, and what else is asked of a picture; rates are as they are, so there is no MMD."""
        data = self.model.config.data
        rates, pixels = rows.split([self.model.config.model.latent, rows.shape[1] - self.model.config.model.latent], 1)
        images = pixels.unflatten(1, (data.image_channels, data.image_size, data.image_size))
        drawn = self.model.reconstruction(rates, generator)
        error = nn.functional.mse_loss(drawn, images)
        texture = texture_error(drawn, images, self.model.config.train, self.model.encode)
        if self.consistency_weight:
            seen = self.model.posterior_rates(drawn)
            texture = texture + self.consistency_weight * nn.functional.mse_loss(seen, rates)
        return Losses(error + texture, error, error.new_zeros(()), error.new_zeros(()), texture)


@torch.no_grad()
def choose_gain(model: ESVAE, images: ImageSet) -> dict[str, Any]:
    """Sets the decoder's gain to that at which the model's own encoder sees drawn pictures closest to training images.

    Closest is the least Fréchet distance of posterior rates, over as many drawn pictures as images; of gains that are
    about as good, the lowest is taken.

    Args:
        model: trained, its mixture fitted.
        images: the training set, of which the first ones are taken.

    Returns:
        For the record: the gain, and the distance at each that was tried.
    """
    draws = torch.Generator().manual_seed(model.config.train.seed)
    images = images.head(_JUDGED)
    model.eval()
    real = moments(posterior_rates(model, images).numpy())
    potentials = []
    for start in range(0, len(images), _BATCH):
        rates = model.prior.draw(min(_BATCH, len(images) - start), draws)
        potentials.append(model.decoder.potentials(model.sample(rates, draws)))
    drawn = torch.cat(potentials)
    distances = {
        gain: frechet_distance(moments(posterior_rates(model, ImageSet(torch.tanh(gain * drawn))).numpy()), real)
        for gain in _GAINS
    }
    least = min(distances.values())
    chosen = min(gain for gain, distance in distances.items() if distance <= _EQUAL * least)
    model.decoder.gain.fill_(chosen)
    return {"chosen": chosen, "distances": {f"{gain:.2f}": value for gain, value in distances.items()}}

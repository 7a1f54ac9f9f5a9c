"""Training FAD's autoencoder, once for each data set."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional

from esvae.config import DataConfig
from esvae.data import ImageSplits
from esvae.errors import DataError
from esvae.machine.files import write_text
from esvae.metrics.features import LARGE_FROM, FeatureNet, save_features
from esvae.run import versions
from esvae.training.batches import Batches

__all__ = ["train_features"]

_GREY_CODE, _COLOUR_CODE = 64, 128  # of the published autoencoders
_BATCH, _RATE = 250, 1e-3


def train_features(
    config: DataConfig,
    images: ImageSplits,
    path: Path,
    *,
    epochs: int = 20,
    seed: int = 0,
    progress: Callable[[int, int, float], None] | None = None,
) -> tuple[FeatureNet, float]:
    """Trains the autoencoder on the training images and writes it to ``path``, with a record of how beside it.

    AdamW at 1e-3, batches of 250, as published (there for 150 epochs).

    Returns:
        The network, and its reconstruction MSE on the test images.

    Raises:
        DataError: fewer training images than a batch.
    """
    if len(images.train) < _BATCH:
        raise DataError(f"FAD's autoencoder needs at least {_BATCH} training images, got {len(images.train)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        code = _GREY_CODE if config.image_channels == 1 else _COLOUR_CODE
        net = FeatureNet(config.image_channels, code, large=config.image_size >= LARGE_FROM)
    net.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(net.parameters(), lr=_RATE)
    batches = Batches(images.train, _BATCH, seed)
    batches.total = epochs * batches.epoch_steps
    started = time.perf_counter()
    for step, batch in enumerate(batches, 1):
        wanted = _resized(batch, net.size).contiguous(memory_format=torch.channels_last)
        loss = functional.mse_loss(net(wanted), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if progress is not None:
            progress(step, len(batches), loss.item())
    seconds = time.perf_counter() - started
    net.eval()
    with torch.inference_mode():
        total = 0.0
        for batch in images.test.split(_BATCH):
            wanted = _resized(batch, net.size)
            total += float((net(wanted) - wanted).square().mean()) * len(batch)
    test_mse = total / len(images.test)
    save_features(path, net)
    record = {
        "data": config.model_dump(mode="json"),
        "epochs": epochs,
        "seed": seed,
        "test_mse": test_mse,
        "seconds": round(seconds, 1),
        "versions": versions(),
    }
    write_text(path.with_suffix(".json"), json.dumps(record, indent=1) + "\n")
    return net, test_mse


def _resized(images: torch.Tensor, size: int) -> torch.Tensor:
    if images.shape[-1] == size:
        return images
    return functional.interpolate(images, (size, size), mode="bilinear", antialias=True)

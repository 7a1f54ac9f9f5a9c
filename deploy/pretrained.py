"""What is known of the runs that come with the project, without loading a model."""

from __future__ import annotations

from dataclasses import dataclass

from esvae.config import load_config
from esvae.machine.documents import load_json
from esvae.shipped import RUN_FILES, pretrained_names, run_folder

__all__ = ["PretrainedRun", "pretrained_runs"]


@dataclass(frozen=True)
class PretrainedRun:
    """A run that comes with the project.

    Attributes:
        name: to be named ``pretrained:NAME``.
        data: the data set that it was trained on.
        image: ``(channels, height, width)`` of the pictures.
        latent: neurons.
        time_steps: of the window of an image.
        decoder: its kind, and the feature maps of its spiking layers.
        epochs: of the training.
        training_mse: mean square error of reconstructing the training images, pixels in [-1, 1], in the last epoch.
        bytes: of its files.
    """

    name: str
    data: str
    image: tuple[int, int, int]
    latent: int
    time_steps: int
    decoder: str
    epochs: int
    training_mse: float | None
    bytes: int


def pretrained_runs() -> list[PretrainedRun]:
    """All of them, by name."""
    return [_described(name) for name in pretrained_names()]


def _described(name: str) -> PretrainedRun:
    folder = run_folder(f"pretrained:{name}")
    config = load_config(folder / RUN_FILES[0])
    epochs = load_json(folder / RUN_FILES[2]).get("epochs", [])
    size, decoder = config.data.image_size, config.model.decoder
    return PretrainedRun(
        name,
        config.data.name,
        (config.data.image_channels, size, size),
        config.model.latent,
        config.model.time_steps,
        f"{decoder.kind} {'-'.join(map(str, decoder.channels))}",
        epochs[-1]["epoch"] if epochs else 0,
        epochs[-1]["reconstruction_mse"] if epochs else None,
        sum(path.stat().st_size for path in folder.iterdir()),
    )

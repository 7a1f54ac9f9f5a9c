"""The autoencoder in whose code FAD is measured (FSVAE, Kamata et al., AAAI 2022), and what it makes of images.

Stride-2 3x3 convolutions with batch norm and leaky ReLU, 32-64-128-256 (and 512 for 64x64 images), a linear layer to
the code; the way back mirrors it. Parameters have the names of the published weights, so that these can be loaded.
"""

from __future__ import annotations

import itertools
import os
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from esvae.arrays import Float
from esvae.config import DataConfig
from esvae.data import data_root
from esvae.errors import CheckpointError
from esvae.machine.tensors import check_state, load_tensors, save_tensors
from esvae.machine.torch_archive import read_torch_archive

__all__ = [
    "LARGE_FROM",
    "PROTOCOLS",
    "FeatureNet",
    "Protocol",
    "extract",
    "features_of",
    "features_path",
    "frozen",
    "load_features",
    "save_features",
]

Protocol = Literal["eval", "published"]
#: ``eval``: batch norm with its running statistics, so that an image's code is its own; ``published``: batch norm with
#: the statistics of each batch of 256, as the published figures were made.
PROTOCOLS: tuple[str, ...] = get_args(Protocol)

_CHANNELS = (32, 64, 128, 256)
_LARGE_CHANNELS = (*_CHANNELS, 512)
_BATCH = 256
LARGE_FROM = 64  #: pixels of images that it is ``large`` for


def _block(synapse: nn.Module, channels: int) -> nn.Sequential:
    return nn.Sequential(synapse, nn.BatchNorm2d(channels), nn.LeakyReLU())


def _up(before: int, after: int) -> nn.Module:
    return nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=1)


class FeatureNet(nn.Module):
    """An autoencoder of 32x32 or 64x64 images.

    Args:
        image_channels: 1 or 3.
        code: features of an image (64 for grey, 128 for colour images in the published ones).
        large: for 64x64 images instead of 32x32.
    """

    def __init__(self, image_channels: int, code: int, *, large: bool = False) -> None:
        super().__init__()
        channels = _LARGE_CHANNELS if large else _CHANNELS
        self.image_channels, self.code, self.large, self.size = image_channels, code, large, 64 if large else 32
        down = itertools.pairwise((image_channels, *channels))
        self.encoder = nn.Sequential(*(_block(nn.Conv2d(a, b, 3, stride=2, padding=1), b) for a, b in down))
        self.latent_layer = nn.Linear(4 * channels[-1], code)
        self.decoder_input = nn.Linear(code, 4 * channels[-1])
        self.decoder = nn.Sequential(*(_block(_up(a, b), b) for a, b in itertools.pairwise(channels[::-1])))
        last = channels[0]
        self.final_layer = nn.Sequential(
            *_block(_up(last, last), last), nn.ConvTranspose2d(last, image_channels, 3, padding=1), nn.Tanh()
        )

    def encode(
        self, images: Float[torch.Tensor, "images channels height width"]
    ) -> Float[torch.Tensor, "images features"]:
        """Codes ``(N, code)`` of images ``(N, C, H, W)`` in [-1, 1], resized where they are of another size."""
        if images.shape[-1] != self.size:
            images = functional.interpolate(images, (self.size, self.size), mode="bilinear", antialias=True)
        codes: torch.Tensor = self.latent_layer(self.encoder(images).flatten(1))
        return codes

    def forward(
        self, images: Float[torch.Tensor, "images channels height width"]
    ) -> Float[torch.Tensor, "images channels size size"]:
        """Reconstructions ``(N, C, size, size)``."""
        codes = self.encode(images)
        back: torch.Tensor = self.final_layer(self.decoder(self.decoder_input(codes).unflatten(1, (-1, 2, 2))))
        return back


def frozen(
    net: FeatureNet,
) -> Callable[[Float[torch.Tensor, "images channels height width"]], Float[torch.Tensor, "images features"]]:
    """The codes of an autoencoder as a function of images that a loss can be taken of: its batch norm with running
    statistics, its weights without gradients; it follows the images to their device and precision."""
    net = net.eval().requires_grad_(False)
    return lambda images: net.to(images.device, images.dtype).encode(images)


@torch.no_grad()
def extract(
    net: FeatureNet,
    batches: Iterable[torch.Tensor],
    protocol: Protocol = "eval",
    seen: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Codes of images.

    Args:
        net: left as it was.
        batches: of images ``(B, C, H, W)`` in [-1, 1]; with ``published``, of 256, the last of which counts only where
            it has at least two.
        protocol: how batch norm works.
        seen: called with the number of images so far.

    Returns:
        float64 ``(N, code)``.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol '{protocol}' is unknown; choose {' or '.join(PROTOCOLS)}")
    state = {name: value.clone() for name, value in net.state_dict().items()}
    was_training = net.training
    net.train(protocol == "published")
    found, count = [], 0
    for images in batches:
        if protocol == "published" and len(images) < 2:
            continue
        found.append(net.encode(images.to(net.latent_layer.weight.device)).double().cpu().numpy())
        count += len(images)
        if seen is not None:
            seen(count)
    net.load_state_dict(state)  # batch norm in training mode moves its running statistics
    net.train(was_training)
    return np.concatenate(found)


def save_features(path: str | os.PathLike[str], net: FeatureNet) -> None:
    """Writes the weights as safetensors, whole or not at all."""
    save_tensors(path, {name: value.contiguous() for name, value in net.state_dict().items()})


def load_features(path: str | os.PathLike[str]) -> FeatureNet:
    """Reads weights: safetensors, or a published ``.pth`` (nothing in it is executed).

    Raises:
        CheckpointError: missing, damaged, or of another network.
    """
    path = Path(path)
    if not path.exists():
        raise CheckpointError(f"{path}: no such autoencoder; make one with: esvae fad train CONFIG")
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder, expected the file of a FAD autoencoder")
    try:
        state = load_tensors(path).tensors if path.suffix == ".safetensors" else read_torch_archive(path)
        code, image_channels = len(state["latent_layer.weight"]), state["encoder.0.0.weight"].shape[1]
        net = FeatureNet(image_channels, code, large="encoder.4.0.weight" in state)
        check_state(net.state_dict(), state)
    except (AttributeError, CheckpointError, LookupError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        if isinstance(error, KeyError):
            reason = f"{reason} is missing"
        raise CheckpointError(f"{path}: not the weights of a FAD autoencoder ({reason}); train one anew") from None
    net.load_state_dict(state)
    return net.eval()


def features_path(config: DataConfig, root: str | os.PathLike[str] | None = None) -> Path:
    """Where the autoencoder of a data set is kept: ``fad/`` below the data root, by name, size and channels."""
    large = config.image_size >= LARGE_FROM
    size = 64 if large else 32
    return data_root(root) / "fad" / f"{config.name}_{size}x{size}x{config.image_channels}.safetensors"


def features_of(config: DataConfig, root: str | os.PathLike[str] | None = None) -> FeatureNet:
    """The autoencoder of a data set, from below the data root.

    Raises:
        CheckpointError: there is none, with the command that makes it; or it is damaged.
    """
    path = features_path(config, root)
    if not path.is_file():
        named = "CONFIG" if config.name == "folder" else config.name
        below = "" if root is None else f" --data-root {shlex.quote(os.fspath(root))}"
        raise CheckpointError(f"{path}: no FAD autoencoder; make one with: esvae fad train {named}{below}")
    return load_features(path)

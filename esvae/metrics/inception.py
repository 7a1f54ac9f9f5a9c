"""FID and Inception score through torchmetrics, in the features of torch-fidelity's Inception, which are downloaded."""

from __future__ import annotations

import socket
import warnings
from collections.abc import Callable, Iterable

import torch

from esvae.arrays import Float
from esvae.errors import DataError
from esvae.machine.fetching import told_downloads

__all__ = ["inception_scores"]

_SECONDS = 20  # of silence after which the download is given up


def inception_scores(
    real: Iterable[Float[torch.Tensor, "_batch channels height width"]],
    generated: Iterable[Float[torch.Tensor, "_batch channels height width"]],
    device: torch.device,
    report: Callable[[str], None] = lambda how_far: None,
) -> dict[str, float]:
    """FID, and the Inception score with its spread over ten parts, of images in [-1, 1].

    Args:
        real, generated: batches ``(B, C, H, W)``.
        device: where Inception runs.
        report: called while its weights are fetched, with how much of them has come.

    Returns:
        ``fid``, ``inception_score``, ``inception_score_std``.

    Raises:
        DataError: a package or Inception's weights are missing and cannot be fetched.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SECONDS)
    try:
        from torchmetrics.image.fid import FrechetInceptionDistance
        from torchmetrics.image.inception import InceptionScore

        with told_downloads(torch.hub, report):
            distance, score = FrechetInceptionDistance().to(device), InceptionScore().to(device)
    except (ImportError, OSError, RuntimeError) as error:  # no network is an OSError
        reason = " ".join(str(error).split())[:120]
        raise DataError(
            f"FID and Inception score need torch-fidelity and its Inception weights ({reason}); run once with "
            "a network: pip install 'esvae-loihi[inception]'"
        ) from None
    finally:
        socket.setdefaulttimeout(before)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for batch in real:
            distance.update(_bytes(batch).to(device), real=True)
        for batch in generated:
            pixels = _bytes(batch).to(device)
            distance.update(pixels, real=False)
            score.update(pixels)
        mean, spread = score.compute()
    return {"fid": float(distance.compute()), "inception_score": float(mean), "inception_score_std": float(spread)}


def _bytes(images: torch.Tensor) -> torch.Tensor:
    """uint8 ``(B, 3, H, W)``."""
    pixels = ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return pixels.expand(-1, 3, -1, -1)

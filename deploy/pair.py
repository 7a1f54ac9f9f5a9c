"""Both decoders' images of the same latent spikes, chunk by chunk: a run's own, in floats, beside its file's integers.

Everything that sets the two side by side takes them from here, so that all mean the same pictures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch

from esvae.arrays import Float32, Shaped, UInt8
from esvae.model.decoder import Decoder
from export.ir import Network
from sim.readout import images_from_potentials, potentials_from_spikes
from sim.sampler import draw_latents
from sim.twin.engine import Engine, LayerActivity

__all__ = ["ImagePairs", "Keep", "float_images", "image_pairs", "in_chunks", "pair_of", "prior_chunks"]

#: What is kept of the integer side beside the images: ``nothing``, its ``spikes`` or its ``traces`` too.
Keep: TypeAlias = Literal["nothing", "spikes", "traces"]


@dataclass(frozen=True, eq=False)
class ImagePairs:
    """A chunk.

    Attributes:
        first: number of its first image.
        latents: what entered both, 0 or 1.
        floats, integers: pictures of the run's decoder and of the network.
        activity: of the network's layers, in file order; empty where nothing of it was to be kept.
    """

    first: int
    latents: Shaped[np.ndarray, "images steps latents"]
    floats: Float32[np.ndarray, "images channels height width"]
    integers: Float32[np.ndarray, "images channels height width"]
    activity: tuple[LayerActivity, ...]


def prior_chunks(
    network: Network, seed: int, images: int, size: int
) -> Iterator[UInt8[np.ndarray, "images steps latents"]]:
    """Latent spikes of images 0, 1, ... from the network's prior, ``size`` images at a time."""
    for start in range(0, images, size):
        yield draw_latents(network, seed, np.arange(start, min(start + size, images)))


def in_chunks(values: Shaped[np.ndarray, " rows *rest"], size: int) -> Iterator[Shaped[np.ndarray, " size *rest"]]:
    """The rows of an array, ``size`` at a time."""
    return (values[start : start + size] for start in range(0, len(values), size))


def image_pairs(
    decoder: Decoder,
    engine: Engine,
    chunks: Iterable[Shaped[np.ndarray, "_images steps latents"]],
    keep: Keep = "nothing",
) -> Iterator[ImagePairs]:
    """Draws chunks of latent spikes with both decoders; images are numbered on from one chunk to the next.

    Args:
        decoder: of the run.
        engine: of the network, which needs a readout.
        chunks: of latent spikes.
        keep: of the network's activity.
    """
    first = 0
    for latents in chunks:
        yield pair_of(decoder, engine, latents, keep, first=first)
        first += len(latents)


def pair_of(
    decoder: Decoder,
    engine: Engine,
    latents: Shaped[np.ndarray, "images steps latents"],
    keep: Keep = "nothing",
    *,
    first: int = 0,
) -> ImagePairs:
    """One chunk of :func:`image_pairs`."""
    network = engine.network
    activity: tuple[LayerActivity, ...] = ()
    if keep == "nothing" and network.spike_readout is None:
        potentials = engine.final_potentials(latents)
    else:
        (layers,) = engine.run(latents, trace=keep == "traces", chunk=len(latents))
        activity, potentials = tuple(layers), layers[-1].v_end
        if network.spike_readout is not None:
            potentials = potentials_from_spikes(network, layers[-1].spikes.numpy().swapaxes(0, 1))
    integers = images_from_potentials(network, potentials)
    return ImagePairs(first, latents, float_images(decoder, latents), integers, activity)


@torch.inference_mode()
def float_images(
    decoder: Decoder, latents: Shaped[np.ndarray, "images steps latents"]
) -> Float32[np.ndarray, "images channels height width"]:
    """Pictures of latent spikes, whole or real numbers."""
    raster = torch.from_numpy(np.ascontiguousarray(latents.swapaxes(0, 1))).float()
    return decoder(raster).numpy()  # type: ignore[no-any-return]

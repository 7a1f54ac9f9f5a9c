"""Networks of the ESVAE paper (Zhan et al., arXiv 2310.14839) in integers, with weights drawn at random."""

from __future__ import annotations

from functools import cache

import numpy as np

from export.ir import Conv, ConvTranspose, Lif, Network

__all__ = ["cifar10_decoder"]

NEURON = Lif(4096, 3072, 60)
READOUT = Lif(4096, 819, 131_071)


@cache
def cifar10_decoder(seed: int = 0) -> Network:
    """The paper's decoder for CIFAR-10: 128 latents, 256x2x2, doubled four times, three channels."""
    rng = np.random.default_rng(seed)

    def weight(*shape: int) -> np.ndarray:
        return (rng.integers(1, 128, shape) * 2 * rng.choice([-1, 1], shape)).astype(np.int32)

    layers: list[Conv | ConvTranspose] = [ConvTranspose(weight(128, 256, 2, 2), None, NEURON)]
    for before, after in ((256, 128), (128, 64), (64, 32), (32, 32)):
        layers.append(ConvTranspose(weight(before, after, 3, 3), None, NEURON, (2, 2), (1, 1), (1, 1), (1, 1)))
    layers.append(Conv(weight(3, 32, 3, 3), None, READOUT, padding=(1, 1)))
    return Network((128, 1, 1), tuple(layers), time_steps=16)

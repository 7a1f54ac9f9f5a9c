"""The networks that the benchmarks run, with random weights: what an integer costs does not depend on what it means.

Thresholds and biases are set so that layers are about as active as trained ones.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from export.ir import Conv, ConvTranspose, Dense, Flatten, ImageReadout, Layer, Lif, Network, Prior

__all__ = ["classifier", "latents", "mnist_decoder", "signed_weights", "subpixel_decoder", "subpixel_generator"]

#: ESVAE's neuron keeps a quarter of its potential, its readout four fifths; the readout never fires.
_VOLTAGE_DECAY, _READOUT = 3072, Lif(4096, 819, 131071)


def _hidden(threshold: int) -> Lif:
    return Lif(4096, _VOLTAGE_DECAY, threshold)


def _even(rng: np.random.Generator, *shape: int, top: int = 60) -> np.ndarray:
    return rng.integers(-top, top + 1, shape) * 2


def signed_weights(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Even weights of which none is 0, so that every synapse counts."""
    return (rng.integers(1, 100, shape) * rng.choice([-2, 2], shape)).astype(np.int32)


def subpixel_decoder(
    latent: int = 32, channels: int = 64, maps: int = 16, steps: int = 16, depth: int = 5, seed: int = 0
) -> Network:
    """The chip-native decoder: a full-padding convolution to 8x8, then 3x3 convolutions on that grid."""
    rng = np.random.default_rng(seed)
    grow = (channels / 64) ** 0.5  # sums of more random weights are larger
    layers: list[Layer] = [
        Conv(_even(rng, channels, latent, 8, 8), rng.integers(-50, 50, channels), _hidden(200), padding=(7, 7))
    ]
    for _ in range(depth - 2):
        bias, threshold = rng.integers(-100, 60, channels), _hidden(int(500 * grow))
        layers.append(Conv(_even(rng, channels, channels, 3, 3), bias, threshold, padding=(1, 1)))
    layers.append(Conv(_even(rng, maps, channels, 3, 3, top=8), None, _READOUT, padding=(1, 1)))
    return Network((latent, 1, 1), tuple(layers), time_steps=steps)


def subpixel_generator(seed: int = 0) -> Network:
    """The chip-native decoder with a prior, whose latents fire as often as :func:`latents`, and a readout of 32x32."""
    network = subpixel_decoder(seed=seed)
    weight = np.random.default_rng(seed).normal(size=(1, network.latents, network.latents)).astype(np.float32)
    bias = np.full((1, network.latents), -1, np.float32)
    prior = Prior(0.2 * weight, bias, np.ones(1, np.float32))
    return replace(network, prior=prior, readout=ImageReadout(4096.0, (1, 32, 32), upscale=4))


def mnist_decoder(latent: int = 32, steps: int = 16, seed: int = 0) -> Network:
    """The paper's decoder for MNIST at 32x32: transposed convolutions from 256 maps of 2x2 up, a last 3x3."""
    rng = np.random.default_rng(seed)
    widths = [256, 128, 64, 32, 32]
    first = ConvTranspose(_even(rng, latent, widths[0], 2, 2), rng.integers(-50, 50, widths[0]), _hidden(200))
    layers: list[Layer] = [first]
    for before, after in itertools.pairwise(widths):
        weight, bias = _even(rng, before, after, 3, 3), rng.integers(-100, 60, after)
        threshold = _hidden(int(250 * (before / 64) ** 0.5))
        layers.append(ConvTranspose(weight, bias, threshold, (2, 2), (1, 1), output_padding=(1, 1)))
    layers.append(Conv(_even(rng, 1, widths[-1], 3, 3, top=8), None, _READOUT, padding=(1, 1)))
    return Network((latent, 1, 1), tuple(layers), time_steps=steps)


def classifier(pixels: int = 784, hidden: int = 512, steps: int = 16, seed: int = 0) -> Network:
    """A dense network behind a flatten layer."""
    rng = np.random.default_rng(seed)
    layers = (
        Flatten(),
        Dense(_even(rng, hidden, pixels), None, _hidden(1500)),
        Dense(_even(rng, hidden, hidden), None, _hidden(1500)),
        Dense(_even(rng, 10, hidden, top=8), None, _READOUT),
    )
    return Network((1, 28, pixels // 28), layers, time_steps=steps)


def latents(network: Network, images: int, rate: float = 0.3, seed: int = 1) -> np.ndarray:
    """Input spikes uint8 ``(images, steps, *input shape)``."""
    rng = np.random.default_rng(seed)
    shape = (images, network.time_steps or 1, *network.input_shape)
    return (rng.random(shape, np.float32) < rate).astype(np.uint8)

"""What makes a generator of a network: the prior that feeds it, and the picture that its potentials become."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from esvae.chip.formats import DEFAULT_RATE_BITS
from esvae.errors import NetFileError
from export.ir import limits
from export.ir.nodes import Shape

__all__ = ["ImageReadout", "Prior", "check_prior", "check_readout"]


@dataclass(frozen=True, eq=False)
class Prior:
    """The generator's rates: ``r = sigmoid(weight[k] @ n + bias[k])`` with ``n`` standard normal (ESVAE, section 3.3).

    Attributes:
        weight: ``(components, latents, noise)`` float32; the paper's prior has one component.
        bias: ``(components, latents)`` float32.
        share: ``(components,)`` float32, the probability of each component.
        rate_bits: fractional bits of the integer rate code that the sampler compares against.
    """

    weight: np.ndarray
    bias: np.ndarray
    share: np.ndarray
    rate_bits: int = DEFAULT_RATE_BITS


@dataclass(frozen=True)
class ImageReadout:
    """How the last layer's membrane potentials become a picture: ``tanh(v / unit)``, then a permutation of pixels.

    Attributes:
        unit: potential that stands for 1.0 before tanh (64 times the layer's weight scale).
        image_shape: ``(C, H, W)`` of the picture, values in [-1, 1].
        upscale: the last layer's ``(C * upscale^2, H / upscale, W / upscale)`` maps are interleaved as torch's
            ``pixel_shuffle`` does; 1 leaves them as they are.
    """

    unit: float
    image_shape: Shape
    upscale: int = 1


def check_prior(prior: Prior, input_shape: Shape) -> None:
    """Raises NetFileError unless the prior gives one rate for each input."""
    latents, components = math.prod(input_shape), len(prior.share)
    if prior.weight.size > limits.PRIOR_ELEMENTS:
        raise NetFileError(f"prior weight {prior.weight.shape}: at most {limits.PRIOR_ELEMENTS:,} numbers")
    if prior.weight.ndim != 3 or prior.weight.shape[:2] != (components, latents):
        raise NetFileError(f"prior weight {prior.weight.shape}, expected ({components}, {latents}, noise)")
    if prior.bias.shape != (components, latents):
        raise NetFileError(f"prior bias {prior.bias.shape}, expected ({components}, {latents})")
    if prior.share.ndim != 1 or not (prior.share >= 0).all() or not prior.share.sum() > 0:
        raise NetFileError("prior share: expected one probability for each component")
    if not 1 <= prior.rate_bits <= limits.RATE_BITS:
        raise NetFileError(f"rate_bits {prior.rate_bits}: expected 1 to {limits.RATE_BITS}")


def check_readout(readout: ImageReadout, shape: Shape) -> None:
    """Raises NetFileError unless the last layer's ``shape`` gives the readout's picture."""
    channels, height, width = readout.image_shape
    r = readout.upscale
    if not (readout.unit > 0 and math.isfinite(readout.unit)):
        raise NetFileError(f"readout unit {readout.unit}: expected a positive number")
    if not 1 <= r <= max(height, width):
        raise NetFileError(f"readout upscale {r}: expected 1 to {max(height, width)}")
    maps = (channels * r * r, height // r, width // r)
    if shape != maps and shape != (math.prod(maps),):
        raise NetFileError(f"readout: the last layer {shape} does not give {readout.image_shape} images")

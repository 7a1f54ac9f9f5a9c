"""The encoder of a run for the chip: the image as a constant current, then spiking layers down to the latents.

Direct coding shows the same image at every step, so the first convolution is the same at every step too. The host does
it once, in integers; what it gives is the bias current of the first layer's neurons, 13 bits a neuron. From there on
everything is spikes. A pixel ``x`` in [-1, 1] is the whole number ``p = round(255 x)``, which is exact for images of 8
bits; zero, as the convolution pads, stays zero::

    current = (sum(weight * p) + bias + 2^(shift - 1)) >> shift
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from esvae.arrays import Int32, Int64
from esvae.chip.formats import BIAS, THRESHOLD
from esvae.chip.rounding import round_neuron
from esvae.errors import ConfigError, DataError
from esvae.run import Run
from export.frontends.esvae_run import float_layer
from export.ir import Conv, Flatten, FloatLif, Lif, Network, Shape
from export.ir.floats import FloatLayer, FloatNetwork
from export.passes import LayerQuantization, fold_norm, quantize

__all__ = ["PIXEL_SCALE", "DirectCoding", "IntegerEncoder", "integer_encoder"]

#: Whole numbers to 1.0 of a pixel: an 8 bit pixel ``k`` is ``x = k / 127.5 - 1 = (2 k - 255) / 255``.
PIXEL_SCALE = 255
#: Fractional bits of the host's weights.
_SHIFT = 12


@dataclass(frozen=True, eq=False)
class DirectCoding:
    """The host's convolution and the neurons that its result drives.

    Attributes:
        weight, bias: of the convolution, scaled by ``2^shift``.
        stride, padding: ``(y, x)``.
        shift: by which sums are brought down to the bias register.
        neuron: of the first layer.
        image_shape: ``(I, H, W)``.
        shape: ``(O, H', W')`` of the first layer.
        scale: integers of the current for 1.0 of the float layer.
    """

    weight: Int64[np.ndarray, "outputs inputs kh kw"]
    bias: Int64[np.ndarray, " outputs"]
    stride: tuple[int, int]
    padding: tuple[int, int]
    shift: int
    neuron: Lif
    image_shape: Shape
    shape: Shape
    scale: float

    def currents(self, images: np.ndarray) -> Int32[np.ndarray, "images outputs rows columns"]:
        """What drives the first layer at every step, from images ``(N, I, H, W)`` in [-1, 1].

        Raises:
            DataError: images of another shape, or outside [-1, 1].
        """
        images = np.asarray(images, np.float64)
        if images.shape[1:] != self.image_shape or not len(images):
            raise DataError(f"images have shape {images.shape}, expected (N, {', '.join(map(str, self.image_shape))})")
        if not (np.abs(images) <= 1).all():
            raise DataError("images must be within [-1, 1]")
        pixels = torch.from_numpy(np.rint(images * PIXEL_SCALE))
        # Whole numbers far below 2^53, so that float64 sums are exact in any order.
        sums = functional.conv2d(
            pixels, torch.from_numpy(self.weight.astype(np.float64)), None, self.stride, self.padding
        )
        whole = sums.numpy().astype(np.int64) + self.bias[:, None, None] + (1 << (self.shift - 1))
        currents: np.ndarray = (whole >> self.shift).astype(np.int32)
        return currents


@dataclass(frozen=True, eq=False)
class IntegerEncoder:
    """An integer encoder.

    Attributes:
        coding: image to the first layer's currents and neurons.
        network: the layers behind it; its input shape is the first layer's, its output ``(latents, 1, 1)``.
        quantization: what quantizing did to the layers of ``network``.
    """

    coding: DirectCoding
    network: Network
    quantization: list[LayerQuantization]

    @property
    def depth(self) -> int:
        """Layers with neurons, the first included."""
        return self.network.depth + 1

    @property
    def latents(self) -> int:
        """How many latent neurons."""
        return math.prod(self.network.shapes[-1])


def integer_encoder(run: Run, *, weight_bits: int = 8) -> IntegerEncoder:
    """The integer encoder of a run; the run is left as it is.

    The last layer, dense on a map, becomes a convolution whose kernel covers the map.

    Raises:
        HardwareRangeError, ConfigError: as :func:`export.passes.quantize`.
    """
    config, encoder = run.config, run.model.encoder
    if config.model.neuron.current_keep:
        raise ConfigError(
            "model.neuron.current_keep: an image enters as a constant bias, which no current keeps; "
            "the encoder of such a run cannot be exported, its decoder can"
        )
    size, channels = config.data.image_size, config.data.image_channels
    image_shape = (channels, size, size)
    layers = [float_layer(layer) for layer in encoder.layers]
    network = fold_norm(
        FloatNetwork(image_shape, (*layers, Flatten(), float_layer(encoder.latent)), config.model.time_steps)
    )
    stem, *rest, last = (layer.synapse for layer in network.synapses)
    if not isinstance(stem, Conv):
        raise ConfigError(f"encoder: its first layer is {stem.kind}, expected conv, which the host computes")
    shape = stem.output_shape(image_shape)
    before = shape
    for layer in rest:
        before = layer.output_shape(before)
    covering = Conv(last.weight.reshape(-1, *before), last.bias, last.neuron)
    behind = tuple(FloatLayer(each) for each in (*rest, covering))
    integer, report = quantize(FloatNetwork(shape, behind, config.model.time_steps), weight_bits)
    return IntegerEncoder(_coding(stem, image_shape, shape), integer, report)


def _coding(stem: Conv[FloatLif], image_shape: Shape, shape: Shape) -> DirectCoding:
    bias = np.zeros(len(stem.weight)) if stem.bias is None else stem.bias
    # The largest current that any image could give, rounding included, still fits the register.
    reach = float((np.abs(stem.weight).sum(axis=(1, 2, 3)) + np.abs(bias)).max())
    scale = min((BIAS.max - 1) / reach, THRESHOLD.max / stem.neuron.threshold)
    fine = scale * (1 << _SHIFT)
    return DirectCoding(
        weight=np.rint(stem.weight * (fine / PIXEL_SCALE)).astype(np.int64),
        bias=np.rint(bias * fine).astype(np.int64),
        stride=stem.stride,
        padding=stem.padding,
        shift=_SHIFT,
        neuron=round_neuron(stem.neuron, scale),
        image_shape=image_shape,
        shape=shape,
        scale=scale,
    )

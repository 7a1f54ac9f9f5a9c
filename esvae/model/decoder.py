"""The two generators: the paper's transposed convolutions, and the chip-native sub-pixel one."""

from __future__ import annotations

import itertools
import math

import torch
from torch import nn
from torch.nn import functional

from esvae.arrays import Float
from esvae.chip.neuron import FloatLif
from esvae.config import Config
from esvae.model.expand import Expand
from esvae.model.interpolate import interpolate_pixels
from esvae.model.layers import SpikingLayer, SpikingLayers
from esvae.model.learned import LearnedLif
from esvae.model.quantized import Rounding
from esvae.model.upsample import Upsample

__all__ = ["Decoder"]


class Decoder(nn.Module):
    """Latent spikes to images: spiking layers, a last layer without spikes, and a leaky readout through tanh.

    Attributes:
        layers: the spiking layers; the first takes ``(T * N, latent)``: a linear layer (``transposed``) or an
            :class:`~esvae.model.expand.Expand` convolution (``subpixel``).
        readout: the last convolution, whose sums the readout neurons integrate.
        readout_lif: what the readout's neurons keep; they do not fire.
        upscale: the readout's maps are interleaved by this factor (torch's ``pixel_shuffle``).
        gain: of drawn pictures, which multiplies the potential; 1 unless ``train.finish`` chose another.
    """

    gain: Float[torch.Tensor, ""]

    def __init__(self, config: Config) -> None:
        super().__init__()
        model, size = config.model, config.data.image_size
        decoder, neuron = model.decoder, model.neuron
        base, channels = decoder.base_size, decoder.channels
        self.base_size, self.time_steps = base, model.time_steps
        self.linear = decoder.kind == "transposed"
        self.upscale = 1 if self.linear else size // base

        def rounding(width: float = math.inf) -> Rounding | None:
            bits = model.quantization
            return None if bits is None else Rounding(bits.weight_bits, model.time_steps, width)

        def spiking(synapse: nn.Module, features: int) -> SpikingLayer:
            rounded = rounding(neuron.surrogate_width)
            return SpikingLayer(synapse, features, neuron, rounded, learned=model.learned)

        if self.linear:
            first = spiking(nn.Linear(model.latent, channels[0] * base**2), channels[0] * base**2)
        else:
            first = spiking(Expand(model.latent, channels[0], base), channels[0])
        later = []
        for before, after in itertools.pairwise(channels):
            synapse = Upsample(before, after) if self.linear else nn.Conv2d(before, after, 3, padding=1)
            later.append(spiking(synapse, after))
        self.layers = SpikingLayers([first, *later])
        side = decoder.readout_kernel
        self.readout = nn.Conv2d(channels[-1], config.data.image_channels * self.upscale**2, side, padding=side // 2)
        if decoder.readout_init == "smooth":
            interpolate_pixels(self.readout, self.upscale)
        self.readout_rounding = rounding()
        kept = {"keep"} if "readout_keep" in model.learned else ()
        self.readout_lif = LearnedLif(FloatLif(model.readout_keep, math.inf), kept)
        finish = config.train.finish
        self.register_buffer("gain", torch.ones(()), persistent=finish is not None and finish.gain)

    @property
    def in_integers(self) -> bool:
        """Whether the forward pass computes in the chip's integers."""
        return self.readout_rounding is not None and bool(self.readout_rounding.active)

    def start_rounding(self) -> None:
        """Computes in the chip's integers from now on (see :class:`~esvae.model.quantized.Rounding`)."""
        for layer in self.layers:
            assert layer.rounding is not None
            layer.rounding.start(layer.synapse, layer.norm)
        assert self.readout_rounding is not None
        self.readout_rounding.start(self.readout, None)

    def forward(
        self, spikes: Float[torch.Tensor, "steps images latents"]
    ) -> Float[torch.Tensor, "images channels height width"]:
        """Drawn images in [-1, 1], ``(N, C, H, W)``, from latent spikes ``(T, N, latent)``."""
        return torch.tanh(self.gain * self.potentials(spikes))

    def potentials(
        self, spikes: Float[torch.Tensor, "steps images latents"]
    ) -> Float[torch.Tensor, "images channels height width"]:
        """The readout's potential after the last step, as image: ``(N, C, H, W)``, before tanh."""
        if self.in_integers:
            return self._integrated(self.hidden(spikes)[-1], len(spikes))
        steps, x = len(spikes), spikes.flatten(0, 1)
        shares = self._shares(steps, spikes)
        if shares.requires_grad:  # which the sum that is taken along with the neurons does not hand on
            return self._read_steps(self.hidden(spikes)[-1], shares)
        last = len(self.layers) - 1
        for index in range(last):
            x = self._layer(index, x, steps)
        # The readout is linear, so the weighted sum over time goes through the last layer once.
        return self._read(self._layer(last, x, steps, shares), shares)

    def read(self, spikes: Float[torch.Tensor, " rows *layer"]) -> Float[torch.Tensor, "images channels height width"]:
        """Drawn images ``(N, C, H, W)`` from spikes of the last spiking layer ``(T * N, *layer shape)``."""
        return torch.tanh(self.gain * self.integrated(spikes))

    def integrated(
        self, spikes: Float[torch.Tensor, " rows *layer"]
    ) -> Float[torch.Tensor, "images channels height width"]:
        """:meth:`potentials` from spikes of the last spiking layer ``(T * N, *layer shape)``."""
        if self.in_integers:
            return self._integrated(spikes, self.time_steps)
        return self._read_steps(spikes, self._shares(self.time_steps, spikes))

    def hidden(self, spikes: Float[torch.Tensor, "steps images latents"]) -> list[Float[torch.Tensor, " rows *_layer"]]:
        """Spikes of every spiking layer, each ``(T * N, *layer shape)``, from latent spikes ``(T, N, latent)``."""
        steps, x = len(spikes), spikes.flatten(0, 1)
        seen = []
        for index in range(len(self.layers)):
            x = self._layer(index, x, steps)
            seen.append(x)
        return seen

    def _layer(self, index: int, x: torch.Tensor, steps: int, shares: torch.Tensor | None = None) -> torch.Tensor:
        x = self.layers[index](x, steps, shares=shares)
        if x.ndim == 2:
            x = x.unflatten(1, (-1, self.base_size, self.base_size))
        return x

    def _shares(self, steps: int, like: torch.Tensor) -> torch.Tensor:
        """What is left of each step's input in the potential after the last, ``(T,)``."""
        after = torch.arange(steps - 1, -1, -1, device=like.device, dtype=like.dtype)
        shares: torch.Tensor = self.readout_lif.keep**after
        return shares

    def _integrated(self, spikes: torch.Tensor, steps: int) -> torch.Tensor:
        """The integer potential as image, from the last layer's spikes; step by step, as truncation is not linear."""
        assert self.readout_rounding is not None
        return self._picture(self.readout_rounding.potentials(self.readout, self.readout_lif, spikes, steps))

    def _read_steps(self, spikes: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        """The potential as image, from the last layer's spikes ``(T * N, *layer shape)``."""
        over_time = spikes.to(shares.dtype).unflatten(0, (len(shares), -1))
        return self._read(torch.tensordot(shares, over_time, 1), shares)

    def _read(self, summed: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        """The potential as image, from the weighted sum of the last layer's spikes ``(N, *layer shape)``."""
        assert self.readout.bias is not None
        out = functional.conv2d(summed, self.readout.weight, None, padding=self.readout.padding)
        return self._picture(out + (self.readout.bias * shares.sum())[:, None, None])

    def _picture(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps ``(N, C * upscale^2, h, w)`` as ``(N, C, size, size)``."""
        return functional.pixel_shuffle(maps, self.upscale) if self.upscale > 1 else maps

"""The float decoder layer by layer: its spikes, its membrane potentials, and what the rest makes of given spikes.

Spikes and images are the run's own decoder's. Membrane potentials, which its fused kernels do not give out, are
computed from the folded weights that an export starts from, for the spikes that entered, and set to zero where the
decoder's own spikes are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from esvae.arrays import Float, Integer, Shaped, UInt8
from esvae.model.decoder import Decoder
from esvae.run import Run
from export.float_layer import sums_of
from export.frontends import from_run
from export.ir import ConvTranspose, FloatLif, Shape
from export.ir.floats import FloatLayer
from export.ir.geometry import is_point, matrix
from export.passes import fold_norm

__all__ = ["FloatDecoder", "Membrane"]


@dataclass(frozen=True, eq=False)
class Membrane:
    """One float layer over a window.

    Attributes:
        spikes: uint8 ``(images, steps, C, H, W)``; None of the readout.
        before: potential before the reset, float32, likewise.
    """

    spikes: UInt8[np.ndarray, "images steps channels height width"] | None
    before: Float[np.ndarray, "images steps channels height width"]

    @property
    def after(self) -> Float[np.ndarray, "images steps channels height width"]:
        """Potential after the reset of neurons that fired."""
        return self.before if self.spikes is None else np.where(self.spikes, np.float32(0), self.before)


class FloatDecoder:
    """A run's decoder, by layers.

    Attributes:
        shapes: ``(C, H, W)`` of every layer with neurons, the readout last, whose maps are not yet interleaved.
        decoder: the run's own, which draws the images.
        names: of the layers, as a file would call them that holds them as they were trained.
        units: what a potential of each layer counts in: its threshold, of the readout what stands for 1.0 before tanh.
        weights: of all layers, folded, in the order in which the float layer holds them.
    """

    def __init__(self, run: Run) -> None:
        self.decoder: Decoder = run.model.decoder
        folded = fold_norm(from_run(run))
        self._layers: tuple[FloatLayer, ...] = folded.synapses
        shape = folded.input_shape if len(folded.input_shape) == 3 else (*folded.input_shape, 1, 1)
        self.input_shape: Shape = shape
        self.shapes: list[Shape] = []
        self.names = list(folded.labels)
        for layer in self._layers:
            shape = layer.synapse.output_shape(shape)
            self.shapes.append(shape)
        self.units = [self._neuron(k).threshold for k in range(len(self._layers) - 1)]
        self.units.append(1 / float(self.decoder.gain))
        self.weights = [np.asarray(layer.synapse.weight) for layer in self._layers]
        self._synapses = [
            replace(layer.synapse, weight=layer.synapse.weight.astype(np.float32)) for layer in self._layers
        ]

    @torch.inference_mode()
    def hidden(self, latents: Shaped[np.ndarray, "images steps latents"]) -> list[Float[torch.Tensor, " rows *_layer"]]:
        """Spikes of every spiking layer, ``(T * N, C, H, W)``, of latent spikes ``(N, T, latents)``."""
        return self.decoder.hidden(_raster(latents))

    @torch.inference_mode()
    def onward(
        self, layer: int, spikes: Integer[np.ndarray, "images steps *layer"]
    ) -> Float[np.ndarray, "images channels height width"]:
        """Images ``(N, C, H, W)`` that the layers behind ``layer`` make of its spikes ``(N, T, C, H, W)``."""
        steps = spikes.shape[1]
        x = torch.from_numpy(np.ascontiguousarray(spikes.swapaxes(0, 1))).float().flatten(0, 1)
        for following in list(self.decoder.layers)[layer + 1 :]:
            x = following(x, steps)
        return self.decoder.read(x).numpy()  # type: ignore[no-any-return]

    @torch.inference_mode()
    def membranes(self, latents: Shaped[np.ndarray, "images steps latents"]) -> list[Membrane]:
        """Every layer's spikes and potentials, the readout's last."""
        images, steps = latents.shape[:2]
        entering = _raster(latents).unflatten(2, self.input_shape)
        found = []
        spikes: torch.Tensor | None
        for k, spikes in enumerate([*self.hidden(latents), None]):
            current = self._current(k, entering)
            fired = None if spikes is None else spikes.unflatten(0, (steps, images))
            before = _potentials(self._neuron(k), current, self._bias(k), fired)
            kept = None if fired is None else _by_image(fired.to(torch.uint8))
            found.append(Membrane(kept, _by_image(before)))
            if fired is not None:
                entering = fired
        return found

    def copies(self, k: int, factor: tuple[int, int] | None) -> int | None:
        """How often each weight of layer ``k`` stands in a file that holds the layer in cells of ``factor`` pixels;
        None of one that holds it unrolled."""
        if factor is None:
            return None
        synapse = self._layers[k].synapse
        stride = synapse.stride if isinstance(synapse, ConvTranspose) else (1, 1)
        return max(1, math.prod(factor) // math.prod(stride))

    def _neuron(self, k: int) -> FloatLif:
        return self._layers[k].synapse.neuron

    def _bias(self, k: int) -> torch.Tensor:
        bias = self._layers[k].synapse.bias
        values = torch.zeros(1) if bias is None else torch.from_numpy(bias).float()
        return values if values.ndim == 3 else values[:, None, None]

    def _current(self, k: int, x: torch.Tensor) -> torch.Tensor:
        """Sums of weights ``(steps, images, *shape)`` of spikes ``(steps, images, C, H, W)``, without bias."""
        synapse = self._synapses[k]
        before = tuple(x.shape[2:])
        if is_point(before):
            weight = torch.from_numpy(matrix(synapse, before))
            return (x.flatten(2) @ weight.T).unflatten(2, self.shapes[k])
        return sums_of(synapse, x)


def _raster(latents: np.ndarray) -> torch.Tensor:
    """``(N, T, latents)`` as float32 ``(T, N, latents)``."""
    return torch.from_numpy(np.ascontiguousarray(latents.swapaxes(0, 1))).float()


def _by_image(raster: torch.Tensor) -> np.ndarray:
    return raster.transpose(0, 1).contiguous().numpy()  # type: ignore[no-any-return]


def _potentials(
    neuron: FloatLif, current: torch.Tensor, bias: torch.Tensor, fired: torch.Tensor | None
) -> torch.Tensor:
    """Potentials before the reset ``(T, N, ...)`` of a neuron that fired as ``fired`` says."""
    current = current.contiguous()
    out = torch.empty_like(current)
    i = v = torch.zeros_like(current[0])
    for t, arriving in enumerate(current):
        i = arriving if neuron.current_keep == 0 else neuron.current_keep * i + arriving
        out[t] = torch.add(i + bias, v, alpha=neuron.keep)
        v = out[t] if fired is None else out[t].masked_fill(fired[t] > 0, 0)
    return out

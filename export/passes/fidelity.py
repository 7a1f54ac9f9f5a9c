"""Pass: does every layer still fire in integers as it did in floats?

Rounding errors of weights do not tell: one weight a thousand times too large makes the scale so small that all others
and the threshold round to nothing, and the weights' error is smaller than ever, as it is relative to that one. So
calibration spikes pass through both networks, and each layer's rate in integers is held against its rate in floats.

A layer has *changed* where the difference of its rates, over images,

- is beyond :data:`SIGMAS` of its paired standard errors: of a Gaussian error, chance exceeds that once in 1.7 million
  layers, and both networks see the same spikes, so that what images differ by cancels; and
- is more than :data:`SHARE` of the float rate.

It is *silent* where it changed and integers keep at most :data:`LEFT` of its spikes, *saturated* where at most that is
kept of the steps without a spike: hardly anything of what enters is passed on. A readout has no spikes. Its pictures
have changed where the error's root mean square is beyond the spread of the float pictures over images, as then one
picture for all images, their mean, would be no worse; it is silent where at most :data:`LEFT` of that spread is left.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import torch

from esvae.arrays import Shaped
from export.float_layer import fire, sums_of
from export.integer_layer import ends_of, spikes_of
from export.ir import Flatten, FloatLif, Network, Synapse
from export.ir.floats import FloatNetwork
from export.passes.calibrate import calibration_spikes

__all__ = ["LEFT", "SHARE", "SIGMAS", "LayerFidelity", "RateVerdict", "fidelity_spikes", "layer_fidelity"]

SIGMAS = 5.0
#: Of the float rate. Of sound networks' layers, 4 bits change a few percent, 2 bits up to this.
SHARE = 0.25
#: Of the float layer's spikes, or of its steps without one.
LEFT = 0.05

RateVerdict: TypeAlias = Literal["kept", "changed", "silent", "saturated"]

#: Images that are judged, fewer of large networks, whose rates are means of more neurons; and the seed of their draw,
#: another than calibration's, so that it is not judged on what it was fitted to.
_FEWEST, _IMAGES, _SEED = 8, 32, 1
#: Neurons times steps of all images; of one layer and the images that are held at a time.
_WORK, _HELD = 1 << 24, 1 << 22
#: Half a level of 8 bits, of pictures in [-1, 1]: a spread below it cannot be seen.
_VISIBLE = 1 / 255


@dataclass(frozen=True)
class LayerFidelity:
    """One layer in floats and in integers, on the same spikes; each network runs on by itself.

    Attributes:
        layer: its label.
        images: that it was judged on.
        rate_float, rate_integer: spikes a step and neuron; None of the readout.
        standard_error: of ``rate_integer - rate_float``, over images; 0 of a single one. None of the readout.
        picture_error: of the readout: root mean square of its pictures' error over the spread of the float pictures,
            or over half a level of 8 bits where that is more; None of other layers.
        verdict: ``kept``, ``changed``, ``silent`` or ``saturated``; see above.
    """

    layer: str
    images: int
    rate_float: float | None
    rate_integer: float | None
    standard_error: float | None
    picture_error: float | None
    verdict: RateVerdict

    @property
    def lost(self) -> bool:
        """Whether hardly anything of what enters is passed on."""
        return self.verdict in ("silent", "saturated")

    @property
    def departure(self) -> float:
        """How far it is from the float layer: the difference of rates over the float rate; the error of pictures."""
        if self.rate_float is None or self.rate_integer is None:
            return self.picture_error or 0.0
        gap = abs(self.rate_integer - self.rate_float)
        return gap / self.rate_float if self.rate_float else math.inf if gap else 0.0


def fidelity_spikes(
    network: FloatNetwork, given: Shaped[np.ndarray, "images steps *input"] | None
) -> Shaped[np.ndarray, "judged steps *input"] | None:
    """Spikes to judge with: the first images of those given, else the prior's; None of a network without a prior."""
    if given is None and (network.prior is None or network.time_steps is None):
        return None
    shape, neurons = network.input_shape, 0
    for layer in network.layers:
        shape = layer.output_shape(shape)
        neurons += math.prod(shape)
    steps = network.time_steps if given is None else given.shape[1]
    images = min(max(_WORK // (neurons * (steps or 1)), _FEWEST), _IMAGES)
    return calibration_spikes(network, images, _SEED) if given is None else given[:images]


@torch.no_grad()
def layer_fidelity(
    network: FloatNetwork, plain: Network, spikes: Shaped[np.ndarray, "images steps *input"]
) -> list[LayerFidelity]:
    """Every layer with neurons, in order.

    Args:
        network: folded.
        plain: what it became in integers, its layers as they are, within the bounds of their registers.
        spikes: 0 or 1, ``(images, steps, *input shape)``.
    """
    images, steps = spikes.shape[:2]
    widest = max(math.prod(shape) for shape in (plain.input_shape, *plain.shapes))
    size = max(1, _HELD // (steps * widest))
    parts = [list(_layers(network, plain, spikes[start : start + size])) for start in range(0, images, size)]
    found = []
    for k, where in enumerate(network.labels):
        floats, integers = (np.concatenate([part[k][side] for part in parts]) for side in (0, 1))
        drawn = network.readout is not None and k == len(network.labels) - 1
        found.append((_of_pictures if drawn else _of_rates)(where, floats, integers))
    return found


def _layers(network: FloatNetwork, plain: Network, spikes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """By layer, in floats and in integers: each image's rate ``(images,)``, of the readout its pictures."""
    raster = torch.from_numpy(np.ascontiguousarray(spikes.swapaxes(0, 1))).float()
    exact = rounded = raster.reshape(*raster.shape[:2], *network.input_shape)
    last = network.synapses[-1]
    for layer, integer, where in zip(network.layers, plain.layers, plain.all_labels, strict=True):
        if isinstance(layer, Flatten) or isinstance(integer, Flatten):
            exact, rounded = exact.flatten(2), rounded.flatten(2)
            continue
        potentials, fired = _fired(layer.synapse, exact)
        if layer is last and network.readout is not None and plain.readout is not None:
            ends = potentials[-1] / network.readout.unit, ends_of(integer, rounded, where) / plain.readout.unit
            yield torch.tanh(ends[0]).flatten(1).numpy(), torch.tanh(ends[1]).flatten(1).numpy()
            return
        exact, rounded = fired.float(), spikes_of(integer, rounded, where)
        yield _rates(exact), _rates(rounded)


def _fired(layer: Synapse[FloatLif], raster: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """:func:`fire`, with sums in float32."""
    return fire(layer, sums_of(replace(layer, weight=layer.weight.astype(np.float32)), raster))


def _rates(raster: torch.Tensor) -> np.ndarray:
    rates: np.ndarray = raster.flatten(2).mean((0, 2), dtype=torch.float64).numpy()
    return rates


def _of_rates(where: str, floats: np.ndarray, integers: np.ndarray) -> LayerFidelity:
    images, gap = len(floats), integers - floats
    error = float(gap.std(ddof=1) / math.sqrt(images)) if images > 1 else 0.0
    rate, other = float(floats.mean()), float(integers.mean())
    verdict: RateVerdict = "kept"
    if abs(other - rate) > max(SIGMAS * error, SHARE * rate):
        lost: RateVerdict = "silent" if other <= LEFT * rate else "saturated"
        verdict = lost if other <= LEFT * rate or 1 - other <= LEFT * (1 - rate) else "changed"
    return LayerFidelity(where, images, rate, other, error, None, verdict)


def _of_pictures(where: str, floats: np.ndarray, integers: np.ndarray) -> LayerFidelity:
    spread, left = (math.sqrt(float(pictures.var(axis=0).mean())) for pictures in (floats, integers))
    error = math.sqrt(float(np.square(integers - floats).mean()))
    error /= max(spread, _VISIBLE)
    verdict: RateVerdict = "kept"
    if spread > _VISIBLE:
        verdict = "silent" if left <= LEFT * spread else "changed" if error > 1 else "kept"
    return LayerFidelity(where, len(floats), None, None, None, error, verdict)

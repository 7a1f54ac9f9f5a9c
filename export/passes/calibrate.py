"""Pass: chooses the scale of every layer that brings none.

===============  ====================================================================================================
``max``          the largest weight meets the largest level
``percentile``   the 99.5th percentile of the weights' magnitudes does; those above are clipped
``mse``          rounding and clipping change the weights least, in mean square
``spikes``       the layer's spikes differ least from the float layer's, on calibration spikes that pass through both
                 networks; of the readout, the picture
``feedback``     as ``mse``, then each weight takes the level at which errors cancel over what the layer receives of
                 calibration spikes (see :mod:`export.passes.feedback`); best with few bits
===============  ====================================================================================================

The last two go through the layers in order, each fed what the integer layers before it give, so that they also take
those layers' errors into account. Not touched: layers whose scale is given, flatten layers.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch

from esvae.arrays import UInt8
from esvae.chip.formats import STATE_SHIFT
from esvae.chip.rounding import IntegerValues, WeightGrid, round_layer
from esvae.chip.scales import max_scale, mse_scale, percentile_scale
from esvae.errors import ConfigError
from export.float_layer import fire, sums_of
from export.integer_layer import ends_of, spikes_of
from export.ir import Flatten, FloatLif, Prior, RecurrentDense, Synapse, all_weights, with_values
from export.ir.floats import FloatLayer, FloatNetwork
from export.passes.feedback import fed_back
from export.passes.quantize import float_values

__all__ = ["CALIBRATIONS", "Calibration", "calibrate", "calibration_spikes"]

Calibration: TypeAlias = Literal["max", "percentile", "mse", "spikes", "feedback"]
CALIBRATIONS: tuple[str, ...] = get_args(Calibration)

#: Shares of the largest weight that ``spikes`` tries as the largest level.
_TRIED = tuple(np.linspace(1.0, 0.25, 26).tolist())
#: Images that calibration spikes are drawn for, where nobody says.
_IMAGES, _SEED = 128, 0


def calibrate(
    network: FloatNetwork,
    bits: int,
    method: Calibration = "mse",
    spikes: np.ndarray | None = None,
) -> FloatNetwork:
    """Returns the network with a scale in every layer.

    Args:
        network: folded.
        bits: of the weights.
        method: see above.
        spikes: for ``spikes`` and ``feedback``: 0 or 1, ``(images, steps, *input shape)``; drawn from the prior where
            None.

    Raises:
        ConfigError: an unknown method; one that needs spikes without a prior and without spikes.
        HardwareRangeError: as :func:`~esvae.chip.rounding.round_layer`.
    """
    if method not in CALIBRATIONS:
        raise ConfigError(f"calibration '{method}': expected {', '.join(CALIBRATIONS)}")
    grid = WeightGrid(bits)
    if method in ("spikes", "feedback") and any(layer.scale is None for layer in network.synapses):
        entering = calibration_spikes(network) if spikes is None else spikes
        return _through(network, grid, entering, feedback=method == "feedback")
    choose = {"max": max_scale, "percentile": percentile_scale}.get(method, mse_scale)
    return replace(
        network,
        layers=tuple(
            layer
            if isinstance(layer, Flatten) or layer.scale is not None or not _has_weights(layer.synapse)
            else replace(layer, scale=choose(all_weights(layer.synapse), grid))
            for layer in network.layers
        ),
    )


def _has_weights(synapse: Synapse) -> bool:
    """Quantizing says what is wrong with a layer that has none."""
    return bool(all_weights(synapse).any())


def calibration_spikes(
    network: FloatNetwork, images: int = _IMAGES, seed: int = _SEED
) -> UInt8[np.ndarray, "images steps *input"]:
    """Spikes to calibrate with: Bernoulli draws of the prior's rates, uint8 ``(images, steps, *input shape)``.

    Raises:
        ConfigError: the network has no prior or no window.
    """
    if network.prior is None or network.time_steps is None:
        raise ConfigError("this network has no prior to draw calibration spikes from; give them, or calibrate by 'mse'")
    draws = np.random.default_rng(seed)
    rates = _rates(network.prior, images, draws)
    spikes = draws.random((images, network.time_steps, rates.shape[1])) < rates[:, None]
    return spikes.astype(np.uint8).reshape(*spikes.shape[:2], *network.input_shape)


def _rates(prior: Prior, images: int, draws: np.random.Generator) -> np.ndarray:
    share = prior.share.astype(np.float64)
    chosen = draws.choice(len(share), images, p=share / share.sum())
    noise = draws.standard_normal((images, prior.weight.shape[2]))
    logits = np.einsum("nlj,nj->nl", prior.weight[chosen].astype(np.float64), noise) + prior.bias[chosen]
    return 1 / (1 + np.exp(-logits))


@torch.no_grad()
def _through(network: FloatNetwork, grid: WeightGrid, spikes: np.ndarray, *, feedback: bool) -> FloatNetwork:
    """Layer by layer, each with the spikes that enter it in the float and in the integer network."""
    exact = torch.from_numpy(np.ascontiguousarray(spikes.swapaxes(0, 1))).double()
    rounded = exact = exact.reshape(*exact.shape[:2], *network.input_shape)
    layers: list[FloatLayer | Flatten] = []
    names = iter(network.labels)
    for layer in network.layers:
        if isinstance(layer, Flatten):
            layers.append(layer)
            exact, rounded = exact.flatten(2), rounded.flatten(2)
            continue
        where = next(names)
        potentials, exact = fire(layer.synapse, sums_of(layer.synapse, exact))
        if layer.scale is None and _has_weights(layer.synapse):
            if feedback:
                layer = _fed_back(layer, grid, network.time_steps, _seen(layer.synapse, rounded, exact), where)
            else:
                wanted = torch.tanh(potentials[-1]) if _silent(layer.synapse) else exact
                layer = _nearest(layer, grid, network.time_steps, rounded, wanted, where)
        integers = round_layer(float_values(layer.synapse), grid, network.time_steps, scale=layer.scale, where=where)
        layers.append(layer)
        rounded = _given(layer.synapse, integers, rounded, where)
    return replace(network, layers=tuple(layers))


def _fed_back(layer: FloatLayer, grid: WeightGrid, steps: int | None, raster: torch.Tensor, where: str) -> FloatLayer:
    wanted = mse_scale(all_weights(layer.synapse), grid)
    scale = round_layer(float_values(layer.synapse), grid, steps, scale=wanted, where=where).scale
    synapse = layer.synapse
    if isinstance(synapse, RecurrentDense):
        weight = fed_back(synapse.joined, grid, scale, raster).weight
        return replace(layer, synapse=with_values(synapse, weight, synapse.bias, synapse.neuron), scale=scale)
    return replace(layer, synapse=fed_back(synapse, grid, scale, raster), scale=scale)


def _seen(synapse: Synapse, entering: torch.Tensor, fired: torch.Tensor) -> torch.Tensor:
    """What passes a layer's synapses: what enters, and in a recurrent one what it fired at the step before."""
    if not isinstance(synapse, RecurrentDense):
        return entering
    return torch.cat([entering, torch.cat([torch.zeros_like(fired[:1]), fired[:-1]])], dim=2)


def _nearest(
    layer: FloatLayer, grid: WeightGrid, steps: int | None, raster: torch.Tensor, wanted: torch.Tensor, where: str
) -> FloatLayer:
    """The scale of those tried at which the integer layer gives what is nearest to ``wanted``."""
    values, best, least = float_values(layer.synapse), layer, math.inf
    for share in _TRIED:
        scale = max_scale(all_weights(layer.synapse), grid) / share
        given = _given(layer.synapse, round_layer(values, grid, steps, scale=scale, where=where), raster, where)
        error = float((given - wanted).square().mean())
        if error < least:
            best, least = replace(layer, scale=scale), error
    return best


def _silent(synapse: Synapse[FloatLif]) -> bool:
    return math.isinf(synapse.neuron.threshold)


def _given(synapse: Synapse[FloatLif], integers: IntegerValues, raster: torch.Tensor, where: str) -> torch.Tensor:
    """Spikes of the integer layer ``(steps, images, *shape)``; of a silent one, its last potentials through tanh."""
    layer = with_values(synapse, integers.weight, integers.bias, integers.neuron)
    if _silent(synapse):
        return torch.tanh(ends_of(layer, raster, where) / (integers.scale * (1 << STATE_SHIFT)))
    return spikes_of(layer, raster.float(), where).to(raster.dtype)

"""Training with the chip's integers in the forward pass: what the model gives is what the exported file gives.

Each layer's norm is folded by :func:`esvae.chip.fold.fold` (running statistics, float64), weights, biases and threshold
are rounded by :func:`esvae.chip.rounding.round_layer`, both of which exporting calls too, and the neurons are
:mod:`esvae.chip.lif`'s. Backwards, rounding passes the gradient on as it is (straight-through), clipping stops it at
weights that are clipped, and the scale learns as the step size of LSQ does (Esser et al., ICLR 2020).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from esvae.arrays import Bool, Float, Float64
from esvae.chip.fold import fold
from esvae.chip.formats import STATE_SHIFT
from esvae.chip.lif import integer_lif, integer_readout
from esvae.chip.rounding import FloatValues, IntegerValues, WeightGrid, round_layer
from esvae.chip.scales import mse_scale
from esvae.model.expand import expanded
from esvae.model.learned import LearnedLif
from esvae.model.threshold_norm import ThresholdNorm

__all__ = ["Rounding", "folded"]


def folded(
    synapse: nn.Module, norm: ThresholdNorm | None
) -> tuple[Float64[torch.Tensor, "*weight"], Float64[torch.Tensor, " outputs"]]:
    """Weight and bias with the norm in them, float64, with gradients."""
    weight, bias = synapse.weight, synapse.bias
    assert isinstance(weight, torch.Tensor)
    assert isinstance(bias, torch.Tensor)
    weight, bias = weight.double(), bias.double()
    if norm is None:
        return weight, bias
    return fold(weight, bias, *norm.scale_and_shift(), transposed=isinstance(synapse, nn.ConvTranspose2d))


class Rounding(nn.Module):
    """How one layer is rounded: its grid, and the scale, which is learned.

    Args:
        bits: of the weights.
        steps: the window.
        width: half-width of the surrogate gradient, in the units of the float neuron.

    Attributes:
        log_scale: natural logarithm of the wanted scale, float64; :attr:`scale` is it.
        active: whether the layer computes in integers; before that it is a float layer.
    """

    active: Bool[torch.Tensor, ""]

    def __init__(self, bits: int, steps: int, width: float = math.inf) -> None:
        super().__init__()
        self.grid, self.steps, self.width = WeightGrid(bits), steps, width
        self.log_scale = nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.register_buffer("active", torch.zeros((), dtype=torch.bool))

    @property
    def scale(self) -> float:
        """Integers for 1.0 of the float layer, before the registers' limits are looked at."""
        return math.exp(float(self.log_scale.detach()))

    def start(self, synapse: nn.Module, norm: ThresholdNorm | None) -> None:
        """Computes in integers from now on, with the scale at which rounding changes the weights least."""
        weight = folded(synapse, norm)[0].detach().cpu().numpy()
        with torch.no_grad():
            self.log_scale.fill_(math.log(mse_scale(weight, self.grid)))
            self.active.fill_(True)

    def integers(
        self,
        synapse: nn.Module,
        lif: LearnedLif,
        weight: Float64[torch.Tensor, "*weight"],
        bias: Float64[torch.Tensor, " outputs"],
    ) -> IntegerValues:
        """The layer's integers, of folded floats; the exporter's own. The readout's threshold is infinite."""
        values = FloatValues(
            weight.detach().cpu().numpy(),
            bias.detach().cpu().numpy(),
            lif.floats,
            (0, 2, 3) if isinstance(synapse, nn.ConvTranspose2d) else tuple(range(1, weight.ndim)),
        )
        return round_layer(values, self.grid, self.steps, scale=self.scale)

    def spikes(
        self,
        synapse: nn.Module,
        norm: ThresholdNorm,
        lif: LearnedLif,
        x: Float[torch.Tensor, " rows *before"],
        steps: int,
    ) -> Float[torch.Tensor, " rows *after"]:
        """Spikes ``(T * N, ...)`` of the layer, from spikes ``(T * N, ...)``."""
        sums, bias, integers = self._sums(synapse, norm, lif, x)
        unit = integers.scale * (1 << STATE_SHIFT)  # of the potential, for 1.0 of the float layer
        rows = sums.permute(0, 2, 3, 1) if sums.ndim == 4 else sums
        fired = integer_lif(
            rows.reshape(steps, len(x) // steps, -1),
            _by_neuron(bias, rows),
            integers.neuron,
            self.width * unit,
            keep=lif.keep,
            threshold=lif.threshold * unit,
        )
        spikes = fired.reshape(rows.shape)
        return spikes.permute(0, 3, 1, 2) if sums.ndim == 4 else spikes

    def potentials(
        self, synapse: nn.Module, lif: LearnedLif, x: Float[torch.Tensor, " rows *before"], steps: int
    ) -> Float[torch.Tensor, "images channels height width"]:
        """Potentials after the last step over ``64 * scale``, ``(N, C, H, W)``, of a layer that does not fire."""
        sums, bias, integers = self._sums(synapse, None, lif, x)
        rows = sums.permute(0, 2, 3, 1)
        by_step = rows.reshape(steps, len(x) // steps, -1)
        ends = integer_readout(by_step, _by_neuron(bias, rows), integers.neuron, keep=lif.keep)
        maps = ends.reshape(len(x) // steps, *rows.shape[1:]).permute(0, 3, 1, 2)
        return maps / (integers.scale * (1 << STATE_SHIFT))

    def _sums(
        self, synapse: nn.Module, norm: ThresholdNorm | None, lif: LearnedLif, x: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, IntegerValues]:
        """Sums of integer weights as torch lays them out, integer biases by channel, and the integers themselves."""
        weight, bias = folded(synapse, norm)
        integers = self.integers(synapse, lif, weight, bias)
        whole, whole_bias = _Rounded.apply(weight, bias, self.log_scale, self.grid, integers)
        with torch.autocast(x.device.type, enabled=False):  # whole numbers need all of float32's bits
            return _product(synapse, x if x.dtype == torch.float64 else x.float(), whole), whole_bias, integers


class _Rounded(torch.autograd.Function):
    """Folded floats as whole numbers, in float64."""

    @staticmethod
    def forward(
        ctx: Any,
        weight: torch.Tensor,
        bias: torch.Tensor,
        log_scale: torch.Tensor,
        grid: WeightGrid,
        integers: IntegerValues,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        assert integers.bias is not None
        ctx.save_for_backward(weight)
        ctx.grid, ctx.integers = grid, integers
        whole = torch.from_numpy(integers.weight).to(weight.device, torch.float64)
        return whole, torch.from_numpy(integers.bias).to(bias.device, torch.float64)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        grid, integers = ctx.grid, ctx.integers
        scale = integers.scale
        by_value = grads[0] * scale  # gradient of the rounded weight in float units
        inside = weight.abs() * scale <= grid.top
        rounded = torch.from_numpy(integers.weight).to(weight.device, torch.float64) / scale
        by_scale = -(by_value * (rounded - torch.where(inside, weight, 0.0))).sum()
        by_scale = by_scale / math.sqrt(weight.numel() * grid.levels)
        return by_value * inside, grads[1] * scale, by_scale, None, None


def _product(synapse: nn.Module, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """What ``synapse`` computes, without bias, with other weights."""
    weight = weight.to(x.dtype)
    if isinstance(synapse, nn.Linear):
        return x @ weight.T
    if isinstance(synapse, nn.ConvTranspose2d):
        pairs: Any = (synapse.stride, synapse.padding, synapse.output_padding)
        return functional.conv_transpose2d(x, weight, None, *pairs)
    assert isinstance(synapse, nn.Conv2d)
    if x.ndim == 2:  # a kernel over a 1x1 map, padded in full
        return expanded(x, weight)
    return functional.conv2d(x, weight, None, synapse.stride, synapse.padding)  # type: ignore[arg-type]


def _by_neuron(bias: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Biases by channel, channels innermost, as biases of one image's neurons in memory order."""
    return bias.expand(rows.shape[1:]).reshape(-1)

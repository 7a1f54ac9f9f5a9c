"""Building blocks of the float model; time is folded into the batch, ``(T * N, ...)``, time outermost."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import torch
from torch import nn

from esvae.arrays import Float
from esvae.config import NeuronConfig
from esvae.machine.distributed import processes
from esvae.model.convolve import has_sums, sums_without_bias
from esvae.model.learned import LearnedLif
from esvae.model.quantized import Rounding
from esvae.model.threshold_norm import ThresholdNorm
from esvae.neurons import Cuba, run_cuba, run_norse, run_slayer
from esvae.neurons.lif import lif
from esvae.neurons.norm_lif import DrivingNorm, norm_lif

__all__ = ["SpikingLayer", "SpikingLayers", "set_half"]


class SpikingLayer(nn.Module):
    """Synapses, tdBN, LIF.

    Args:
        synapse: a convolution, transposed convolution or linear layer.
        channels: its output channels or features.
        neuron: parameters of the LIF neuron.
        rounding: computes in the chip's integers once it is active, or None.
        learned: of ``keep`` and ``threshold``, what is learned.

    Attributes:
        lif: what its neurons keep, and what they fire above.
        in_half: whether a convolution is computed in bfloat16 while training, see :mod:`esvae.model.convolve`.
        hands_on_half: whether its spikes, and the gradient by them, are in bfloat16 then too.
    """

    in_half = False
    hands_on_half = True

    def __init__(
        self,
        synapse: nn.Module,
        channels: int,
        neuron: NeuronConfig,
        rounding: Rounding | None = None,
        *,
        learned: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.rounding = rounding
        self.synapse, self.norm, self.neuron = synapse, ThresholdNorm(channels, neuron.threshold), neuron
        self.lif = LearnedLif(neuron.lif, learned)  # last: a model's first parameter tells its precision
        self.stepwise: Cuba | None = None
        if neuron.cells != "esvae" or neuron.current_keep or neuron.surrogate != "rectangle":
            self.stepwise = Cuba(
                neuron.keep, neuron.threshold, surrogate=neuron.surrogate, width=neuron.surrogate_width
            )

    def forward(
        self,
        x: Float[torch.Tensor, " drives *before"],
        steps: int,
        *,
        constant: bool = False,
        shares: Float[torch.Tensor, " steps"] | None = None,
    ) -> Float[torch.Tensor, " rows *after"]:
        """Spikes ``(T * N, ...)`` from spikes ``(T * N, ...)``, or from ``(N, ...)`` shown at every step.

        With ``shares (T,)``: their sum over time, weighted so, ``(N, ...)``; on the CPU no spike is written for it.
        """
        if not self._half:
            x = x.to(self.norm.weight.dtype)  # where the layer before it hands on bfloat16
        if self.rounding is not None and self.rounding.active:
            return _summed(self.rounding.spikes(self.synapse, self.norm, self.lif, x, steps), shares)
        current, offset = self._currents(x)
        if self.stepwise is not None:
            return _summed(self._step_by_step(current, steps, constant=constant), shares)
        keep, threshold, width = self.lif.keep, self.lif.threshold, self.neuron.surrogate_width
        if self._fused(current):
            return norm_lif(
                current,
                steps,
                DrivingNorm.of(self.norm),
                (keep, threshold, width),
                constant=constant,
                shares=shares,
                offset=offset,
                kept_as=None if self.hands_on_half else self.norm.weight.dtype,
            )
        driven = self.norm(current, copies=steps if constant else 1)
        return _summed(lif(driven, steps, keep=keep, threshold=threshold, width=width, constant=constant), shares)

    def _currents(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Sums of ``x``, and the bias where the norm is to take it in, as it is cheap to leave it out of the sums."""
        apart = self._fused(x)
        # In evaluation torch's convolution stays, whose sums do not depend on how many of a batch fire.
        ours = self.training or (apart and isinstance(self.synapse, nn.ConvTranspose2d))
        if not (ours and x.device.type == "cpu" and has_sums(self.synapse)):
            return self.synapse(x), None
        kind = torch.bfloat16 if self._half else None
        sums = sums_without_bias(self.synapse, x, kind=kind, events=self.training)  # type: ignore[arg-type]
        bias: torch.Tensor | None = self.synapse.bias  # type: ignore[assignment]
        if apart:
            return sums, bias
        sums = sums.to(self.norm.weight.dtype)
        return (sums if bias is None else sums + bias[:, None, None]), None

    @property
    def _half(self) -> bool:
        """Whether the sums are taken in bfloat16."""
        rounds = self.rounding is not None and bool(self.rounding.active)
        return self.in_half and self.training and not rounds and has_sums(self.synapse)

    def _fused(self, x: torch.Tensor) -> bool:
        """Whether norm and LIF of a layer that computes like ``x`` go in one pass."""
        alike = x.dtype == self.norm.weight.dtype or (self._half and x.dtype == torch.bfloat16)
        return x.device.type == "cpu" and alike and self.stepwise is None and processes() == 1

    def _step_by_step(self, current: torch.Tensor, steps: int, *, constant: bool) -> torch.Tensor:
        """With synaptic currents that last, or other cells than our own."""
        assert self.stepwise is not None
        x = current.expand(steps, *current.shape) if constant else current.unflatten(0, (steps, -1))
        copies = steps if constant else 1
        if self.neuron.current_keep:
            # On the chip a bias drives the potential, not the current.
            bias = self.synapse.bias.view(-1, *[1] * (current.ndim - 2))  # type: ignore[union-attr,operator]
            kept = [x[0] - bias]
            for drive in x[1:]:
                kept.append(self.neuron.current_keep * kept[-1] + drive - bias)
            x, copies = torch.stack(kept) + bias, 1
        if copies == 1:
            driven = self.norm(x.flatten(0, 1)).unflatten(0, (steps, -1))
        else:
            driven = self.norm(current, copies).expand(steps, *current.shape)
        if self.neuron.cells != "esvae":
            run = {"norse": run_norse, "slayer": run_slayer}[self.neuron.cells]
            return run(self.stepwise, driven).flatten(0, 1)
        return run_cuba(self.stepwise, driven, keep=self.lif.keep, threshold=self.lif.threshold).flatten(0, 1)


class SpikingLayers(nn.ModuleList):
    """Spiking layers in the order in which spikes pass through them."""

    def __iter__(self) -> Iterator[SpikingLayer]:  # type: ignore[override]
        return super().__iter__()  # type: ignore[return-value]


def set_half(model: nn.Module, half: bool, *, hands_on: bool = True) -> None:
    """Has the spiking layers of a model compute their convolutions in bfloat16 while training, or no longer.

    Args:
        model: of any modules.
        half: whether they do.
        hands_on: the spikes too, and the gradient by them; not where a loss of its own falls on the spikes, whose
            small gradient would be lost beside the large one.
    """
    for module in model.modules():
        if isinstance(module, SpikingLayer):
            module.in_half, module.hands_on_half = half, hands_on


def _summed(spikes: torch.Tensor, shares: torch.Tensor | None) -> torch.Tensor:
    """Spikes ``(T * N, ...)`` as they are, or their sum over time weighted by ``shares (T,)``."""
    return spikes if shares is None else torch.tensordot(shares, spikes.unflatten(0, (len(shares), -1)), dims=1)

"""The current-based LIF neuron that all three libraries have in common, step by step in torch.

::

    i_t = current_keep * i_{t-1} + x_t
    v_t = keep * v_{t-1} * (1 - o_{t-1}) + gain * i_t
    o_t = v_t > threshold

With ``current_keep = 0`` and ``gain = 1`` it is the paper's neuron; ``LIFBox`` and ``LIF`` of Norse and ``cuba`` of
Lava-DL are others of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch

from esvae.arrays import Float
from esvae.chip.lif import Scalar
from esvae.errors import ConfigError

__all__ = ["Cuba", "Surrogate", "run_cuba"]

Surrogate = Literal["rectangle", "superspike"]


@dataclass(frozen=True)
class Cuba:
    """Parameters of a neuron.

    Attributes:
        keep: share of the membrane potential that survives a step.
        threshold: it fires strictly above it.
        current_keep: share of the synaptic current that survives a step.
        gain: of the current into the potential.
        surrogate: ``rectangle``: gradient ``1 / (2 width)`` where ``|v| < width`` (ESVAE); ``superspike``:
            ``1 / (1 + |v - threshold|)^2`` (Zenke and Ganguli, 2018, as Norse 1.1 has it, whose ``alpha`` it ignores).
        width: of the rectangle, half.

    Raises:
        ConfigError: a parameter out of its range.
    """

    keep: float = 0.25
    threshold: float = 0.2
    current_keep: float = 0.0
    gain: float = 1.0
    surrogate: Surrogate = "rectangle"
    width: float = 0.5

    def __post_init__(self) -> None:
        for name in ("keep", "current_keep"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"neuron: {name} {getattr(self, name):g} is not a share between 0 and 1")
        for name in ("threshold", "gain", "width"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"neuron: {name} {getattr(self, name):g} is not above 0")


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: torch.Tensor, threshold: Scalar, neuron: Cuba) -> torch.Tensor:
        ctx.save_for_backward(v)
        ctx.neuron, ctx.threshold = neuron, float(threshold)
        return (v > ctx.threshold).to(v.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (v,), neuron = ctx.saved_tensors, ctx.neuron
        if neuron.surrogate == "rectangle":
            by_v = grads[0] * (v.abs() < neuron.width) / (2 * neuron.width)
        else:
            by_v = grads[0] / (1 + (v - ctx.threshold).abs()).square()
        return by_v, -by_v.double().sum() if ctx.needs_input_grad[1] else None, None


def run_cuba(
    neuron: Cuba,
    x: Float[torch.Tensor, " steps *neurons"],
    *,
    keep: Scalar | None = None,
    threshold: Scalar | None = None,
) -> Float[torch.Tensor, " steps *neurons"]:
    """Spikes of neurons at rest before the first step, with gradients through time and reset.

    Args:
        neuron: their parameters.
        x: input ``(T, ...)``.
        keep, threshold: instead of the neuron's; as tensors ``()`` they get gradients.

    Returns:
        0.0 or 1.0, ``(T, ...)``.
    """
    keep = neuron.keep if keep is None else keep
    threshold = neuron.threshold if threshold is None else threshold
    i = v = o = torch.zeros_like(x[0])
    seen = []
    for drive in x:
        i = neuron.current_keep * i + drive
        v = keep * v * (1 - o) + neuron.gain * i
        o = _Spike.apply(v, threshold, neuron)
        seen.append(o)
    return torch.stack(seen)

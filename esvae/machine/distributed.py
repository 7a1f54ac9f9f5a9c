"""What the processes of one training share, so that several of them compute what one would with the same batch.

Each process holds an equal part of every batch. Its random numbers are its rows of those that one process would draw;
statistics over the batch are summed over all processes, with gradients. Without a process group all of these are what
one process does by itself.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import distributed

from esvae.arrays import Float
from esvae.machine.launched import launched_rank

__all__ = ["all_rows", "all_sum", "draw_rows", "processes", "rank"]


def processes() -> int:
    """How many train together; 1 where no process group was set up."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    """Number of this process, from 0; what its launcher says before there is a process group."""
    if processes() > 1:
        return distributed.get_rank()
    return launched_rank()


def draw_rows(
    draw: Callable[..., Float[torch.Tensor, " ..."]],
    shape: tuple[int, ...],
    like: Float[torch.Tensor, " ..."],
    generator: torch.Generator | None,
    *,
    axis: int = 0,
    shared: bool = True,
) -> Float[torch.Tensor, " ..."]:
    """Random numbers of ``shape``, drawn on the CPU, so that they are the same on every device.

    Args:
        draw: ``torch.rand`` or ``torch.randn``.
        shape: of this process's part.
        like: gives device and dtype.
        generator: in the same state in all processes.
        axis: of the batch.
        shared: the batch is spread over the processes; False draws for this process alone.
    """
    parts = processes() if shared else 1
    whole = [*shape]
    whole[axis] *= parts
    numbers = draw(*whole, generator=generator, dtype=like.dtype)
    if parts > 1:
        numbers = numbers.narrow(axis, rank() * shape[axis], shape[axis])
    return numbers.to(like.device)


def all_sum(x: Float[torch.Tensor, "*shape"]) -> Float[torch.Tensor, "*shape"]:
    """The sum of all processes' ``x``; gradients are summed likewise."""
    if processes() == 1:
        return x
    from torch.distributed.nn import functional

    total: torch.Tensor = functional.all_reduce(x)
    return total


def all_rows(x: Float[torch.Tensor, " rows *rest"]) -> Float[torch.Tensor, " all_rows *rest"]:
    """The rows ``(N, ...)`` of all processes, below each other in their order; gradients flow back to each."""
    if processes() == 1:
        return x
    # A sum of padded parts, as gloo has no reduce-scatter, which the gradient of a gather would need.
    padded = x.new_zeros(processes(), *x.shape)
    mask = torch.zeros(processes(), *[1] * x.ndim, dtype=x.dtype, device=x.device)
    mask[rank()] = 1
    return all_sum(padded + mask * x).flatten(0, 1)

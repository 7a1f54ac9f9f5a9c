"""Stacks of slayer's blocks for tests: trained a little, run, exported, and compared layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from export.frontends import from_slayer
from export.ir import Network
from export.passes import quantize
from sim.stimulus import Stimulus, Timing
from sim.twin.engine import Engine

NEURON = {"threshold": 1.25, "current_decay": 0.25, "voltage_decay": 0.1, "requires_grad": True}


def slayer() -> Any:
    from lava.lib.dl import slayer as module

    return module


def trained(*blocks: nn.Module, shape: tuple[int, ...], seed: int = 0, steps: int = 3) -> nn.ModuleList:
    """A few steps of training towards random targets, so that nothing is where it was initialized."""
    torch.manual_seed(seed)
    stack = nn.ModuleList(blocks)
    x = torch.from_numpy(raster(seed, *shape)).float().movedim(1, -1)
    forward(stack, x)  # delays and norms take their shapes from data
    optimizer = torch.optim.Adam(stack.parameters(), lr=0.02)
    for _ in range(steps):
        out = forward(stack, x)[-1]
        loss = (out.mean(-1) - 0.3).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return stack.eval()


def forward(stack: nn.ModuleList, x: torch.Tensor) -> list[torch.Tensor]:
    seen = []
    for block in stack:
        x = block(x)
        seen.append(x)
    return seen


def raster(seed: int, *shape: int) -> np.ndarray:
    return (np.random.default_rng(seed).random((4, 20, *shape)) < 0.4).astype(np.uint8)


def network(stack: nn.ModuleList, shape: tuple[int, ...] | None) -> Network:
    integer, report = quantize(from_slayer(stack, shape, time_steps=None))
    assert all(entry.clipped == 0 and entry.weight_error == 0 and entry.scale == 1 for entry in report)
    return integer


def layer_spikes(stack: nn.ModuleList, spikes: np.ndarray) -> list[np.ndarray]:
    """What each block with synapses gives for spikes ``(images, steps, ...)``, in the same order of axes."""
    with torch.no_grad():
        seen = forward(stack, torch.from_numpy(spikes).float().movedim(1, -1))
    return [
        x.movedim(-1, 1).numpy()
        for x, block in zip(seen, stack, strict=True)
        if not isinstance(block, slayer().block.base.AbstractFlatten | slayer().block.base.AbstractInput)
    ]


def fires_the_same(stack: nn.ModuleList, ours: Network, seed: int, late: Sequence[int] | None = None) -> None:
    """Every layer's spikes are slayer's, whose block k comes ``late[k]`` steps later, by default k + 1."""
    spikes = raster(seed, *ours.input_shape)
    seen = layer_spikes(stack, spikes)
    for theirs, trace, late_here in zip(
        seen, Engine(ours).traces(spikes), late or range(1, len(seen) + 1), strict=True
    ):
        assert theirs.mean() > 0.01
        assert not theirs[:, :late_here].any()
        found = theirs[:, late_here:]
        assert np.array_equal(found, trace.s[:, : theirs.shape[1] - late_here].reshape(found.shape))


def fires_the_same_in_staggered_time(stack: nn.ModuleList, ours: Network, seed: int) -> None:
    """As Lava counts, every synapse a step late: slayer's spikes, once it is given an empty step first."""
    spikes = raster(seed, *ours.input_shape)
    first = np.zeros_like(spikes[:, :1])
    seen = layer_spikes(stack, np.concatenate((first, spikes), axis=1))
    timed = Stimulus(spikes, None, spikes.shape[1], Timing(stagger=True))
    for theirs, trace in zip(seen, Engine(ours).traces(timed), strict=True):
        found = theirs[:, 1:]
        assert found.mean() > 0.01
        assert np.array_equal(found, trace.s.reshape(found.shape))

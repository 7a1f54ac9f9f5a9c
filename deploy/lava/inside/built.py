"""What a builder gives to whoever runs it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Built", "BuiltLayer"]


@dataclass
class BuiltLayer:
    """Neurons, or a sampler, whose states may be recorded.

    Attributes:
        name: in traces.
        process: Lava's.
        first: time step, from 1, at which it works on the first step of the first image.
    """

    name: str
    process: Any
    first: int

    @property
    def quantities(self) -> str:
        """What can be recorded: neurons have states, a sampler only spikes."""
        return "uvs" if hasattr(self.process, "v") else "s"


@dataclass
class Built:
    """A graph that Lava can compile.

    Attributes:
        main: the process to run, which reaches all others.
        layers: in order.
        labels: a name for each process by its id.
        total: time steps to run.
        period: time steps from one image's first to the next one's.
        kept: what must live as long as the graph.
        from_power_on: record all time steps of every layer instead of the images' windows.
    """

    main: Any
    layers: list[BuiltLayer]
    labels: dict[int, str]
    total: int
    period: int
    kept: list[Any] = field(default_factory=list)
    from_power_on: bool = False

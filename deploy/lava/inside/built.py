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
    def graded(self) -> bool:
        """Whether it sends messages, and not spikes."""
        return hasattr(self.process, "sigma")

    @property
    def recorded(self) -> dict[str, Any]:
        """What can be recorded, by name: neurons have states, a sampler only spikes."""
        process = self.process
        if self.graded:
            return {"u": process.sigma, "v": self.potential, "s": process.s_out}
        return {"u": process.u, "v": process.v, "s": process.s_out} if hasattr(process, "v") else {"s": process.s_out}

    @property
    def potential(self) -> Any:
        """The variable that is read out: membrane potential or activation, of a sigma output its sum."""
        if self.graded:
            return getattr(self.process, "act", self.process.sigma)
        return self.process.v


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

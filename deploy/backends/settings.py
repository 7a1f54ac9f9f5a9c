"""How Lava runs a network; every choice gives the same integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from esvae.errors import ConfigError

__all__ = ["LavaSettings", "Loader", "SamplerPlace", "Target"]

Loader: TypeAlias = Literal["stock", "native"]
SamplerPlace: TypeAlias = Literal["host", "graph"]
Target: TypeAlias = Literal["cpu", "loihi2"]


@dataclass(frozen=True)
class LavaSettings:
    """Which loader builds the graph, where the sampler is, and what it runs on.

    Attributes:
        loader: ``stock``, lava-dl's netx, which reads the file itself; ``native``, Lava processes made straight from
            the network, which takes transposed convolutions, loads large networks in a tenth of the time and memory,
            and needs no netx.
        sampler: ``host`` sends spikes that were drawn outside; ``graph`` draws them inside, so that rate codes alone
            enter, and delivers each image by a process when its window ends.
        target: ``cpu``, Lava's bit-accurate models; ``loihi2``, a board.
        stall_timeout: seconds without progress and with hardly any processor time taken, after which a run is
            ended.

    Raises:
        ConfigError: another value.
    """

    loader: Loader = "stock"
    sampler: SamplerPlace = "host"
    target: Target = "cpu"
    stall_timeout: float = 60.0

    def __post_init__(self) -> None:
        for name, kind in (("loader", Loader), ("sampler", SamplerPlace), ("target", Target)):
            if getattr(self, name) not in get_args(kind):
                raise ConfigError(f"--{name} {getattr(self, name)}: expected {' or '.join(get_args(kind))}")
        if self.target == "loihi2" and self.loader != "native":
            raise ConfigError("--target loihi2 needs --loader native")
        if not self.stall_timeout > 0:
            raise ConfigError(f"--stall-timeout {self.stall_timeout:g}: expected more than 0 seconds")

    @property
    def plain(self) -> bool:
        """Whether stock netx runs spikes that were drawn outside, on a CPU: then Lava takes any stimulus."""
        return self == LavaSettings(stall_timeout=self.stall_timeout)

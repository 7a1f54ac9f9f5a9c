"""Small generators that draw by themselves: a decoder of a few neurons behind a circuit; each is made once."""

from __future__ import annotations

from functools import cache

import numpy as np

from export.circuit.generator import CircuitOptions, with_circuit
from export.circuit.tables import TableOptions
from export.ir import Conv, Dense, ImageReadout, Lif, Network, Prior

__all__ = ["LATENTS", "STEPS", "circuit_generator", "host_generator"]

LATENTS, STEPS = 6, 4


@cache
def host_generator(*, chained: bool = True, components: int = 3, steps: int = STEPS) -> Network:
    """A generator whose latent spikes the host draws; its decoder dense, or of convolutions on a 1x1 map."""
    rng = np.random.default_rng(2)
    prior = Prior(
        rng.normal(0, 0.8, (components, LATENTS, LATENTS)).astype(np.float32),
        rng.uniform(-1.5, 1.5, (components, LATENTS)).astype(np.float32),
        np.full(components, 1 / components, np.float32),
    )
    hidden, last = Lif(4096, 3072, 200), Lif(4096, 819, 131071)
    if chained:
        layers: tuple[Dense[Lif], ...] | tuple[Conv[Lif], ...] = (
            Dense(rng.integers(-60, 90, (12, LATENTS)) * 2, rng.integers(-50, 50, 12), hidden),
            Dense(rng.integers(-60, 90, (4, 12)) * 2, np.full(4, 7), last),
        )
    else:
        layers = (
            Conv(rng.integers(-60, 90, (3, LATENTS, 2, 2)) * 2, None, hidden, padding=(1, 1)),
            Conv(rng.integers(-60, 90, (1, 3, 1, 1)) * 2, np.array([7]), last),
        )
    shape = (LATENTS,) if chained else (LATENTS, 1, 1)
    return Network(shape, layers, steps, prior, ImageReadout(9000.0, (1, 2, 2)))


@cache
def circuit_generator(*, chained: bool = True, components: int = 3, seed: int = 0, steps: int = STEPS) -> Network:
    """The same, drawing on the chip."""
    options = CircuitOptions(seed, TableOptions(noise_bits=16))
    return with_circuit(host_generator(chained=chained, components=components, steps=steps), options)
